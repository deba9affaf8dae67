//! `maru confine`, with which `maru up` starts its children: their memory and files are bounded, and they write in their
//! own places alone.

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

/// What a program does that may write anywhere but not as much as it likes.
fn bounded(bound: &str, script: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maru"));
    command.args(["confine", bound, "--", "sh", "-c", script]).output().unwrap()
}

#[test]
fn a_bounded_program_gets_no_more_memory() {
    // Keeps the whole line in memory.
    let takes = "head -c 200M /dev/zero | tail -n 1 | wc -c";

    let most = bounded("--data-mib=1024", takes);
    assert_eq!(String::from_utf8_lossy(&most.stdout).trim(), (200_u64 << 20).to_string());

    let output = bounded("--data-mib=64", takes);
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0", "{output:?}");
}

#[test]
fn a_bounded_programs_files_grow_no_further_and_have_no_holes_beyond_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let len = || std::fs::metadata(&file).unwrap().len();

    bounded("--file-mib=1", &format!("head -c 3M /dev/zero > {}", file.display()));
    assert_eq!(len(), 1 << 20);

    bounded("--file-mib=1", &format!("truncate -s 1T {}", file.display()));
    assert_eq!(len(), 1 << 20);
}

#[test]
fn a_program_enters_its_control_group_before_it_starts() {
    let group = tempfile::tempdir().unwrap();
    let processes = group.path().join("cgroup.procs");
    std::fs::write(&processes, "").unwrap();
    let bound = format!("--group={}", group.path().display());

    let output = bounded(&bound, &format!("cat {}", processes.display()));
    assert_eq!(output.stdout, b"0", "{output:?}");

    std::fs::remove_file(&processes).unwrap();
    let output = bounded(&bound, "echo started");
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
}
