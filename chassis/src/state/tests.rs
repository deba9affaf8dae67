use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{Format, StateError};

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    name: String,
    #[serde(default)]
    count: u32,
}

const FORMAT: Format<State> =
    Format::new(3).remedy(|| "join again".into()).earlier(|version, json| {
        #[derive(Deserialize)]
        struct Second {
            called: String,
        }
        let read = |json| serde_json::from_slice(json);
        (version == 2).then(|| read(json).map(|Second { called }| State { name: called, count: 0 }))
    });

fn kept(name: &str) -> State {
    State { name: name.to_owned(), count: 7 }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kept.json");
    (folder, path)
}

/// The error, once it is known that neither reading nor what follows it changed the file.
fn refused(path: &Path, text: &str) -> StateError {
    fs::write(path, text).unwrap();
    let error = FORMAT.read(path).unwrap_err();
    assert!(!FORMAT.create(path, &kept("new")).unwrap());
    assert_eq!(fs::read_to_string(path).unwrap(), text);
    let said = error.to_string();
    assert!(said.contains("kept.json") && !said.contains('\n'), "{said}");
    error
}

#[test]
fn a_file_is_read_as_it_was_written_by_its_owner_alone() {
    let (_folder, path) = folder();
    assert_eq!(FORMAT.read(&path).unwrap(), None);

    FORMAT.write(&path, &kept("a")).unwrap();

    assert_eq!(FORMAT.read(&path).unwrap(), Some(kept("a")));
    assert_eq!(fs::read_to_string(&path).unwrap(), r#"{"version":3,"name":"a","count":7}"#);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(!FORMAT.create(&path, &kept("b")).unwrap());
    assert_eq!(FORMAT.read(&path).unwrap(), Some(kept("a")));
}

#[test]
fn an_earlier_version_is_read_and_becomes_this_one() {
    let (_folder, path) = folder();
    fs::write(&path, r#"{"called":"b","version":2}"#).unwrap();

    let read = FORMAT.read(&path).unwrap().unwrap();
    assert_eq!(read, State { name: "b".to_owned(), count: 0 });
    FORMAT.write(&path, &read).unwrap();

    assert!(fs::read_to_string(&path).unwrap().contains(r#""version":3"#));
    assert_eq!(FORMAT.read(&path).unwrap(), Some(read));
}

#[test]
fn a_version_that_nobody_reads_any_more_is_refused() {
    let (_folder, path) = folder();
    let error = refused(&path, r#"{"version":1,"nom":"c"}"#);
    assert!(matches!(error, StateError::Older { found: 1, known: 3, .. }), "{error}");
    assert!(error.to_string().ends_with("join again"), "{error}");
}

#[test]
fn a_newer_version_is_refused_whatever_else_it_holds() {
    let (_folder, path) = folder();
    for text in [r#"{"version":4}"#, r#"{"version":18446744073709551615,"name":{"sealed":1}}"#] {
        let error = refused(&path, text);
        assert!(matches!(error, StateError::Newer { known: 3, .. }), "{error}");
        assert!(error.to_string().ends_with("update Maru"), "{error}");
    }
}

#[test]
fn a_torn_file_is_refused_at_its_place_and_not_quoted() {
    let (_folder, path) = folder();
    for text in [
        "",
        "\0\0\0\0",
        "{\n\"version\":3,\"name\":\"can",
        r#"{"version":3,"name":{"canary":1}}"#,
        r#"{"version":2,"called":["canary"]}"#,
        r#"{"version":"canary","name":"a"}"#,
        r#"{"version":-1,"name":"a"}"#,
        r#"{"name":"canary"}"#,
        r#"{"version":3,"name":"a"} canary"#,
    ] {
        let error = refused(&path, text);
        assert!(matches!(error, StateError::Damaged { .. }), "{error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("join again") && !shown.contains("canary"), "{shown}");
    }
    let error = refused(&path, "{\n\"version\":3,\"name\":\"can");
    assert!(error.to_string().contains("line 2, column 23"), "{error}");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let (folder, _) = folder();
    let path = folder.path().join("missing").join("kept.json");
    assert_eq!(FORMAT.read(&path).unwrap(), None);

    for error in [
        FORMAT.write(&path, &kept("a")).unwrap_err(),
        FORMAT.create(&path, &kept("a")).unwrap_err(),
    ] {
        assert!(matches!(error, StateError::Write { .. }), "{error}");
        assert!(error.to_string().contains("kept.json"), "{error}");
    }
    assert!(matches!(FORMAT.read(folder.path()).unwrap_err(), StateError::Read { .. }));
}
