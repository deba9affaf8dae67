//! `maru confine`, with which `maru up` starts its children: they write in their own places alone.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

use std::{
    path::Path,
    process::{Command, Output},
};

/// It also writes in a folder that is not its own, as the coordinator does.
fn confined(own: &Path, script: &str) -> Output {
    let also = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru"));
    command.arg("confine");
    for place in [own, also.path()] {
        command.arg(format!("--write={}", place.display()));
    }
    command.arg(format!("--temporary={}", own.display()));
    command.args(["--", "sh", "-c", script]).output().unwrap()
}

#[test]
fn a_confined_program_writes_in_its_own_folder_with_or_without_landlock() {
    let own = tempfile::tempdir().unwrap();

    let output = confined(own.path(), "echo x > $TMPDIR/temporary; echo x > /dev/null");

    assert!(output.status.success(), "{output:?}");
    assert!(own.path().join("temporary").exists());
}

#[test]
#[ignore = "needs: landlock"]
fn a_confined_program_writes_in_its_own_folder_and_nowhere_else() {
    let [own, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let write =
        |folder: &Path| confined(own.path(), &format!("echo x > {}/file", folder.display()));

    let output = write(own.path());
    assert!(output.status.success() && own.path().join("file").exists(), "{output:?}");

    assert!(!write(other.path()).status.success());
    assert!(!other.path().join("file").exists());
}

#[test]
fn a_place_that_is_missing_is_named_and_nothing_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let started = dir.path().join("started");

    let output = confined(&dir.path().join("none"), &format!("touch {}", started.display()));

    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("none"), "{output:?}");
    assert!(!started.exists());
}
