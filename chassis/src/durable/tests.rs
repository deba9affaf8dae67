use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::Path,
};

use super::{Access, create, replace};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_file_is_replaced_with_its_mode_and_nothing_else_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");

    replace(&path, Access::READABLE, b"a longer one").unwrap();
    assert_eq!(mode(&path), 0o644);
    replace(&path, Access::SECRET, b"short").unwrap();

    assert_eq!(fs::read(&path).unwrap(), b"short");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(folder.path()), ["state.json"]);
}

#[test]
fn a_reader_holds_the_old_file_or_the_new_and_never_a_part() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    replace(&path, Access::SECRET, b"old").unwrap();
    let before = fs::metadata(&path).unwrap().ino();
    let reader = fs::File::open(&path).unwrap();

    replace(&path, Access::SECRET, b"new").unwrap();

    assert_eq!(std::io::read_to_string(reader).unwrap(), "old");
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_ne!(fs::metadata(&path).unwrap().ino(), before, "it was written in its place");
}

#[test]
fn a_link_is_replaced_and_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("state.json"), folder.path().join("other"));
    fs::write(&other, "other").unwrap();
    symlink(&other, &path).unwrap();

    assert!(!create(&path, Access::SECRET, b"mine").unwrap());
    replace(&path, Access::SECRET, b"mine").unwrap();

    assert_eq!(fs::read(&other).unwrap(), b"other");
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
}

#[test]
fn of_many_that_create_it_one_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");

    let made: Vec<_> = std::thread::scope(|scope| {
        let start = |text: u8| {
            let path = &path;
            scope.spawn(move || create(path, Access::SECRET, &[text; 64]).unwrap())
        };
        let threads: Vec<_> = (b'a'..b'i').map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    assert_eq!(made.iter().filter(|made| **made).count(), 1);
    let content = fs::read(&path).unwrap();
    assert!(content.len() == 64 && content.iter().all(|byte| *byte == content[0]));
    assert_eq!(names(folder.path()), ["key"]);
}

#[test]
fn what_cannot_be_written_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing").join("state.json");
    assert!(replace(&missing, Access::SECRET, b"new").is_err());
    assert!(create(&missing, Access::SECRET, b"new").is_err());
    assert!(replace(Path::new("/"), Access::SECRET, b"new").is_err());

    // A directory in its place, so that the last step fails, for root as well.
    let path = folder.path().join("state.json");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("kept"), "kept").unwrap();
    assert!(replace(&path, Access::SECRET, b"new").is_err());

    assert_eq!(fs::read(path.join("kept")).unwrap(), b"kept");
    assert_eq!(names(folder.path()), ["state.json"]);
}

#[test]
#[ignore = "needs: root"]
fn a_file_is_given_to_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let access = Access { owner: Some((61006, 61007)), ..Access::SECRET };

    replace(&path, access, b"key").unwrap();

    let meta = fs::metadata(&path).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (61006, 61007, 0o600));
}
