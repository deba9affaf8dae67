use std::{fs, path::PathBuf};

use serde::Deserialize;

use super::{SettingsError, load};

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    port: u16,
    limits: Limits,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    burst: u8,
}

fn accept(settings: Settings) -> Result<Settings, String> {
    if settings.port == 7 { Err("port = 7 is taken".to_owned()) } else { Ok(settings) }
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn refused(text: &str) -> String {
    let (_folder, path) = file(text);
    let said = load(Some(&path), &path.with_extension("usual"), accept).unwrap_err().to_string();
    assert!(said.contains("a.toml") && !said.contains('\n'), "{said}");
    said
}

#[test]
fn what_is_named_is_read_and_not_the_usual_one() {
    let (_folder, usual) = file("port = 1");
    let (_other, named) = file("port = 2\n[limits]\nburst = 3\n");

    assert_eq!(load(None, &usual, accept).unwrap().port, 1);
    let settings = load(Some(&named), &usual, accept).unwrap();

    assert_eq!(settings, Settings { port: 2, limits: Limits { burst: 3 } });
}

#[test]
fn the_usual_file_may_be_missing_and_a_named_one_may_not() {
    let (folder, usual) = file("port = 1");
    let missing = folder.path().join("missing.toml");

    assert_eq!(load(None, &missing, accept).unwrap(), Settings::default());
    let error = load(Some(&missing), &usual, accept).unwrap_err();

    assert!(matches!(&error, SettingsError::Missing(path) if *path == missing), "{error}");
    let error = load(None, folder.path(), accept).unwrap_err();
    assert!(matches!(error, SettingsError::Read { .. }), "{error}");
}

#[test]
fn a_mistake_is_named_with_its_place() {
    for (text, said) in [
        ("# ours\nprot = 1\n", "line 2, column 1: unknown field `prot`"),
        ("port = 1\n[limits]\nburst = \"집\" # x\n", "line 3, column 9: invalid type"),
        ("port = \"집\", burst", "line 1, column 11: "),
        ("port = 70000", "line 1, column 8: "),
        ("port = 7", "a.toml: port = 7 is taken"),
    ] {
        let error = refused(text);
        assert!(error.contains(said), "{error}");
    }
}
