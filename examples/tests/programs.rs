//! Tests of examples that are whole programs, run as a user runs them.

use std::path::PathBuf;
use std::process::Command;

/// Returns the path of an example. It exists only if cargo has built it, which `cargo test --test
/// programs` does not.
fn example(name: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().expect("it runs");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("target/PROFILE/deps");
    let path = profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    path.exists().then_some(path)
}

/// Returns the command of an example.
fn command(name: &str) -> Option<Command> {
    let path = example(name);
    if path.is_none() {
        eprintln!("skipped: the example {name} is not built");
    }
    path.map(Command::new)
}

/// Returns the output of a command, which must succeed.
fn output_of(command: &mut Command) -> String {
    let output = command.output().expect("it is built");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaints}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns the complaint of a command, which must fail.
fn complaint_of(command: &mut Command) -> String {
    let output = command.output().expect("it is built");
    assert_eq!(output.status.code(), Some(1), "{command:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_log_keeps_acknowledged_entries() {
    let Some(mut program) = command("faster_log") else { return };
    let output = output_of(&mut program);
    assert!(output.contains("had seen 20000 entries committed"), "{output}");
    assert!(output.contains("complete with commit"), "{output}");
}

#[test]
fn the_tables_of_a_service_come_back_together() {
    let Some(mut program) = command("accounts") else { return };
    let output = output_of(&mut program);
    assert!(output.contains("[1001, 1001, 1] keys"), "{output}");
}

#[test]
fn durable_requests_count_once() {
    let Some(mut program) = command("durable_counter") else { return };
    let output = output_of(&mut program);
    assert_eq!(output.matches("none lost, none done twice").count(), 5, "{output}");
}

#[test]
fn the_queue_loses_no_job() {
    let Some(mut program) = command("queue") else { return };
    let output = output_of(&mut program);
    assert!(output.contains(" jobs were pushed: 0 of them lost"), "{output}");
}

#[test]
fn an_overwritten_store_stays_within_its_budget() {
    let Some(mut program) = command("bounded") else { return };
    let arguments = ["--sensors", "30000", "--memory", "2MiB", "--disk", "16MiB", "--rounds", "20"];
    let output = output_of(program.args(arguments));
    let rounds: Vec<&str> = output.lines().filter(|line| line.contains('#')).skip(1).collect();
    assert_eq!(rounds.len(), 20, "{output}");
    assert!(rounds.iter().all(|line| line.contains('|')), "{output}");
    let compactions = rounds[19].split_whitespace().nth(2).expect("a column");
    assert!(compactions.parse::<u32>().expect("a number") > 4, "{output}");
}

#[test]
fn a_replica_has_the_tables_of_its_source() {
    let Some(mut program) = command("replica") else { return };
    let output = output_of(&mut program);
    let lines = |text: &str| output.lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("as in the source"), 11, "{output}");
    assert_eq!(lines("left the log before they were read"), 2, "{output}");
    assert_eq!(lines("the source has lost what the copy has"), 2, "{output}");
}

#[test]
fn a_mirror_goes_on_after_crashes() {
    let Some(mut program) = command("mirror") else { return };
    let output = output_of(&mut program);
    let same = output.lines().filter(|line| line.contains("as in the source")).count();
    assert_eq!(same, 8, "{output}");
    assert!(output.contains("begun once, and has gone on 7 times"), "{output}");
}

#[test]
fn a_store_is_exported_and_imported() {
    let Some(mut program) = command("export") else { return };
    let output = output_of(&mut program);
    assert!(output.contains("the other store has the same 200000 records"), "{output}");
}

#[test]
fn an_export_names_a_missing_store_and_an_existing_file() {
    let Some(mut program) = command("export") else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().join("typo");
    let complaint = complaint_of(program.arg("out").arg(&place));
    assert!(complaint.contains("typo has no store"), "{complaint}");
    assert!(!place.exists());
    let file = directory.path().join("lines");
    std::fs::write(&file, "{\"key\":\"a\",\"value\":\"b\"}\n{\"records\":1}\n").expect("a file");
    let Some(mut program) = command("export") else { return };
    output_of(program.arg("in").arg(&place).arg(&file));
    let Some(mut program) = command("export") else { return };
    let complaint = complaint_of(program.arg("out").arg(&place).arg(&file));
    assert!(complaint.contains("lines: File exists"), "{complaint}");
    let Some(mut program) = command("export") else { return };
    let output = output_of(program.arg("out").arg(&place));
    assert_eq!(output, "{\"key\":\"a\",\"value\":\"b\"}\n{\"records\":1}\n");
}
