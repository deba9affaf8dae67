use proptest::prelude::*;

use super::*;

const NOISE: [u8; 32] = [0xab; 32];

fn auth_key() -> String {
    format!("{AUTH_KEY_PREFIX}{}", "5e".repeat(AUTH_KEY_RANDOM_LEN))
}

fn whole(start: &str) -> String {
    format!("{start}#1.{}.{}", "ab".repeat(32), auth_key())
}

fn invitation(server: &str) -> Invitation {
    Invitation {
        server: ServerUrl::parse(server).unwrap(),
        noise_key: MachinePublic::from_bytes(NOISE),
        auth_key: Secret::new(auth_key()),
    }
}

fn read(text: &str) -> Result<Invitation, Error> {
    match Destination::read(text)? {
        Destination::Invitation(invitation) => Ok(invitation),
        Destination::Address(server) => panic!("an address alone: {server}"),
    }
}

#[test]
fn no_browser_opens_what_leads_to_plain_http() {
    let text = invitation("http://home.example:8443").to_text();
    assert_eq!(text.reveal(), whole("maru://home.example:8443/join"));

    let text = invitation("https://home.example").to_text();
    assert_eq!(text.reveal(), whole("https://home.example/join"));
}

#[test]
fn an_invitation_names_address_key_and_secret() {
    for (start, server) in [
        ("maru://home.example:8443/join", "http://home.example:8443"),
        ("http://home.example:8443/join", "http://home.example:8443"),
        ("https://home.example/join", "https://home.example"),
        ("Maru://Home.Example:8443/join", "http://home.example:8443"),
        ("HTTPS://[2001:DB8::1]:443/join", "https://[2001:db8::1]:443"),
    ] {
        let read = read(&whole(start)).unwrap();
        assert_eq!(read, invitation(server), "{start}");
        assert_eq!(read.server.to_string(), server);
    }
}

#[test]
fn what_a_messenger_adds_is_passed_over() {
    let text = whole("maru://home.example:8443/join");
    let (start, end) = text.split_at(50);
    for text in [
        format!("  {text}\r\n\n"),
        format!("{start}\n    {end}"),
        format!("\u{feff}{start}\u{200b}{end}\u{a0}"),
        format!("'{text}'"),
        format!("<{text}>"),
        text.replace('.', ".\n"),
    ] {
        assert_eq!(read(&text), Ok(invitation("http://home.example:8443")), "{text}");
    }
    // Blanks within an address alone are a mistake: who knows where it would lead.
    assert_eq!(Destination::read("http://home .example"), Err(Error::Host));
}

#[test]
fn an_address_alone_is_taken() {
    for text in ["http://192.0.2.1:8443", "http://192.0.2.1:8443/", " http://192.0.2.1:8443\n"] {
        let Ok(Destination::Address(server)) = Destination::read(text) else { panic!("{text}") };
        assert_eq!(
            (server.to_string().as_str(), server.host()),
            ("http://192.0.2.1:8443", "192.0.2.1")
        );
        assert!(server.is_plain());
    }
    let server = ServerUrl::parse("https://[2001:db8::1]:8443").unwrap();
    assert_eq!((server.host(), server.is_plain()), ("2001:db8::1", false));
}

#[test]
fn what_is_no_invitation_is_named() {
    let (key, auth) = ("ab".repeat(32), auth_key());
    let link = |fragment: &str| format!("maru://home/join#{fragment}");
    for (text, error) in [
        ("ftp://home:8443".to_owned(), Error::Scheme),
        ("home:8443".to_owned(), Error::Scheme),
        (format!("//home/join#1.{key}.{auth}"), Error::Scheme),
        (String::new(), Error::Scheme),
        ("maru://".to_owned(), Error::Host),
        ("maru://home:8443".to_owned(), Error::Incomplete),
        ("Maru://home/".to_owned(), Error::Incomplete),
        ("http://user@home".to_owned(), Error::Host),
        ("http://home:0".to_owned(), Error::Host),
        ("http://home:+80".to_owned(), Error::Host),
        ("http://home:99999".to_owned(), Error::Host),
        ("http://[::1".to_owned(), Error::Host),
        ("http://home/admin".to_owned(), Error::Path),
        ("http://home/#1.2.3".to_owned(), Error::Path),
        ("maru://home/join".to_owned(), Error::Fragment),
        (link(""), Error::Fragment),
        (link("1"), Error::Incomplete),
        (link(&format!("1.{key}")), Error::Incomplete),
        (link(&format!("1.{key}.")), Error::Incomplete),
        (link(&format!("1.abcd.{auth}")), Error::Incomplete),
        (link(&format!("1.{key}.tskey-auth-1")), Error::Incomplete),
        (link(&format!("1.{key}.{auth}.")), Error::Trailing),
        (link(&format!("1.{key}.{auth} Bye!")), Error::Trailing),
        (link(&format!("2.{key}.{auth}")), Error::Version("2".to_owned())),
        (format!("{}{}", link("1."), "a".repeat(MAX_LEN)), Error::TooLong),
    ] {
        assert_eq!(Destination::read(&text), Err(error), "{text}");
    }
}

/// Every part of the sentence that a person reads, and of what a log could hold.
fn said(text: &str) -> String {
    match Destination::read(text) {
        Ok(read) => format!("{read:?}"),
        Err(error) => format!("{error} {error:?}"),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        secure in any::<bool>(),
        host in "[a-z0-9]([a-z0-9.-]{0,30}[a-z0-9])?|\\[::[0-9a-f]{1,4}\\]",
        port in prop::option::of(1..=u16::MAX),
        noise_key in any::<[u8; 32]>(),
        random in any::<[u8; AUTH_KEY_RANDOM_LEN]>(),
        blanks in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let scheme = if secure { "https" } else { "http" };
        let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let written = Invitation {
            server: ServerUrl::parse(&format!("{scheme}://{host}{port}")).unwrap(),
            noise_key: MachinePublic::from_bytes(noise_key),
            auth_key: Secret::new(format!("{AUTH_KEY_PREFIX}{digits}")),
        };
        let mut text = written.to_text().reveal().to_owned();
        prop_assert!(!text.starts_with("http://"));
        for blank in blanks {
            text.insert(blank.index(text.len()), '\n');
        }
        prop_assert!(!said(&text).contains(&digits));
        prop_assert_eq!(read(&text), Ok(written));
    }

    #[test]
    fn arbitrary_text_never_panics_and_is_not_repeated(text in any::<String>()) {
        let _ = Destination::read(&text);
        let _ = ServerUrl::parse(&format!("http://{text}"));
        let _ = Destination::read(&format!("maru://home/join#{text}"));
        let secret = format!("5ec7e7{text}");
        let read = said(&format!("maru://home/join#1.{}.{secret}", "ab".repeat(32)));
        prop_assert!(!read.contains("5ec7e7"), "{read}");
    }

    #[test]
    fn one_cut_short_is_never_taken_for_whole(cut in 1..130_usize) {
        let whole = whole("maru://home/join");
        prop_assert!(read(&whole[..whole.len() - cut]).is_err());
    }
}
