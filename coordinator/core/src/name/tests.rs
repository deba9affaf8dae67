use proptest::prelude::*;

use super::{NameError, RESERVED, check, check_tag, check_user, is_domain, is_label, unique};

#[test]
fn a_hostname_becomes_a_label() {
    let free = |_: &str| false;

    assert_eq!(unique("Kim's MacBook Pro.local", free), "kims-macbook-pro");
    assert_eq!(unique("--", free), "node");
    assert_eq!(unique("노트북", free), "node");
    assert_eq!(unique("laptop", |name| name == "laptop"), "laptop-1");
    assert_eq!(unique("chat", free), "chat-1");
    assert_eq!(unique("CHAT", free), "chat-1");
}

#[test]
fn a_chosen_name_is_checked() {
    assert_eq!(check("a.b", |_| false), Err(NameError::Label));
    assert_eq!(check("chat", |_| false), Err(NameError::Reserved));
    assert_eq!(check("laptop", |_| true), Err(NameError::Taken));
    assert_eq!(check("laptop", |_| false), Ok(()));
}

#[test]
fn users_tags_and_domains_are_checked() {
    assert!(check_user("alice@example.com").is_ok() && check_user("user1").is_ok());
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
            let name = unique(&hostname, |name| names.iter().any(|other| other == name));
            prop_assert!(is_label(&name), "{name:?}");
            prop_assert!(!RESERVED.contains(&name.as_str()));
            prop_assert!(!names.contains(&name));
            names.push(name);
        }
    }
}
