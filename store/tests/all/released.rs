//! A migration that was ever on `main` is never changed: databases have seen it.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

/// The migrations of all daemons and their hashes, as `sha256sum` prints them. Lines are added, never changed.
const RELEASED: &str = include_str!("../migrations.sha256");

#[test]
fn no_migration_of_any_daemon_is_changed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let released: BTreeMap<PathBuf, &str> = RELEASED
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(hash, file)| (file.into(), hash))
        .collect();
    let mut found = BTreeMap::new();
    for folder in folders(root).iter().filter(|folder| folder.ends_with("migrations")) {
        for file in fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let hash = hex::encode(Sha256::digest(fs::read(&path).unwrap()));
            found.insert(path.strip_prefix(root).unwrap().to_owned(), hash);
        }
    }
    for (file, hash) in &released {
        assert_eq!(
            found.get(file).map(String::as_str),
            Some(*hash),
            "{} was changed",
            file.display()
        );
    }
    for (file, hash) in &found {
        let line = format!("{hash}  {}", file.display());
        assert!(released.contains_key(file), "add to store/tests/migrations.sha256: {line}");
    }
}

/// The folders of the workspace, those of crates within folders, too.
fn folders(root: &Path) -> Vec<PathBuf> {
    let mut folders = vec![root.to_owned()];
    let mut at = 0;
    while let Some(folder) = folders.get(at).cloned() {
        at += 1;
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let name = entry.file_name();
            let is_source = name != "target" && !name.as_encoded_bytes().starts_with(b".");
            if is_source && entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    folders
}
