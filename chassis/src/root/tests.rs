use std::{
    fs::{DirBuilder, Permissions},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _, chown, lchown, symlink},
};

use super::*;

const ALICE: u32 = 61_900;
const MALLORY: u32 = 61_901;

/// A folder that root owns and everybody may pass.
fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap()
}

fn make(path: &Path, mode: u32, uid: u32, gid: u32) {
    DirBuilder::new().mode(0o755).create(path).unwrap();
    chown(path, Some(uid), Some(gid)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// As a process of `uid` that was started by `sudo` finds it.
fn seen_by(uid: u32, sudo: Option<u32>, root: &Path) -> Result<(), String> {
    Walk::new(root, [Some(0), Some(uid), sudo]).run().map_err(|error| error.to_string())
}

#[test]
fn what_needs_no_look_is_taken() {
    assert!(check(Path::new("/")).is_ok());
    assert!(check(Path::new("/../.")).is_ok());
}

#[test]
fn a_folder_of_ones_own_is_taken_and_one_that_is_not_there_yet_too() {
    let folder = folder();

    check(folder.path()).unwrap();
    check(&folder.path().join("not/there/yet")).unwrap();
}

#[test]
fn a_file_or_a_ring_of_links_is_no_root() {
    let folder = folder();
    fs::write(folder.path().join("file"), "").unwrap();
    symlink("b", folder.path().join("a")).unwrap();
    symlink("a", folder.path().join("b")).unwrap();

    assert!(matches!(check(&folder.path().join("file/x")), Err(UnsafeRoot::NotAFolder { .. })));
    assert!(matches!(check(&folder.path().join("a")), Err(UnsafeRoot::Unknown { .. })));
}

#[test]
#[ignore = "needs: root"]
fn a_folder_belongs_to_root_or_to_who_runs_or_to_who_sudoed() {
    let folder = folder();
    let alices = folder.path().join("alice");
    make(&alices, 0o755, ALICE, ALICE);
    let below = alices.join("maru");

    let said = seen_by(0, None, &below).unwrap_err();
    let words = format!("{} belongs to uid {ALICE}", alices.display());
    assert!(said.contains(&words) && said.contains("sudo chown"), "{said}");
    assert!(seen_by(MALLORY, None, &below).is_err());
    assert!(seen_by(0, Some(MALLORY), &below).is_err());
    assert_eq!(seen_by(0, Some(ALICE), &below), Ok(()));
    assert_eq!(seen_by(ALICE, None, &below), Ok(()));

    // Below a folder of root's again.
    make(&below, 0o755, 0, 0);
    assert!(seen_by(0, None, &below).is_err());
}

#[test]
#[ignore = "needs: root"]
fn nobody_else_may_write_unless_the_sticky_bit_is_set() {
    let folder = folder();
    for (name, mode, gid, words) in [
        ("others", 0o757, 0, Some(("everybody may write", "chmod o-w"))),
        ("all", 0o777, ALICE, Some(("everybody may write", "chmod go-w"))),
        ("group", 0o775, ALICE, Some(("group 61900 may write", "chmod g-w"))),
        ("roots-group", 0o775, 0, None),
        ("sticky", 0o1777, ALICE, None),
        ("private", 0o700, ALICE, None),
    ] {
        let at = folder.path().join(name);
        make(&at, mode, 0, gid);
        for root in [at.clone(), at.join("not/there/yet")] {
            let said = seen_by(0, None, &root);
            match (&said, words) {
                (Ok(()), None) => {}
                (Err(said), Some((whom, advice))) => {
                    assert!(said.contains(&format!("{whom} {}", at.display())), "{said}");
                    assert!(said.contains(advice), "{said}");
                }
                (Ok(()) | Err(_), _) => panic!("{name}: {said:?}"),
            }
        }
    }
}

#[test]
#[ignore = "needs: root"]
fn a_link_is_checked_where_it_lies_and_where_it_leads() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    make(&at("good"), 0o755, 0, 0);
    make(&at("mallory"), 0o755, MALLORY, MALLORY);
    make(&at("tmp"), 0o1777, 0, 0);
    // From a good folder to a bad one, from a bad one to a good one, a stranger's link in /tmp.
    symlink(at("mallory"), at("to-bad")).unwrap();
    symlink(at("good"), at("mallory/to-good")).unwrap();
    symlink(at("good"), at("tmp/strangers")).unwrap();
    lchown(at("tmp/strangers"), Some(MALLORY), Some(MALLORY)).unwrap();
    symlink("good", at("to-good")).unwrap();
    symlink("../good", at("tmp/own")).unwrap();
    symlink("good/../mallory/x", at("dots")).unwrap();

    for good in ["good", "to-good", "to-good/x", "tmp/own", "tmp/x"] {
        assert_eq!(seen_by(0, None, &at(good)), Ok(()), "{good}");
    }
    for (bad, culprit) in [
        ("to-bad", "mallory"),
        ("to-bad/x", "mallory"),
        ("mallory/to-good", "mallory"),
        ("tmp/strangers", "tmp/strangers"),
        ("dots", "mallory"),
    ] {
        let said = seen_by(0, None, &at(bad)).unwrap_err();
        assert!(said.contains(&format!("{} belongs", at(culprit).display())), "{bad}: {said}");
    }
}

#[test]
#[ignore = "needs: root"]
fn a_folder_that_this_user_cannot_enter_is_named() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    make(&at("private"), 0o700, 0, 0);
    make(&at("private/root"), 0o755, 0, 0);
    make(&at("open"), 0o755, 0, 0);
    symlink(at("private/root"), at("link")).unwrap();
    let seen = |root: PathBuf| {
        let look = || check(&root).map_err(|error| error.to_string());
        crate::process::as_user(ALICE, ALICE, look).unwrap()
    };

    assert_eq!(seen(at("open/not/there/yet")), Ok(()));
    // Entered from without, below it, not there yet, and where a link leads.
    for closed in ["private", "private/root", "private/none", "link"] {
        let said = seen(at(closed)).unwrap_err();
        let words = format!(
            "uid {ALICE}, as which this program runs, cannot enter {}; ",
            at("private").display()
        );
        assert!(said.contains(&words) && said.contains("chmod o+x"), "{closed}: {said}");
        assert!(check(&at(closed)).is_ok(), "root enters");
    }
}
