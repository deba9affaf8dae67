//! What the process that writes `/etc/resolv.conf` answers to a [`Question`](node_agent_core::resolv_conf::Question).
//!
//! Question and answer are one packet each of a sequenced-packet socket; an answer has five bytes.

use rustix::io::Errno;

/// Length of every answer.
pub const ANSWER_LEN: usize = 5;

const READY: u8 = 1;
const DONE: u8 = 2;
const LEFT_ALONE: u8 = 3;
const REFUSED: u8 = 4;
const FAILED: u8 = 5;

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

    proptest! {
        /// Whatever arrives, an answer that is taken is what was written.
        #[test]
        fn any_packet_is_one_answer_or_none(packet in prop::collection::vec(any::<u8>(), 0..8)) {
            if let Some(answer) = Answer::decode(&packet) {
                prop_assert_eq!(&answer.encode()[..], &packet[..]);
            }
        }

        #[test]
        fn an_answer_arrives_as_it_was(errno in 1..=4095_i32) {
            let failed = Answer::Failed(Errno::from_raw_os_error(errno));
            let others = [Answer::Ready(true), Answer::Ready(false), Answer::Done, Answer::LeftAlone, Answer::Refused];
            for answer in others.into_iter().chain([failed]) {
                prop_assert_eq!(Answer::decode(&answer.encode()), Some(answer));
            }
        }
    }
}
