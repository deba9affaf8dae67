use proptest::prelude::*;

use super::*;

fn laptop() -> Header {
    Header {
        source: "100.64.0.2:40000".parse().unwrap(),
        destination: "100.64.0.1:18789".parse().unwrap(),
        identity: Identity {
            v: VERSION,
            node: "n2".to_owned(),
            user: Some(User { id: 1, login: "mina".to_owned() }),
            tags: vec![],
            service: "gateway".to_owned(),
        },
        authority: None,
    }
}

fn tagged() -> Header {
    Header {
        source: "[fd7a:115c:a1e0::5]:50000".parse().unwrap(),
        destination: "[fd7a:115c:a1e0::1]:80".parse().unwrap(),
        identity: Identity {
            v: VERSION,
            node: "n5".to_owned(),
            user: None,
            tags: vec!["tag:ci".to_owned()],
            service: "telmeet".to_owned(),
        },
        authority: None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The header with its TLV section replaced.
fn with_tlvs(tlvs: &[u8]) -> Vec<u8> {
    let mut bytes = laptop().encode().unwrap();
    bytes.truncate(FIXED + 12);
    bytes.extend_from_slice(tlvs);
    let len = u16::try_from(12 + tlvs.len()).unwrap();
    bytes[14..16].copy_from_slice(&len.to_be_bytes());
    bytes
}

fn with_json(json: &str) -> Vec<u8> {
    let mut tlv = vec![TLV_IDENTITY];
    tlv.extend_from_slice(&u16::try_from(json.len()).unwrap().to_be_bytes());
    tlv.extend_from_slice(json.as_bytes());
    with_tlvs(&tlv)
}

#[test]
fn the_published_vectors_are_what_is_written_and_read() {
    let page = include_str!("../../../docs/protocols/mesh-identity.md");
    for (label, header) in [("v4 ", laptop()), ("v6 ", tagged())] {
        let vector = page.lines().find_map(|line| line.strip_prefix(label)).unwrap();
        let bytes = header.encode().unwrap();
        assert_eq!(hex(&bytes), vector);
        assert_eq!(Header::decode(&bytes).unwrap(), Some((header, bytes.len())));
    }
    let local = page.lines().find_map(|line| line.strip_prefix("local ")).unwrap();
    let bytes = LOCAL;
    assert_eq!(hex(&bytes), local);
    assert!(matches!(Header::decode(&bytes), Err(Error::Kind(0x20, 0))), "it is nobody");
}

#[test]
fn a_person_is_the_user_or_else_the_node() {
    assert_eq!(laptop().identity.person(), Person::User(1));
    assert_eq!(tagged().identity.person(), Person::Node("n5".to_owned()));
}

#[test]
fn a_person_has_one_name() {
    for (text, person) in [
        ("user:1", Person::User(1)),
        ("node:n5:x", Person::Node("n5:x".to_owned())),
        ("app:webui", Person::App("webui".to_owned())),
        ("room:!r:home", Person::Room("!r:home".to_owned())),
    ] {
        assert_eq!(text.parse::<Person>().unwrap(), person);
        assert_eq!(serde_json::to_value(&person).unwrap(), text);
    }
    for text in [
        "", "1", "user:", "user:x", "user:01", "user:+1", "user:-1", "node:", "app:", "room:",
        "tag:home",
    ] {
        assert_eq!(text.parse::<Person>(), Err(NotAPerson), "{text}");
    }
}

#[test]
fn what_follows_the_header_is_left_alone() {
    let mut bytes = laptop().encode().unwrap();
    let len = bytes.len();
    bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
    assert_eq!(Header::decode(&bytes).unwrap(), Some((laptop(), len)));
}

#[test]
fn http_is_refused_at_its_first_byte() {
    assert!(matches!(Header::decode(b"G"), Err(Error::Signature)));
}

#[test]
fn local_connections_and_other_families_are_refused() {
    for (at, value) in [(12, 0x20), (12, 0x11), (13, 0x00), (13, 0x12), (13, 0x31)] {
        let mut bytes = laptop().encode().unwrap();
        bytes[at] = value;
        assert!(matches!(Header::decode(&bytes), Err(Error::Kind(..))), "byte {at}");
    }
}

#[test]
fn another_version_is_refused_by_its_name() {
    let bytes = with_json(r#"{"v":2,"who":"n2"}"#);
    assert!(matches!(Header::decode(&bytes), Err(Error::Version(2))));
}

#[test]
fn json_with_less_or_more_than_the_version_has_is_refused() {
    for json in [
        r#"{"v":1,"node":"n2","user":null,"tags":[]}"#,
        r#"{"v":1,"node":"n2","user":null,"tags":[],"service":"s","admin":true}"#,
        r#"{"v":1,"node":"n2","user":null,"tags":[],"service":"s"}}"#,
    ] {
        assert!(matches!(Header::decode(&with_json(json)), Err(Error::Json(_))), "{json}");
    }
    let json = r#"{"v":1,"node":"","user":null,"tags":[],"service":"s"}"#;
    assert!(matches!(Header::decode(&with_json(json)), Err(Error::Node)));
}

#[test]
fn exactly_one_identity_is_needed() {
    assert!(matches!(Header::decode(&with_tlvs(&[])), Err(Error::Missing)));
    assert!(matches!(Header::decode(&with_tlvs(&[0x04, 0, 1, 9])), Err(Error::Missing)));
    let whole = laptop().encode().unwrap();
    let mut twice = whole[FIXED + 12..].to_vec();
    twice.extend_from_slice(&whole[FIXED + 12..]);
    assert!(matches!(Header::decode(&with_tlvs(&twice)), Err(Error::Missing)));
}

#[test]
fn unknown_tlvs_are_skipped() {
    let mut tlvs = vec![0x04, 0, 2, 7, 7];
    tlvs.extend_from_slice(&laptop().encode().unwrap()[FIXED + 12..]);
    let (header, _) = Header::decode(&with_tlvs(&tlvs)).unwrap().unwrap();
    assert_eq!(header, laptop());
}

#[test]
fn an_identity_that_is_too_long_is_not_written() {
    let mut header = laptop();
    header.identity.tags = vec!["x".repeat(MAX_IDENTITY)];
    assert!(matches!(header.encode(), Err(Error::TooLong)));
}

#[test]
fn the_name_of_tls_is_carried_once_and_only_as_text() {
    let json = serde_json::to_vec(&laptop().identity).unwrap();
    let tlv = |kind: u8, value: &[u8]| {
        let len = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[kind], &len[..], value].concat()
    };
    let identity = tlv(TLV_IDENTITY, &json);
    let decode = |rest: &[u8]| Header::decode(&with_tlvs(&[&identity, rest].concat()));

    let (header, _) = decode(&tlv(TLV_AUTHORITY, b"chat.maru.home.arpa")).unwrap().unwrap();
    assert_eq!(header.authority.as_deref(), Some("chat.maru.home.arpa"));
    let twice = [tlv(TLV_AUTHORITY, b"a"), tlv(TLV_AUTHORITY, b"b")].concat();
    assert!(matches!(decode(&twice), Err(Error::Authority)));
    assert!(matches!(decode(&tlv(TLV_AUTHORITY, b"\xff")), Err(Error::Authority)));
    let long = "a".repeat(MAX_AUTHORITY + 1);
    assert!(matches!(decode(&tlv(TLV_AUTHORITY, long.as_bytes())), Err(Error::TooLong)));
    let header = Header { authority: Some(long), ..laptop() };
    assert!(matches!(header.encode(), Err(Error::TooLong)));
}

#[test]
fn mixed_families_are_not_written() {
    let header = Header { source: tagged().source, ..laptop() };
    assert!(matches!(header.encode(), Err(Error::Family)));
}

fn any_header() -> impl Strategy<Value = Header> {
    let addresses = prop_oneof![
        any::<([u8; 4], [u8; 4])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
        any::<([u8; 16], [u8; 16])>().prop_map(|(a, b)| (IpAddr::from(a), IpAddr::from(b))),
    ];
    let user = prop::option::of((any::<u64>(), any::<String>()))
        .prop_map(|user| user.map(|(id, login)| User { id, login }));
    let tags = prop::collection::vec("[a-z:]{0,20}", 0..4);
    let authority = prop::option::of("[a-z.]{0,253}");
    let named = ("[^\\x00]{1,40}", user, tags, any::<String>());
    (addresses, any::<(u16, u16)>(), named, authority).prop_map(
        |((source, destination), (from, to), (node, user, tags, service), authority)| Header {
            source: (source, from).into(),
            destination: (destination, to).into(),
            identity: Identity { v: VERSION, node, user, tags, service },
            authority,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(header in any_header()) {
        let bytes = header.encode().unwrap();
        prop_assert!(bytes.len() <= MAX_HEADER);
        prop_assert_eq!(Header::decode(&bytes).unwrap(), Some((header, bytes.len())));
    }

    #[test]
    fn two_people_never_share_a_name(one in any_header(), other in any_header()) {
        let (one, other) = (one.identity.person(), other.identity.person());
        prop_assert_eq!(one.to_string().parse::<Person>(), Ok(one.clone()));
        prop_assert_eq!(one.to_string() == other.to_string(), one == other);
        // No header makes anyone a program of the service's own, or a room.
        prop_assert!(!matches!(one, Person::App(_) | Person::Room(_)));
    }

    #[test]
    fn arbitrary_text_is_one_person_or_none(text in any::<String>()) {
        if let Ok(person) = text.parse::<Person>() {
            prop_assert_eq!(person.to_string(), text);
        }
    }

    #[test]
    fn a_part_asks_for_more(header in any_header(), cut in any::<prop::sample::Index>()) {
        let bytes = header.encode().unwrap();
        prop_assert!(matches!(Header::decode(&bytes[..cut.index(bytes.len())]), Ok(None)));
    }

    #[test]
    fn arbitrary_bytes_never_panic(tail in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Header::decode(&tail);
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend_from_slice(&[PROXY_V2, TCP4]);
        bytes.extend_from_slice(&tail);
        let _ = Header::decode(&bytes);
    }

    #[test]
    fn a_flipped_byte_never_panics(
        header in any_header(),
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
    ) {
        let mut bytes = header.encode().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = Header::decode(&bytes);
    }

    #[test]
    fn enough_bytes_never_ask_for_more(tail in prop::collection::vec(any::<u8>(), MAX_HEADER)) {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend_from_slice(&[PROXY_V2, TCP6]);
        bytes.extend_from_slice(&tail);
        prop_assert!(!matches!(Header::decode(&bytes), Ok(None)));
    }
}
