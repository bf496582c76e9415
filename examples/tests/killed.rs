//! Tests of the examples that kill processes of their own, run as a user runs them.

use std::path::PathBuf;
use std::process::Command;

/// Returns the path of an example. It exists only if cargo has built it, which `cargo test --test
/// killed` does not.
fn example(name: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().expect("it runs");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("target/PROFILE/deps");
    let path = profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    path.exists().then_some(path)
}

/// Returns the output of an example, which must succeed.
fn output_of(name: &str) -> Option<String> {
    let Some(path) = example(name) else {
        eprintln!("skipped: the example {name} is not built");
        return None;
    };
    let output = Command::new(path).output().expect("it is built");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {complaints}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_log_keeps_acknowledged_entries() {
    let Some(output) = output_of("faster_log") else { return };
    assert!(output.contains("had seen 20000 entries committed"), "{output}");
    assert!(output.contains("complete with commit"), "{output}");
}

#[test]
fn the_queue_loses_no_job() {
    let Some(output) = output_of("queue") else { return };
    assert!(output.contains(" jobs were pushed: 0 of them lost"), "{output}");
}
