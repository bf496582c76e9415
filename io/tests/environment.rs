//! `KVICK_IO` overrides the backend of the settings. The environment belongs to the process, so
//! each case runs this test binary again, with the one ignored test below.

use std::process::Command;

use kvick_io::{BackendChoice, IoConfig, open_directory};

/// The expected result of the child: the name of a backend, or the kind of an error.
const EXPECTED: &str = "KVICK_TEST_EXPECTED";

fn assert_child_finds(expected: &str, value: &str) {
    let child = Command::new(std::env::current_exe().expect("a test has a binary"))
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env("KVICK_IO", value)
        .env(EXPECTED, expected)
        .output()
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "KVICK_IO={value}: {said}");
    assert!(said.contains("1 passed"), "the child ran its test: {said}");
}

#[test]
#[ignore = "the other tests run it, in a process of its own"]
fn child() {
    // A plain run of all ignored tests expects nothing.
    let Ok(expected) = std::env::var(EXPECTED) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let config = IoConfig { backend: BackendChoice::Uring, ..IoConfig::default() };
    let found = match open_directory(directory.path(), &config) {
        Ok(directory) => {
            let device = pollster::block_on(directory.open_device("log", Default::default()));
            device.unwrap().geometry().backend.to_owned()
        }
        Err(error) => format!("{:?}", error.kind()),
    };
    assert_eq!(found, expected);
}

#[test]
fn the_environment_names_the_backend() {
    assert_child_finds("threads", "threads");
}

#[test]
fn an_unknown_name_is_refused() {
    assert_child_finds("InvalidInput", "fastest");
    assert_child_finds("InvalidInput", "");
}

#[test]
#[cfg(not(feature = "glommio"))]
fn a_backend_that_was_not_built_is_unsupported() {
    assert_child_finds("Unsupported", "glommio");
}
