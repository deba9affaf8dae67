//! The router's messages: they survive writing, unknown evidence types too, and what breaks a bound is refused.

use confidential_api::{
    Malformed, NodeId,
    badge::Badge,
    evidence::{EvidenceList, EvidencePiece, EvidenceType, PIECES_MAX},
    names::{CANDIDATES_MAX, EVIDENCE_MAX, MANIFESTS_MAX, TAG_MAX},
    node::{NodeEvent, NodeStatus, RoutingInfo},
    policy::Registers,
    quote::{QUOTE_MAX, TpmQuote},
    routing::{
        AttestRequest, ComputeCandidate, ComputeManifest, ComputeManifestList,
        ComputeManifestRequest, ComputeRequestInfo,
    },
};
use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use uuid::Uuid;

fn id() -> impl Strategy<Value = NodeId> {
    any::<[u8; 16]>().prop_map(|bytes| {
        let uuid = uuid::Builder::from_bytes(bytes).with_version(uuid::Version::SortRand);
        NodeId::new(uuid.with_variant(uuid::Variant::RFC4122).into_uuid()).unwrap()
    })
}

fn some_id() -> NodeId {
    "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
}

prop_compose! {
    fn piece()(
        kind in any::<i32>(),
        data in prop::collection::vec(any::<u8>(), 0..64),
        signature in prop::collection::vec(any::<u8>(), 0..64),
    ) -> EvidencePiece {
        EvidencePiece { kind: EvidenceType(kind), data, signature }
    }
}

fn evidence() -> impl Strategy<Value = EvidenceList> {
    prop::collection::vec(piece(), 0..6).prop_map(EvidenceList)
}

fn tags() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set("[a-z=]{1,12}", 1..5).prop_map(|set| set.into_iter().collect())
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        (node, nonce, index, at_ms) in (id(), any::<[u8; 32]>(), 0..i64::MAX as u64, -1_000_000_000_000..1_000_000_000_000_000_i64),
        (evidence, tags, key, limit) in (evidence(), tags(), prop::collection::vec(any::<u8>(), 1..200), 0..=MANIFESTS_MAX),
    ) {
        prop_assert_eq!(&EvidenceList::decode(&evidence.encode()).unwrap(), &evidence);
        let attest = AttestRequest { node, nonce };
        prop_assert_eq!(AttestRequest::decode(&attest.encode()).unwrap(), attest);
        let request = ComputeManifestRequest { tags: tags.clone(), limit };
        prop_assert_eq!(ComputeManifestRequest::decode(&request.encode()).unwrap(), request);
        let candidates = vec![ComputeCandidate { id: node, encapsulated_key: key }];
        let info = ComputeRequestInfo { candidates };
        prop_assert_eq!(&ComputeRequestInfo::decode_text(info.encode_text().as_bytes()).unwrap(), &info);
        let manifest = ComputeManifest { id: node, tags: tags.clone(), evidence: evidence.clone() };
        let list = ComputeManifestList(vec![manifest]);
        prop_assert_eq!(&ComputeManifestList::decode(&list.encode()).unwrap(), &list);
        let mut appended = Vec::new();
        list.0.iter().for_each(|it| ComputeManifestList::append(&mut appended, &it.encode()));
        prop_assert_eq!(appended, list.encode());
        let (url, healthcheck_url) = ("https://node:8081/".to_owned(), "https://node/_health".to_owned());
        let alive = NodeStatus::Alive(Box::new(RoutingInfo { url, healthcheck_url, tags, evidence }));
        for what in [alive, NodeStatus::Shutdown] {
            let event = NodeEvent { node, index, at_ms, what };
            prop_assert_eq!(&NodeEvent::decode(&event.encode()).unwrap(), &event);
        }
    }

    /// Whatever comes, it is refused or read, and what was read is written and read again.
    #[test]
    fn any_bytes_are_refused_or_read_the_same_again(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(it) = EvidenceList::decode(&bytes) {
            prop_assert_eq!(EvidenceList::decode(&it.encode()).unwrap(), it);
        }
        if let Ok(it) = NodeEvent::decode(&bytes) {
            prop_assert_eq!(NodeEvent::decode(&it.encode()).unwrap(), it);
        }
        if let Ok(it) = ComputeManifestRequest::decode(&bytes) {
            prop_assert_eq!(ComputeManifestRequest::decode(&it.encode()).unwrap(), it);
        }
        if let Ok(it) = ComputeRequestInfo::decode(&bytes) {
            prop_assert_eq!(ComputeRequestInfo::decode(&it.encode()).unwrap(), it);
        }
        if let Ok(it) = TpmQuote::decode(&bytes) {
            prop_assert_eq!(TpmQuote::decode(&it.encode()).unwrap(), it);
        }
        let _ = (ComputeManifestList::decode(&bytes), AttestRequest::decode(&bytes), Badge::decode_text(&bytes));
    }
}

#[test]
fn bytes_of_the_stock_encoding_are_read() {
    // As google.golang.org/protobuf writes it: numbers 1 and 4 of a candidate, 1 of the list.
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let mut candidate = vec![0x0a, 36];
    candidate.extend_from_slice(id.as_bytes());
    candidate.extend_from_slice(&[0x22, 3, 7, 8, 9]);
    let mut list = vec![0x0a, u8::try_from(candidate.len()).unwrap()];
    list.append(&mut candidate);

    let info = ComputeRequestInfo::decode(&list).unwrap();

    assert_eq!(info.candidates[0].id.to_string(), id);
    assert_eq!(info.candidates[0].encapsulated_key, [7, 8, 9]);
    assert_eq!(info.encode(), list);
}

fn quote() -> impl Strategy<Value = TpmQuote> {
    let attest = prop::collection::vec(any::<u8>(), 0..200);
    let values = prop::collection::vec(any::<u8>(), 32);
    let registers = prop::collection::btree_map(0..32_u8, values, 0..32);
    (attest, registers)
        .prop_map(|(attest, registers)| TpmQuote { attest, registers: Registers(registers) })
}

proptest! {
    /// A quote has one form but for the order of its registers: with any other byte it says something else, or nothing.
    #[test]
    fn a_quote_is_read_as_it_was_written(
        quote in quote(),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
    ) {
        let bytes = quote.encode();
        prop_assert_eq!(&TpmQuote::decode(&bytes).unwrap(), &quote);
        let mut longer = bytes.clone();
        longer.insert(at.index(bytes.len() + 1), with);
        if let Ok(other) = TpmQuote::decode(&longer) {
            prop_assert_eq!(other.encode().len(), longer.len());
        }
        let mut changed = bytes.clone();
        let at = at.index(bytes.len());
        changed[at] ^= with.max(1);
        prop_assert!(TpmQuote::decode(&changed) != Ok(quote));
    }
}

/// As google.golang.org/protobuf writes it: a map's entries in any order, each with key and value, also zeros.
#[test]
fn a_quote_of_the_stock_encoding_is_read() {
    let entry = |index, value: u8| [&[0x0a, 36, 0x08, index, 0x12, 32][..], &[value; 32]].concat();
    let stock = |entries: &[Vec<u8>]| {
        let entries = entries.concat();
        let len = u8::try_from(entries.len()).unwrap();
        [&[0x0a, 2, 0xff, 0x54, 0x12, len][..], &entries].concat()
    };

    let quote = TpmQuote::decode(&stock(&[entry(12, 7), entry(0, 0)])).unwrap();

    assert_eq!(quote.attest, [0xff, 0x54]);
    assert_eq!(quote.registers.0, [(0, vec![0; 32]), (12, vec![7; 32])].into());
    assert_eq!(quote.encode(), stock(&[entry(0, 0), entry(12, 7)]));
    let whole = stock(&[entry(8, 1)]);
    for (what, bytes) in [
        ("a register twice", stock(&[entry(8, 1), entry(8, 2)])),
        ("a register without a number", stock(&[vec![0x0a, 2, 0x12, 0]])),
        ("a register without a value", stock(&[vec![0x0a, 2, 0x08, 8]])),
        ("a register that there is not", stock(&[entry(32, 1)])),
        ("a short register", stock(&[vec![0x0a, 5, 0x08, 8, 0x12, 1, 7]])),
        ("a field that nobody knows", [&whole[..], &[0x18, 1]].concat()),
        ("what is signed twice", [&whole[..4], &whole].concat()),
        ("a longer integer", [&[0x0a, 0x82, 0], &whole[2..]].concat()),
        ("no registers", whole[..4].to_vec()),
        ("nothing", Vec::new()),
    ] {
        assert!(TpmQuote::decode(&bytes).is_err(), "{what}");
    }
    let attest = vec![0; QUOTE_MAX];
    let long = TpmQuote { attest, registers: Registers::default() }.encode();
    assert!(TpmQuote::decode(&long).unwrap_err().to_string().contains("4 KiB"));
}

#[test]
fn a_node_has_a_uuid_of_version_7() {
    for text in ["", "01890a5dac96774bbcceb302099a8057", "936da01f-9abd-4d9d-80c7-02af85c822a8"] {
        assert!(text.parse::<NodeId>().is_err(), "{text}");
    }
    assert_eq!(NodeId::new(Uuid::nil()), None);
}

#[test]
fn what_breaks_a_bound_is_refused() {
    fn refused<T: std::fmt::Debug>(result: Result<T, Malformed>) -> String {
        result.unwrap_err().to_string()
    }
    let id = some_id();
    let piece = |data| EvidencePiece { kind: EvidenceType(1), data, signature: vec![] };

    let request = |tags, limit| ComputeManifestRequest { tags, limit }.encode();
    assert!(ComputeManifestRequest::decode(&request(vec![], MANIFESTS_MAX)).is_ok());
    assert!(
        refused(ComputeManifestRequest::decode(&request(vec![], MANIFESTS_MAX + 1)))
            .contains("500")
    );
    let long = vec!["t".repeat(TAG_MAX + 1)];
    assert!(refused(ComputeManifestRequest::decode(&request(long, 1))).contains("512"));

    let evidence = EvidenceList(vec![piece(vec![0; EVIDENCE_MAX])]).encode();
    assert!(refused(EvidenceList::decode(&evidence)).contains("1 MiB"));
    let evidence = EvidenceList(vec![piece(vec![]); PIECES_MAX + 1]).encode();
    assert!(refused(EvidenceList::decode(&evidence)).contains("64"));

    let candidate = |key: usize| ComputeCandidate { id, encapsulated_key: vec![1; key] };
    let info = |candidates| ComputeRequestInfo { candidates }.encode();
    for candidates in [vec![], vec![candidate(0)], vec![candidate(2049)], vec![candidate(3); 2]] {
        assert!(ComputeRequestInfo::decode(&info(candidates)).is_err());
    }
    assert!(ComputeRequestInfo::decode(&info(vec![candidate(3); CANDIDATES_MAX + 1])).is_err());
    assert!(ComputeRequestInfo::decode_text(b"not base64").is_err());
}

#[test]
fn a_badge_is_from_who_signed_it() {
    let (key, other) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
    let badge = Badge::sign(vec!["smollm2".to_owned(), "qwen".to_owned()], &key).unwrap();

    let mut read = Badge::decode_text(badge.encode_text().as_bytes()).unwrap();

    assert_eq!(read, badge);
    assert_eq!(read.models, ["qwen", "smollm2"]);
    let public = |key: &SigningKey| common::wire::Fixed(key.verifying_key().to_bytes());
    assert!(read.is_from(&public(&key)) && !read.is_from(&public(&other)));
    read.models.push("zephyr".to_owned());
    assert!(!read.is_from(&public(&key)));
    assert!(Badge::sign(vec![String::new()], &key).is_err());
}
