//! What the agent may ask of the process that writes `/etc/resolv.conf`, and what that answers.
//!
//! Each is one packet of a sequenced-packet socket. A question is one byte, followed by a domain for
//! [`Question::Point`]; whoever asks may be hostile, so anything else is no question at all. An answer has five bytes.

use node_agent_core::domain::Domain;
use rustix::io::Errno;

/// Longest domain in text (RFC 1035, section 2.3.4).
const DOMAIN_MAX: usize = 253;
/// Longest question.
pub const QUESTION_MAX: usize = 1 + DOMAIN_MAX;
/// Length of every answer.
pub const ANSWER_LEN: usize = 5;

const POINT: u8 = 1;
const RESTORE: u8 = 2;

const READY: u8 = 1;
const DONE: u8 = 2;
const LEFT_ALONE: u8 = 3;
const REFUSED: u8 = 4;
const FAILED: u8 = 5;

/// What the agent asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// Point the file at the agent, with this domain first among those that are searched.
    Point(Domain),
    /// Put back what was there before.
    Restore,
}

impl Question {
    /// The packet.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Point(domain) => [&[POINT], domain.as_str().as_bytes()].concat(),
            Self::Restore => vec![RESTORE],
        }
    }

    /// Reads a packet; `None` if it is no question.
    #[must_use]
    pub fn decode(packet: &[u8]) -> Option<Self> {
        match packet {
            [POINT, text @ ..] => {
                let text = std::str::from_utf8(text).ok()?;
                let domain: Domain = text.parse().ok()?;
                // As it is written, and in no other way.
                (domain.as_str() == text).then_some(Self::Point(domain))
            }
            [RESTORE] => Some(Self::Restore),
            _ => None,
        }
    }
}

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The file is in its hands; sent once, before the first question. Says whether it is confined to that file.
    Ready(bool),
    /// It is done.
    Done,
    /// The file is a link, or no plain file: it stays as it is.
    LeftAlone,
    /// That was no question.
    Refused,
    /// The system refused.
    Failed(Errno),
}

impl Answer {
    /// The packet.
    #[must_use]
    pub fn encode(self) -> [u8; ANSWER_LEN] {
        let (kind, value) = match self {
            Self::Ready(confined) => (READY, i32::from(confined)),
            Self::Done => (DONE, 0),
            Self::LeftAlone => (LEFT_ALONE, 0),
            Self::Refused => (REFUSED, 0),
            Self::Failed(errno) => (FAILED, errno.raw_os_error()),
        };
        let [a, b, c, d] = value.to_le_bytes();
        [kind, a, b, c, d]
    }

    /// Reads a packet; `None` if it is no answer.
    #[must_use]
    pub fn decode(packet: &[u8]) -> Option<Self> {
        let [kind, value @ ..] = packet else { return None };
        let value = i32::from_le_bytes(value.try_into().ok()?);
        match (*kind, value) {
            (READY, 0 | 1) => Some(Self::Ready(value == 1)),
            (DONE, 0) => Some(Self::Done),
            (LEFT_ALONE, 0) => Some(Self::LeftAlone),
            (REFUSED, 0) => Some(Self::Refused),
            // Errors of Linux are 1 to 4095.
            (FAILED, 1..=4095) => Some(Self::Failed(Errno::from_raw_os_error(value))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn domain(text: &str) -> Option<Domain> {
        text.parse().ok()
    }

    #[test]
    fn what_could_be_more_than_a_domain_is_no_question() {
        for good in ["maru.internal", "a.b", "x-1.example.org"] {
            let question = Question::Point(domain(good).unwrap());
            assert_eq!(Question::decode(&question.encode()), Some(question), "{good}");
        }
        let long = vec!["a".repeat(63); 4].join(".");
        for wrong in [
            "",
            "internal",
            "Maru.internal",
            "maru.internal.",
            "maru..internal",
            "a.b\nnameserver 192.0.2.1",
            "a.b nameserver",
            "a.b\0",
            "마루.internal",
            &long,
        ] {
            let packet = [&[POINT], wrong.as_bytes()].concat();
            assert_eq!(Question::decode(&packet), None, "{wrong:?}");
        }
    }

    proptest! {
        /// Whatever arrives: a question that is taken is what was written, bounded, and one word.
        #[test]
        fn any_packet_is_one_question_or_none(packet in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(question) = Question::decode(&packet) {
                prop_assert_eq!(question.encode(), &packet[..]);
                prop_assert!(packet.len() <= QUESTION_MAX);
                if let Question::Point(domain) = question {
                    prop_assert!(domain.as_str().bytes().all(|byte| byte > b' ' && byte < 127));
                }
            }
            if let Some(answer) = Answer::decode(&packet) {
                prop_assert_eq!(&answer.encode()[..], &packet[..]);
            }
        }

        #[test]
        fn a_domain_arrives_as_it_was(domain in "[a-z0-9]{1,20}(\\.[a-z][a-z0-9]{4,9}){1,5}x") {
            let question = Question::Point(domain.parse().unwrap());
            prop_assert_eq!(Question::decode(&question.encode()), Some(question));
        }
    }
}
