use proptest::prelude::*;
use tpm2_protocol::{
    TpmWriter,
    data::{Tpm2bEccPoint, TpmRc, TpmsAuthResponse, TpmsEccPoint},
    frame::{
        TpmCreatePrimaryResponse, TpmEcdhZGenResponse, TpmFlushContextResponse, TpmPcrReadResponse,
        TpmQuoteResponse, TpmReadPublicResponse, TpmStartAuthSessionResponse, tpm_marshal_response,
    },
};

use super::*;

/// The answer of `ECDH_ZGen` with a point of these coordinates, as a TPM writes it.
fn multiplied(x: &[u8], y: &[u8]) -> Vec<u8> {
    let inner = TpmsEccPoint { x: x.try_into().unwrap(), y: y.try_into().unwrap() };
    let response = TpmEcdhZGenResponse { handles: [], out_point: Tpm2bEccPoint { inner } };
    let mut bytes = vec![0; ANSWER_MAX];
    let mut writer = TpmWriter::new(&mut bytes);
    let success = TpmRc::try_from(0).unwrap();
    tpm_marshal_response(&response, success, &[TpmsAuthResponse::default()], &mut writer).unwrap();
    let length = writer.len();
    bytes.truncate(length);
    bytes
}

fn refused(code: u32) -> Vec<u8> {
    [&[0x80, 1, 0, 0, 0, 10][..], &code.to_be_bytes()].concat()
}

#[test]
fn a_product_is_read_and_one_that_is_cut_or_longer_is_none() {
    let answer = multiplied(&[7; 32], &[8; 32]);
    assert_eq!(*product(&answer).unwrap(), [7; 32]);
    assert_eq!(product(&multiplied(&[7; 31], &[8; 32])).unwrap()[..2], [0, 7]);
    assert_eq!(product(&multiplied(&[7; 33], &[8; 32])).unwrap_err(), ResponseError::Malformed);
    for cut in 0..answer.len() {
        assert_eq!(product(&answer[..cut]).unwrap_err(), ResponseError::Malformed, "{cut}");
    }
    assert_eq!(product(&[&answer[..], &[0]].concat()).unwrap_err(), ResponseError::Malformed);
}

#[test]
fn a_refusal_has_its_code_in_the_specifications_words() {
    // As swtpm answers where a register changed: TPM_RC_POLICY_FAIL of the first session.
    let Err(ResponseError::Refused(code)) = product(&refused(0x99d)) else {
        panic!("it is refused")
    };
    assert_eq!(code.base(), Some(TpmRcBase::PolicyFail));
    assert!(code.to_string().contains("TPM_RC_POLICY_FAIL"), "{code}");
    assert!(is_not_yet(&refused(0x922)) && is_not_yet(&refused(0x90a)));
    assert!(!is_not_yet(&refused(0x99d)) && !is_not_yet(&refused(0)) && !is_not_yet(&[]));
    let unknown = Code(0xfff0_0000);
    assert_eq!((unknown.base(), unknown.to_string()), (None, "code 0xfff00000".to_owned()));
    let longer = [refused(0x99d), vec![0]].concat();
    assert_eq!(product(&longer).unwrap_err(), ResponseError::Malformed);
}

#[test]
fn an_answer_of_another_form_than_the_command_is_none() {
    let plain = [0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0];
    assert!(read::<TpmFlushContextResponse>(&plain, false).is_ok());
    assert_eq!(
        read::<TpmFlushContextResponse>(&plain, true).unwrap_err(),
        ResponseError::Malformed
    );
    assert_eq!(length([0x80, 1, 0, 0, 0, 9]), Err(ResponseError::Malformed));
    assert_eq!(length([0x80, 1, 0, 0, 0x10, 1]), Err(ResponseError::Malformed));
    assert_eq!(length([0x80, 1, 0, 0, 0x10, 0]), Ok(ANSWER_MAX));
}

proptest! {
    /// Whatever a TPM says.
    #[test]
    fn any_answer_is_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        authorized: bool,
        at_success: bool,
    ) {
        let mut bytes = bytes;
        if at_success && bytes.len() >= HEADER {
            let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
            bytes[..2].copy_from_slice(&[0x80, 1 + u8::from(authorized)]);
            bytes[2..6].copy_from_slice(&length);
            bytes[6..HEADER].fill(0);
        }
        let _ = product(&bytes);
        let _ = read::<TpmReadPublicResponse>(&bytes, authorized);
        let _ = read::<TpmPcrReadResponse>(&bytes, authorized);
        let _ = read::<TpmCreatePrimaryResponse>(&bytes, authorized);
        let _ = read::<TpmQuoteResponse>(&bytes, authorized);
        let _ = read::<TpmStartAuthSessionResponse>(&bytes, authorized);
    }

    #[test]
    fn any_change_of_a_product_is_seen_or_harmless(at in 0..80_usize, bit in 0..8_u8) {
        let mut answer = multiplied(&[7; 32], &[8; 32]);
        let at = at % answer.len();
        answer[at] ^= 1 << bit;
        let _ = product(&answer);
    }
}
