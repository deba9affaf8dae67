//! Limits for request bodies that are buffered: the size of each, and the memory of all.

use std::time::Duration;

use axum::body::Body;
use chassis::body::{BodyError, BodyReader, BufferedBody};
use control_protocol::key::MachinePublic;

use super::origin::Origin;

/// Largest body of an admin's request, in bytes.
const ADMIN_BODY_MAX: usize = 1024 * 1024;
/// Memory for the bodies of admins.
const ADMIN_BODIES: usize = 16 * 1024 * 1024;
/// The same per origin.
const ADMIN_BODIES_PER_ORIGIN: usize = 8 * 1024 * 1024;
/// Largest body of other requests, in bytes.
const BODY_MAX: usize = 64 * 1024;
/// Memory for the bodies of nodes.
const NODES_BODIES: usize = 32 * 1024 * 1024;
/// The same per machine.
const BODIES_PER_MACHINE: usize = 256 * 1024;
/// Memory for the bodies of unregistered machines, pages and other relays, while their requests are handled.
const STRANGERS_BODIES: usize = 16 * 1024 * 1024;
/// The same per origin.
const STRANGERS_BODIES_PER_ORIGIN: usize = 1024 * 1024;

/// Buffers request bodies. Strangers, nodes and admins have separate memory limits.
#[derive(Clone, Debug)]
pub(crate) struct RequestBodies {
    strangers: BodyReader<BodySender>,
    nodes: BodyReader<BodySender>,
    /// Timeout for each.
    time: Duration,
    pub(crate) admins: AdminBodies,
}

/// The bodies of admins, by origin; the admin socket has none.
#[derive(Clone, Debug)]
pub(crate) struct AdminBodies {
    bodies: BodyReader<BodySender>,
    time: Duration,
}

/// Who sends a body, whose share of the memory is reserved until the body is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BodySender {
    Origin(Origin),
    Node(MachinePublic),
    /// Who uses the admin socket.
    Root,
}

/// A body of any sender.
pub(crate) type RequestBody = BufferedBody<BodySender>;

impl RequestBodies {
    /// `time` is the timeout for each body.
    pub(crate) fn new(time: Duration) -> Self {
        let admins = BodyReader::new(ADMIN_BODY_MAX, ADMIN_BODIES_PER_ORIGIN, ADMIN_BODIES);
        Self {
            strangers: BodyReader::new(BODY_MAX, STRANGERS_BODIES_PER_ORIGIN, STRANGERS_BODIES),
            nodes: BodyReader::new(BODY_MAX, BODIES_PER_MACHINE, NODES_BODIES),
            time,
            admins: AdminBodies { bodies: admins, time },
        }
    }

    /// Reads a stranger's body of at most `max` bytes.
    pub(crate) async fn read(
        &self,
        body: Body,
        max: usize,
        from: Origin,
    ) -> Result<RequestBody, BodyError> {
        self.strangers.at_most(max).read(body, BodySender::Origin(from), self.time).await
    }

    /// Reads a machine's body; `node` is the machine key if the machine has a node.
    pub(crate) async fn read_machine(
        &self,
        body: Body,
        max: usize,
        (from, node): (Origin, Option<MachinePublic>),
    ) -> Result<RequestBody, BodyError> {
        match node {
            Some(machine) => {
                self.nodes.at_most(max).read(body, BodySender::Node(machine), self.time).await
            }
            None => self.read(body, max, from).await,
        }
    }
}

impl AdminBodies {
    /// Reads an admin's body.
    pub(crate) async fn read(
        &self,
        body: Body,
        from: Option<Origin>,
    ) -> Result<RequestBody, BodyError> {
        let sender = from.map_or(BodySender::Root, BodySender::Origin);
        self.bodies.read(body, sender, self.time).await
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const ARRIVES: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_body_that_is_not_read_is_told_and_holds_nothing() {
        let (bodies, origin) =
            (RequestBodies::new(ARRIVES), Origin::from(IpAddr::from([10, 0, 0, 1])));
        let read = |len| bodies.read(vec![0_u8; len].into(), 2048, origin);

        assert_eq!(read(2048).await.unwrap().bytes().len(), 2048);
        assert_eq!(read(2049).await.unwrap_err(), BodyError::TooLarge);
        let broken = futures_util::stream::iter([Ok(vec![0]), Err(std::io::Error::other("gone"))]);
        let error = bodies.read(Body::from_stream(broken), 2048, origin).await.unwrap_err();
        assert_eq!(error, BodyError::Incomplete);
        assert_eq!(bodies.strangers.holders(), 0, "nothing is held of those");
    }

    #[tokio::test]
    async fn strangers_take_no_memory_of_nodes_and_one_origin_none_of_others() {
        let bodies = RequestBodies::new(ARRIVES);
        let origin = |byte| Origin::from(IpAddr::from([10, 0, 0, byte]));
        let (stranger, node) = (None, Some(MachinePublic::from_bytes([1; 32])));
        let read = |from, machine| {
            bodies.read_machine(vec![0_u8; BODY_MAX].into(), BODY_MAX, (origin(from), machine))
        };
        let mut held = Vec::new();
        for _ in 0..STRANGERS_BODIES_PER_ORIGIN / BODY_MAX {
            held.push(read(1, stranger).await.unwrap());
        }

        assert_eq!(read(1, stranger).await.unwrap_err(), BodyError::NoMemory);
        for from in 2..=u8::MAX {
            match read(from, stranger).await {
                Ok(body) => held.push(body),
                Err(error) => panic!("another origin finds no memory: {error}"),
            }
            if held.len() == STRANGERS_BODIES / BODY_MAX {
                break;
            }
        }
        assert_eq!(
            read(u8::MAX, stranger).await.unwrap_err(),
            BodyError::NoMemory,
            "all have a bound"
        );
        assert!(read(1, node).await.is_ok(), "a node's share is not theirs");
        assert!(bodies.admins.read(vec![0_u8; BODY_MAX].into(), None).await.is_ok());
        held.clear();
        assert!(read(1, stranger).await.is_ok(), "it is given back");
    }
}
