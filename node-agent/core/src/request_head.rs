//! Reads which name a client calls a service by, from the head of its first request on a connection.
//!
//! A service may have web pages under one of its names only. The client's browser decides by that name what a page may do,
//! so the name that the client sends is the right one to judge its responses by.

/// Longest head, in bytes; a longer one names nobody.
pub const HEAD_MAX: usize = 16 << 10;
/// Most fields of a head; one with more names nobody.
const FIELDS_MAX: usize = 100;

/// What the bytes of a connection say so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedName<'a> {
    /// The head is incomplete.
    Incomplete,
    /// The first label of the only `Host`.
    Label(&'a str),
    /// No usable head, or not exactly one `Host` with a domain of at least two labels.
    Unknown,
}

/// Reads the received bytes.
#[must_use]
pub fn called(received: &[u8]) -> RequestedName<'_> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(received) {
        Ok(httparse::Status::Partial) if received.len() < HEAD_MAX => {
            return RequestedName::Incomplete;
        }
        Ok(httparse::Status::Complete(len)) if len <= HEAD_MAX => {}
        Ok(_) | Err(_) => return RequestedName::Unknown,
    }
    let is_host = |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case("host");
    let mut hosts = request.headers.iter().filter(is_host).map(|field| field.value);
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return RequestedName::Unknown };
    let label = std::str::from_utf8(host).ok().and_then(|host| host.split_once('.'));
    match label {
        Some((label, rest)) if !rest.is_empty() => RequestedName::Label(label),
        Some(_) | None => RequestedName::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(lines: &[&str]) -> String {
        format!("GET / HTTP/1.1\r\n{}\r\n\r\n", lines.join("\r\n"))
    }

    #[test]
    fn the_first_label_of_the_only_host_is_the_name() {
        for host in ["rooms.maru.home.arpa", "rooms.maru.home.arpa:80", "rooms.home.example.org"] {
            let head = of(&["accept: */*", &format!("HoSt: {host}")]);
            assert_eq!(called(head.as_bytes()), RequestedName::Label("rooms"), "{host}");
            assert_eq!(
                called(&head.as_bytes()[..head.len() - 1]),
                RequestedName::Incomplete,
                "{host}"
            );
        }
        for lines in [
            &["accept: */*"][..],
            &["host: rooms.maru.home.arpa", "host: rooms.maru.home.arpa"],
            &["host: rooms"],
            &["host: rooms."],
            &["host: "],
        ] {
            assert_eq!(called(of(lines).as_bytes()), RequestedName::Unknown, "{lines:?}");
        }
        assert_eq!(
            called(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            RequestedName::Unknown,
            "another protocol"
        );
        let long = of(&[&format!("x: {}", "a".repeat(HEAD_MAX)), "host: rooms.maru.home.arpa"]);
        assert_eq!(called(long.as_bytes()), RequestedName::Unknown, "too long");
        assert_eq!(
            called(&long.as_bytes()[..HEAD_MAX]),
            RequestedName::Unknown,
            "too long already"
        );
    }

    proptest! {
        /// What more bytes add to an incomplete head is never asked about twice with different results.
        #[test]
        fn an_answer_is_final(bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..200_usize) {
            let head = [of(&["host: chat.maru.home.arpa"]).as_bytes(), &bytes].concat();
            let first = called(&head[..cut.min(head.len())]);
            if first != RequestedName::Incomplete {
                prop_assert_eq!(first, called(&head));
            }
        }
    }
}
