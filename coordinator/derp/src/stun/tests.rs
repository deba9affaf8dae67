use proptest::prelude::*;

use super::*;

proptest! {
    /// A question is read as asked, and the answer says the address that was seen, of either family.
    #[test]
    fn the_address_comes_back(transaction in any::<[u8; 12]>(), source in any::<SocketAddr>()) {
        let question = request(transaction);
        prop_assert!(is_stun(&question));
        prop_assert_eq!(parse_request(&question), Ok(transaction));

        let answer = response(transaction, source);
        let seen = SocketAddr::new(source.ip().to_canonical(), source.port());
        prop_assert_eq!(parse_response(&answer), Ok((transaction, seen)));
        prop_assert!(answer.len() <= question.len() + 4, "no amplifier");
        prop_assert_eq!(parse_request(&answer), Err(StunError::Other));
        prop_assert_eq!(parse_response(&question), Err(StunError::Other));
    }

    /// Any bytes behind a right header are read or refused without a panic.
    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..80), kind in 0..3_usize) {
        if kind > 0 && bytes.len() >= HEADER_LEN {
            let body = (bytes.len() - HEADER_LEN) as u16;
            bytes[..2].copy_from_slice(if kind == 1 { &BINDING_REQUEST } else { &BINDING_SUCCESS });
            bytes[2..4].copy_from_slice(&body.to_be_bytes());
            bytes[4..8].copy_from_slice(&COOKIE);
        }
        let _ = (parse_request(&bytes), parse_response(&bytes));
        prop_assert!(is_stun(&bytes) || parse_request(&bytes).is_err() && parse_response(&bytes).is_err());
    }

    /// A changed bit in a request with a checksum is noticed, unless it makes the checksum another attribute.
    #[test]
    fn a_changed_bit_is_noticed(at in HEADER_LEN..32_usize, bit in 0..8_u8) {
        let mut question = request([5; 12]);
        question[at] ^= 1 << bit;
        prop_assert_eq!(parse_request(&question), Err(StunError::Malformed));
    }
}

#[test]
fn the_response_of_rfc_5769_is_read() {
    // RFC 5769, section 2.2: sample IPv4 response, without its integrity attributes' meaning.
    let sample = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643\
                  000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
    let mut bytes = Vec::new();
    for at in (0..sample.len()).step_by(2) {
        bytes.push(u8::from_str_radix(&sample[at..at + 2], 16).unwrap());
    }

    let (_, address) = parse_response(&bytes).unwrap();

    assert_eq!(address, "192.0.2.1:32853".parse().unwrap());
    let checksum = fingerprint(&bytes[..bytes.len() - FINGERPRINT_LEN]);
    assert_eq!(
        checksum.to_be_bytes(),
        bytes[bytes.len() - 4..],
        "the checksum is that of the sample"
    );
}

#[test]
fn a_plain_address_is_taken_if_there_is_no_masked_one() {
    let mut bytes = header(BINDING_SUCCESS, 12, [1; 12]);
    bytes.extend_from_slice(&[0, 1, 0, 8, 0, 1, 0x10, 0x92, 192, 0, 2, 9]);

    assert_eq!(parse_response(&bytes), Ok(([1; 12], "192.0.2.9:4242".parse().unwrap())));
}

#[test]
fn wireguard_and_path_discovery_are_not_stun() {
    assert!(!is_stun(&[1, 0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    assert!(!is_stun(b"TS\xf0\x9f\x92\xac and more than twenty"));
}
