use proptest::prelude::*;

use super::{HOME, NameError, RESERVED, check, check_tag, check_user, is_domain, is_label, unique};
use crate::model::Owner;

const PERSON: Owner = Owner::User(1);

#[test]
fn a_hostname_becomes_a_label() {
    let free = |_: &str| false;

    assert_eq!(unique("Kim's MacBook Pro.local", &PERSON, free), "kims-macbook-pro");
    assert_eq!(unique("--", &PERSON, free), "node");
    assert_eq!(unique("노트북", &PERSON, free), "node");
    assert_eq!(unique("laptop", &PERSON, |name| name == "laptop"), "laptop-1");
    assert_eq!(unique("chat", &PERSON, free), "chat-1");
    assert_eq!(unique("CHAT", &PERSON, free), "chat-1");
}

#[test]
fn a_chosen_name_is_checked() {
    assert_eq!(check("a.b", &PERSON, |_| false), Err(NameError::Label));
    assert_eq!(check("chat", &PERSON, |_| false), Err(NameError::Reserved));
    assert_eq!(check("laptop", &PERSON, |_| true), Err(NameError::Taken));
    assert_eq!(check("laptop", &PERSON, |_| false), Ok(()));
}

#[test]
fn only_the_home_node_is_called_home() {
    let owner = |tag: &str| Owner::tags(vec![tag.to_owned()]);

    assert_eq!(check("home", &PERSON, |_| false), Err(NameError::Reserved));
    assert_eq!(check("home", &owner("tag:kiosk"), |_| false), Err(NameError::Reserved));
    assert_eq!(check("home", &owner("tag:home"), |_| false), Ok(()));
    assert_eq!(unique("home.local", &PERSON, |_| false), "home-1");
    assert_eq!(unique("home", &owner("tag:home"), |_| false), "home");
}

#[test]
fn users_tags_and_domains_are_checked() {
    assert!(check_user("alice@example.com").is_ok() && check_user("user1").is_ok());
    assert!(
        check_user("alice@").is_err() && check_user("a@b@c").is_err() && check_user("a@@").is_err()
    );
    assert!(check_user("").is_err() && check_user("@a").is_err() && check_user("a b").is_err());
    assert!(check_tag("tag:home").is_ok());
    assert!(
        check_tag("home").is_err() && check_tag("tag:").is_err() && check_tag("tag:1a").is_err()
    );
    assert!(is_domain("maru.internal"));
    assert!(!is_domain("maru") && !is_domain("maru.internal.") && !is_domain("Maru.internal"));
}

proptest! {
    #[test]
    fn whatever_a_device_calls_itself_its_name_is_a_free_label(hostname in any::<String>(), taken in 0_usize..20) {
        let mut names: Vec<String> = Vec::new();
        for _ in 0..=taken {
            let name = unique(&hostname, &PERSON, |name| names.iter().any(|other| other == name));
            prop_assert!(is_label(&name), "{name:?}");
            prop_assert!(!RESERVED.contains(&name.as_str()) && name != HOME);
            prop_assert!(!names.contains(&name));
            names.push(name);
        }
    }
}
