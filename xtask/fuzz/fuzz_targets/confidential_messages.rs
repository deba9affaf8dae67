//! What relay, router and nodes of the confidential chain tell one another, in protobuf, and badges.
#![no_main]

use confidential_api::{
    badge::Badge,
    evidence::{EvidenceList, PIECES_MAX},
    names::{CANDIDATES_MAX, EVIDENCE_MAX, MANIFESTS_MAX, TAG_MAX},
    node::{NodeEvent, NodeStatus},
    quote::TpmQuote,
    routing::{AttestRequest, ComputeManifestList, ComputeManifestRequest, ComputeRequestInfo},
};
use libfuzzer_sys::fuzz_target;

fn evidence(list: &EvidenceList) {
    let bytes: usize = list.0.iter().map(|piece| piece.data.len() + piece.signature.len()).sum();
    assert!(list.0.len() <= PIECES_MAX && bytes <= EVIDENCE_MAX);
}

fn tags(tags: &[String]) {
    assert!(tags.iter().all(|tag| tag.len() <= TAG_MAX) && tags.is_sorted());
}

fuzz_target!(|bytes: &[u8]| {
    if let Ok(list) = EvidenceList::decode(bytes) {
        evidence(&list);
        assert_eq!(EvidenceList::decode(&list.encode()).as_ref(), Ok(&list));
    }
    if let Ok(event) = NodeEvent::decode(bytes) {
        if let NodeStatus::Alive(info) = &event.what {
            evidence(&info.evidence);
            tags(&info.tags);
            assert!(!info.tags.is_empty() && info.url.contains("://"));
        }
        assert_eq!(NodeEvent::decode(&event.encode()).as_ref(), Ok(&event));
    }
    if let Ok(list) = ComputeManifestList::decode(bytes) {
        assert!(list.0.len() <= MANIFESTS_MAX);
        let mut appended = Vec::new();
        for manifest in &list.0 {
            evidence(&manifest.evidence);
            tags(&manifest.tags);
            ComputeManifestList::append(&mut appended, &manifest.encode());
        }
        assert_eq!(appended, list.encode());
        assert_eq!(ComputeManifestList::decode(&appended).as_ref(), Ok(&list));
    }
    if let Ok(request) = ComputeManifestRequest::decode(bytes) {
        assert!(request.limit <= MANIFESTS_MAX);
        assert_eq!(ComputeManifestRequest::decode(&request.encode()).as_ref(), Ok(&request));
    }
    for info in [ComputeRequestInfo::decode(bytes), ComputeRequestInfo::decode_text(bytes)] {
        let Ok(info) = info else { continue };
        assert!((1..=CANDIDATES_MAX).contains(&info.candidates.len()));
        let text = info.encode_text();
        assert_eq!(ComputeRequestInfo::decode_text(text.as_bytes()).as_ref(), Ok(&info));
    }
    if let Ok(quote) = TpmQuote::decode(bytes) {
        assert!(quote.registers.0.iter().all(|(index, value)| *index < 32 && value.len() == 32));
        assert_eq!(TpmQuote::decode(&quote.encode()).as_ref(), Ok(&quote));
    }
    if let Ok(request) = AttestRequest::decode(bytes) {
        assert_eq!(AttestRequest::decode(&request.encode()).as_ref(), Ok(&request));
    }
    if let Ok(badge) = Badge::decode_text(bytes) {
        assert_eq!(Badge::decode_text(badge.encode_text().as_bytes()).as_ref(), Ok(&badge));
    }
});
