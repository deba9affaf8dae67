use proptest::prelude::*;

use super::*;

fn link(fragment: &str) -> String {
    format!("http://home.example:8443/join#{fragment}")
}

fn whole() -> String {
    link(&format!("1.{}.sesame", "ab".repeat(32)))
}

#[test]
fn an_invitation_names_address_key_and_secret() {
    let invitation = Invitation::parse(&format!(" {}\n", whole())).unwrap();
    assert_eq!(invitation.server_url, "http://home.example:8443");
    assert_eq!(invitation.noise_key, Some(MachinePublic::from_bytes([0xab; 32])));
    assert_eq!(invitation.auth_key.as_deref(), Some("sesame"));
    assert!(!format!("{invitation:?}").contains("sesame"));
}

#[test]
fn an_address_alone_is_taken() {
    for text in ["http://192.0.2.1:8443", "http://192.0.2.1:8443/", "http://[2001:db8::1]:8443"] {
        let invitation = Invitation::parse(text).unwrap();
        assert_eq!(invitation.server_url, text.trim_end_matches('/'));
        assert_eq!((invitation.noise_key, invitation.auth_key), (None, None));
    }
}

#[test]
fn what_is_no_invitation_is_named() {
    let key = "ab".repeat(32);
    for (text, error) in [
        ("https://home:8443".to_owned(), Error::Scheme),
        ("home:8443".to_owned(), Error::Scheme),
        ("http://".to_owned(), Error::Host),
        ("http://user@home".to_owned(), Error::Host),
        ("http://home:0".to_owned(), Error::Host),
        ("http://home:99999".to_owned(), Error::Host),
        ("http://[::1".to_owned(), Error::Host),
        ("http://home/admin".to_owned(), Error::Path),
        ("http://home/#1.2.3".to_owned(), Error::Path),
        ("http://home/join".to_owned(), Error::Incomplete),
        (link(""), Error::Incomplete),
        (link(&format!("1.{key}")), Error::Incomplete),
        (link(&format!("1.{key}.")), Error::Incomplete),
        (link("1.abcd.sesame"), Error::Incomplete),
        (link(&format!("2.{key}.sesame")), Error::Version("2".to_owned())),
    ] {
        assert_eq!(Invitation::parse(&text), Err(error), "{text}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        let _ = Invitation::parse(&text);
        let _ = Invitation::parse(&format!("http://{text}"));
        let _ = Invitation::parse(&link(&text));
    }

    #[test]
    fn a_link_cut_short_is_never_taken_for_whole(cut in 1..40_usize) {
        let whole = whole();
        let part = &whole[..whole.len() - cut];
        let read = Invitation::parse(part);
        // Only the pre-auth key's own end cannot be told from a shorter key.
        prop_assert!(cut < "sesame".len() || read.is_err());
    }
}
