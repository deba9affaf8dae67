use std::{fs, path::Path};

use control_protocol::key::NodePublic;
use coordinator_core::{
    admission::{AdmissionList, AdmittedKey},
    time::Millis,
};

use super::{file::FORMAT, *};
use crate::files;

fn key(byte: u8) -> NodePublic {
    NodePublic::from_bytes([byte; 32])
}

fn paths() -> (tempfile::TempDir, Paths) {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(dir.path());
    files::make_dir(&paths.relay_nodes(), 0o755).unwrap();
    (dir, paths)
}

fn write(paths: &Paths, keys: &[(u8, Option<Millis>)]) {
    write_to(&paths.relay_nodes(), keys);
}

fn write_to(folder: &Path, keys: &[(u8, Option<Millis>)]) {
    let entry =
        |&(byte, until): &(u8, Option<Millis>)| AdmittedKey { node: 1, key: key(byte), until };
    let nodes = keys.iter().map(entry).collect();
    FORMAT.write(&folder.join("nodes.json"), &AdmissionList { nodes }).unwrap();
}

#[test]
fn nobody_is_let_in_before_there_is_a_list_and_each_change_counts_at_once() {
    let (_dir, paths) = paths();
    let admission = Admission::follow(&paths).unwrap();
    assert!(!admission.keys().admit(&key(1), 0));

    write(&paths, &[(1, None), (2, Some(100))]);
    let admits = |now| [1, 2, 3].map(|byte| admission.keys().admit(&key(byte), now));
    assert_eq!(admits(99), [true, true, false]);
    assert_eq!(admits(100), [true, false, false], "an expiry needs no coordinator");

    write(&paths, &[(3, None)]);
    assert_eq!(admits(0), [false, false, true]);
}

#[test]
fn a_list_that_is_lost_or_damaged_takes_nobody_away_and_a_new_one_counts() {
    let (_dir, paths) = paths();
    write(&paths, &[(1, None)]);
    let admission = Admission::follow(&paths).unwrap();

    fs::remove_file(file::path(&paths)).unwrap();
    assert!(admission.keys().admit(&key(1), 0));
    fs::write(file::path(&paths), "{").unwrap();
    assert!(admission.keys().admit(&key(1), 0));
    write(&paths, &[(2, None)]);
    assert_eq!([1, 2].map(|byte| admission.keys().admit(&key(byte), 0)), [false, true]);
}

#[test]
fn a_list_that_could_not_be_read_for_a_moment_counts_soon_after() {
    let (dir, paths) = paths();
    write(&paths, &[(1, None)]);
    let admission = Admission::follow(&paths).unwrap();
    // The next list lies behind a link, which is not followed, and then lies there itself, unchanged.
    let (folder, [behind, aside]) =
        (paths.relay_nodes(), ["behind", "aside"].map(|name| dir.path().join(name)));
    fs::rename(&folder, &behind).unwrap();
    write_to(&behind, &[(2, None)]);
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(behind.join("nodes.json"), file::path(&paths)).unwrap();
    let admits = || [1, 2].map(|byte| admission.keys().admit(&key(byte), 0));
    assert_eq!(admits(), [true, false]);
    fs::rename(&folder, &aside).unwrap();
    fs::rename(&behind, &folder).unwrap();
    assert_eq!(admits(), [true, false], "it is not tried at each use");

    std::thread::sleep(AGAIN);
    assert_eq!(admits(), [false, true]);
}

#[test]
fn a_list_that_is_none_is_refused_at_the_start_with_what_to_do() {
    let (dir, paths) = paths();
    let said = |content: &str| {
        fs::write(file::path(&paths), content).unwrap();
        Admission::follow(&paths).unwrap_err().to_string()
    };
    assert!(said("{").contains("remove it; the coordinator writes it again"));
    assert!(said(r#"{ "version": 2 }"#).contains("update Maru"));
    assert!(
        said(r#"{ "version": 1, "nodes": [{ "node": 1, "key": "nodekey:zz" }] }"#)
            .contains("damaged")
    );

    // Nor is what the coordinator's directory could lead to.
    fs::remove_file(file::path(&paths)).unwrap();
    fs::write(dir.path().join("other"), r#"{ "version": 1, "nodes": [] }"#).unwrap();
    std::os::unix::fs::symlink(dir.path().join("other"), file::path(&paths)).unwrap();
    assert!(matches!(Admission::follow(&paths), Err(StateError::Read { .. })));
}
