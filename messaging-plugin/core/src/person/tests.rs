use std::collections::BTreeSet;

use common::foreign;
use proptest::prelude::*;

use super::{DISPLAY_NAME_MAX, LOCALPART_MAX, display_name, is_reserved, localpart, user_id};

#[test]
fn a_localpart_is_made_of_the_login() {
    let nobody = |_: &str| false;
    for (login, expected) in [
        ("kim", "kim"),
        ("Kim@example.com", "kim"),
        ("kim.minsu_1", "kim.minsu_1"),
        ("kim+work", "kimwork"),
        ("._kim", "kim"),
        ("민수", "person"),
        ("", "person"),
        ("@example.com", "person"),
        ("maru", "person-maru"),
        ("MARU@example.com", "person-maru"),
        ("root", "person-root"),
    ] {
        assert_eq!(localpart(login, nobody), expected, "{login}");
    }
}

#[test]
fn a_taken_localpart_gets_a_number() {
    let taken = BTreeSet::from(["kim", "kim-2", "person-maru"]);
    let is_taken = |name: &str| taken.contains(name);
    assert_eq!(localpart("kim@a.example", is_taken), "kim-3");
    assert_eq!(localpart("maru", is_taken), "person-maru-2");
    let long = "k".repeat(63);
    let first = localpart(&long, |_| false);
    assert_eq!(localpart(&long, |name| name == first).len(), LOCALPART_MAX);
}

#[test]
fn a_user_id_belongs_to_the_network() {
    assert_eq!(user_id("kim", "maru.home.arpa").unwrap(), "@kim:maru.home.arpa");
    assert!(user_id("kim", "not a network").is_err());
    assert!(user_id(&"k".repeat(LOCALPART_MAX), &"n".repeat(200)).is_ok());
    assert!(user_id("k", &"n".repeat(300)).is_err());
}

#[test]
fn a_display_name_is_cleaned() {
    for (text, expected) in [
        ("Kim", Some("Kim")),
        ("  Kim \t\n Min-su ", Some("Kim Min-su")),
        ("\u{202e}uraM", Some("uraM")),
        ("Ma\u{200b}ru\u{feff}", Some("Maru")),
        ("Ma\u{200d}ru", Some("Maru")),
        ("Kim\u{0}\u{7}\u{1b}[31m", Some("Kim[31m")),
        ("민수 👩\u{200d}👧", Some("민수 👩\u{200d}👧")),
        ("\u{3164}", None),
        (" \u{200d} ", None),
        ("", None),
    ] {
        assert_eq!(display_name(text).as_deref(), expected, "{text:?}");
    }
    assert_eq!(display_name(&"a".repeat(500)).unwrap().len(), DISPLAY_NAME_MAX);
}

proptest! {
    #[test]
    fn any_login_gets_a_localpart_of_its_own(logins in prop::collection::vec(".{0,80}", 0..20)) {
        let mut given = BTreeSet::new();
        for login in &logins {
            let name = localpart(login, |name| given.contains(name));
            prop_assert!((1..=LOCALPART_MAX).contains(&name.len()) && !is_reserved(&name));
            prop_assert!(user_id(&name, "maru.home.arpa").is_ok_and(|id| !id.is_historical()));
            prop_assert!(given.insert(name));
        }
    }

    #[test]
    fn no_display_name_steers_text(text in any::<String>()) {
        let Some(name) = display_name(&text) else { return Ok(()) };
        prop_assert!(!name.chars().any(foreign::steers));
        prop_assert!(name.chars().count() <= DISPLAY_NAME_MAX);
        prop_assert_eq!(name.trim(), &name);
        prop_assert_eq!(display_name(&name), Some(name));
    }
}
