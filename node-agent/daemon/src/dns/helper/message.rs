//! Responses of the helper's writer to a [`Request`](node_agent_core::resolv_conf::Request).
//!
//! Each request and each response is one packet of a sequenced-packet socket; a response has five bytes.

use node_agent_core::system_resolver::Method;
use rustix::io::Errno;

/// Length of every response.
pub(crate) const RESPONSE_LEN: usize = 5;

const READY: u8 = 1;
const DONE: u8 = 2;
const LEFT_ALONE: u8 = 3;
const REFUSED: u8 = 4;
const FAILED: u8 = 5;
const RESTORED: u8 = 6;

/// The result of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Response {
    /// The helper is ready; sent once, before the first request.
    Ready,
    /// Programs are led to the agent.
    Done(Method),
    /// They cannot be, and nothing was changed.
    LeftAlone(Method),
    /// Nothing is changed any more.
    Restored,
    /// The request is invalid.
    Refused,
    /// A system call failed.
    Failed(Errno),
}

impl Response {
    /// The packet.
    pub(crate) fn encode(self) -> [u8; RESPONSE_LEN] {
        let (kind, value) = match self {
            Self::Ready => (READY, 0),
            Self::Done(method) => (DONE, number(method)),
            Self::LeftAlone(method) => (LEFT_ALONE, number(method)),
            Self::Restored => (RESTORED, 0),
            Self::Refused => (REFUSED, 0),
            Self::Failed(errno) => (FAILED, errno.raw_os_error()),
        };
        let [a, b, c, d] = value.to_le_bytes();
        [kind, a, b, c, d]
    }

    /// Reads a packet; `None` if it is not a response.
    pub(crate) fn decode(packet: &[u8]) -> Option<Self> {
        let [kind, value @ ..] = packet else { return None };
        let value = i32::from_le_bytes(value.try_into().ok()?);
        match (*kind, value) {
            (READY, 0) => Some(Self::Ready),
            (DONE, value) => method(value).map(Self::Done),
            (LEFT_ALONE, value) => method(value).map(Self::LeftAlone),
            (RESTORED, 0) => Some(Self::Restored),
            (REFUSED, 0) => Some(Self::Refused),
            // Errors of Linux are 1 to 4095.
            (FAILED, 1..=4095) => Some(Self::Failed(Errno::from_raw_os_error(value))),
            _ => None,
        }
    }
}

/// A method's number in a packet.
fn number(method: Method) -> i32 {
    match method {
        Method::SystemdResolved => 1,
        Method::Resolvconf => 2,
        Method::ResolvConf => 3,
    }
}

fn method(value: i32) -> Option<Method> {
    Method::ALL.into_iter().find(|method| number(*method) == value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever arrives, an answer that is taken is what was written.
        #[test]
        fn any_packet_is_one_answer_or_none(packet in prop::collection::vec(any::<u8>(), 0..8)) {
            if let Some(answer) = Response::decode(&packet) {
                prop_assert_eq!(&answer.encode()[..], &packet[..]);
            }
        }

        #[test]
        fn an_answer_arrives_as_it_was(errno in 1..=4095_i32) {
            let failed = Response::Failed(Errno::from_raw_os_error(errno));
            let others = [Response::Ready, Response::Restored, Response::Refused];
            let methods = Method::ALL
                .into_iter()
                .flat_map(|method| [Response::Done(method), Response::LeftAlone(method)]);
            for answer in others.into_iter().chain(methods).chain([failed]) {
                prop_assert_eq!(Response::decode(&answer.encode()), Some(answer));
            }
        }
    }
}
