//! What a TPM answers to a confidential node.
#![no_main]

use libfuzzer_sys::fuzz_target;
use maru_compute::tpm::answer::{self, ANSWER_MAX, HEADER, product, read};
use tpm2_protocol::{
    TpmMarshal, TpmSized, TpmWriter,
    frame::{
        TpmCertifyCreationResponse, TpmCreatePrimaryResponse, TpmEvictControlResponse,
        TpmFlushContextResponse, TpmGetCapabilityResponse, TpmPcrReadResponse,
        TpmPolicyPcrResponse, TpmQuoteResponse, TpmReadPublicResponse, TpmStartAuthSessionResponse,
    },
};

/// What is shown as evidence is written anew: it must be what the TPM wrote.
fn is_in(bytes: &[u8], part: &(impl TpmMarshal + TpmSized)) {
    let mut written = [0; ANSWER_MAX];
    let mut writer = TpmWriter::new(&mut written);
    part.marshal(&mut writer).unwrap();
    let written = writer.as_bytes();
    assert!(bytes.windows(written.len()).any(|window| window == written));
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(start) = bytes.first_chunk()
        && let Ok(length) = answer::length(*start)
    {
        assert!((HEADER..=ANSWER_MAX).contains(&length));
    }
    if let Ok(product) = product(bytes) {
        // It may be written without the zeros that it begins with.
        let x = product.iter().position(|byte| *byte != 0).map_or(&[][..], |at| &product[at..]);
        assert!(x.is_empty() || bytes.windows(x.len()).any(|window| window == x));
    }
    for authorized in [false, true] {
        if let Ok(it) = read::<TpmReadPublicResponse>(bytes, authorized) {
            is_in(bytes, &it.out_public);
        }
        if let Ok(it) = read::<TpmCreatePrimaryResponse>(bytes, authorized) {
            is_in(bytes, &it.out_public);
            is_in(bytes, &it.creation_ticket);
        }
        if let Ok(it) = read::<TpmQuoteResponse>(bytes, authorized) {
            is_in(bytes, &it.quoted);
            is_in(bytes, &it.signature);
        }
        if let Ok(it) = read::<TpmCertifyCreationResponse>(bytes, authorized) {
            is_in(bytes, &it.certify_info);
            is_in(bytes, &it.signature);
        }
        let _ = read::<TpmPcrReadResponse>(bytes, authorized);
        let _ = read::<TpmStartAuthSessionResponse>(bytes, authorized);
        let _ = read::<TpmPolicyPcrResponse>(bytes, authorized);
        let _ = read::<TpmFlushContextResponse>(bytes, authorized);
        let _ = read::<TpmEvictControlResponse>(bytes, authorized);
        let _ = read::<TpmGetCapabilityResponse>(bytes, authorized);
    }
});
