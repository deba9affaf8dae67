use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use proptest::prelude::*;

use super::{
    HOME, NameError, check, check_tag, check_user, is_domain, is_label, is_reserved, is_same,
    label, not_a_label, unique,
};
use crate::model::Owner;

const PERSON: Owner = Owner::User(1);

#[test]
fn a_hostname_becomes_a_label() {
    let free = |_: &str| false;

    assert_eq!(unique("Kim's MacBook Pro.local", &PERSON, free), "kims-macbook-pro");
    assert_eq!(unique("--", &PERSON, free), "node");
    assert_eq!(unique("Kim’s Café", &PERSON, free), "kims-cafe");
    assert_eq!(unique("laptop", &PERSON, |name| name == "laptop"), "laptop-1");
    assert_eq!(unique("chat", &PERSON, free), "chat-1");
    assert_eq!(unique("CHAT", &PERSON, free), "chat-1");
}

#[test]
fn hangul_is_romanised_and_what_cannot_be_is_left_out() {
    let name = |hostname: &str| unique(hostname, &PERSON, |_| false);

    assert_eq!(name("민수의 노트북"), "minsuui-noteubuk");
    assert_eq!(name("서울.local"), "seoul");
    assert_eq!(name("값읽닭 까치"), "gapikdak-kkachi");
    assert_eq!(name("ㅋㅋㅋ"), "kkk");
    assert_eq!(name("王的MacBook"), "macbook");
    assert_eq!((name("电脑"), name("ㅇ")), ("node".to_owned(), "node".to_owned()));
    assert_eq!(unique("电脑", &PERSON, |name| name == "node"), "node-1");
    assert_eq!(unique("홈", &PERSON, |name| name == "hom"), "hom-1");
    assert_eq!(name(&"꽃".repeat(60)), "kkot".repeat(16)[..63]);
}

#[test]
fn every_syllable_is_romanised_from_its_parts() {
    let syllable = |parts: [u32; 3]| {
        char::from_u32(0xac00 + (parts[0] * 21 + parts[1]) * 28 + parts[2]).unwrap()
    };
    for initial in 0..19 {
        for vowel in 0..21 {
            for last in 0..28 {
                let whole = syllable([initial, vowel, last]);
                let parts = [
                    Some(0x1100 + initial),
                    Some(0x1161 + vowel),
                    (last > 0).then_some(0x11a7 + last),
                ];
                let parts: String =
                    parts.into_iter().flatten().filter_map(char::from_u32).collect();
                let name = label::of(&whole.to_string()).unwrap_or_default();
                assert_eq!(label::of(&parts).unwrap_or_default(), name, "{whole}");
                assert!(name.bytes().all(|byte| byte.is_ascii_lowercase()), "{whole}: {name}");
                assert!(is_same(&parts, &whole.to_string()));
            }
        }
    }
}

#[test]
fn a_name_in_other_letters_is_refused_with_one_that_would_do() {
    let refused = |name: &str| check(name, &PERSON, |_| false).unwrap_err();

    assert_eq!(refused("노트북"), NameError::Letters("noteubuk".to_owned()));
    assert!(refused("노트북").to_string().ends_with("\"noteubuk\""), "{}", refused("노트북"));
    assert_eq!(refused("电脑"), NameError::Label);
    assert_eq!(not_a_label("a b"), NameError::Label);
}

#[test]
fn a_chosen_name_is_checked() {
    assert_eq!(check("a.b", &PERSON, |_| false), Err(NameError::Label));
    for name in ["chat", "rooms", "telmeet"] {
        assert_eq!(check(name, &PERSON, |_| false), Err(NameError::Reserved), "{name}");
    }
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
    assert!(is_domain("maru.home.arpa"));
    assert!(!is_domain("maru") && !is_domain("maru.home.arpa.") && !is_domain("Maru.internal"));
}

/// Any text, with the letters that devices are called by more often than chance would.
fn hostname() -> impl Strategy<Value = String> {
    let letters = prop_oneof![
        Just(any::<char>().boxed()),
        Just(prop::char::range('\u{ac00}', '\u{d7a3}').boxed()),
        Just(prop::char::range('\u{1100}', '\u{11ff}').boxed()),
        Just(prop::char::range('\u{3131}', '\u{318e}').boxed()),
        Just(prop::char::range('\u{c0}', '\u{24f}').boxed()),
        Just(prop::char::range('\u{300}', '\u{36f}').boxed()),
        Just(prop::char::range(' ', 'z').boxed()),
    ];
    let letter = letters.prop_flat_map(|letters| letters);
    prop_oneof![any::<String>(), prop::collection::vec(letter, 0..100).prop_map(String::from_iter)]
}

proptest! {
    #[test]
    fn a_name_in_parts_and_in_one_is_the_same(hostname in hostname()) {
        let parts = DecomposingNormalizerBorrowed::new_nfd().normalize(&hostname).into_owned();
        let one = ComposingNormalizerBorrowed::new_nfc().normalize(&hostname).into_owned();
        let name = unique(&hostname, &PERSON, |_| false);

        prop_assert_eq!(unique(&parts, &PERSON, |_| false), name.clone());
        prop_assert_eq!(unique(&one, &PERSON, |_| false), name);
        prop_assert!(is_same(&parts, &one) && is_same(&hostname, &one));
    }

    #[test]
    fn whatever_a_device_calls_itself_its_name_is_a_free_label(hostname in hostname(), taken in 0_usize..20) {
        let mut names: Vec<String> = Vec::new();
        for _ in 0..=taken {
            let name = unique(&hostname, &PERSON, |name| names.iter().any(|other| other == name));
            prop_assert!(is_label(&name), "{name:?}");
            prop_assert!(!is_reserved(&name) && name != HOME);
            prop_assert!(!names.contains(&name));
            names.push(name);
        }
    }
}
