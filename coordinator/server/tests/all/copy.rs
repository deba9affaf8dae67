//! Copies of the database for backups, and what one leaves that was killed.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use coordinator::store::{Database, copy};

use crate::harness::Coordinator;

/// The state of a coordinator with a database, and what a copy that was killed left in it.
async fn killed() -> (Coordinator, PathBuf, PathBuf) {
    let coordinator = Coordinator::start().await;
    let state = coordinator.root.path().join("var/lib/maru/coordinator");
    let left = state.join(".copy-a1B2c3");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("db.sqlite"), "half of it").unwrap();
    (coordinator, state, left)
}

/// Copies it; it must be a database.
async fn copied(state: &Path) {
    let mut out = tempfile::NamedTempFile::new().unwrap();
    copy(&Database::Sqlite(state.join("db.sqlite")), out.as_file_mut()).await.unwrap();
    assert!(fs::read(out.path()).unwrap().starts_with(b"SQLite format 3"));
}

#[tokio::test]
async fn what_a_killed_copy_left_is_removed_by_the_next() {
    let (_coordinator, state, left) = killed().await;
    let of_others = state.join(".copy-of-mine");
    fs::write(&of_others, "no folder").unwrap();

    copied(&state).await;

    assert!(!left.exists());
    assert!(of_others.exists());
    let names = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name());
    let copies = names.filter(|name| name.to_str().unwrap().starts_with(".copy-"));
    assert_eq!(copies.count(), 1, "nor does this one leave anything");
}

#[tokio::test]
async fn a_copy_that_somebody_makes_right_now_is_left_alone() {
    let (_coordinator, state, other) = killed().await;
    let making = File::open(&state).unwrap();
    making.lock_shared().unwrap();

    copied(&state).await;

    assert!(other.join("db.sqlite").exists());
}
