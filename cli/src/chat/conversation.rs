//! One question after the other: keys, seal, send, open.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use ai_gateway_api::sealed::{
    BindDevice, Ed25519Public, Event, Operation, ReplyPart, decode_events, event_decoder,
};
use anyhow::{Context as _, anyhow, bail};
use common::problem::Problem;
use ed25519_dalek::SigningKey;
use hpke_envelope::{
    Suite,
    client::{self, ClockSkew, DocumentError, Keys, Reply, ReplyError, SealError},
    device,
};
use messages::message;
use reqwest::Response;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{
    agent::Target,
    connection::{Connection, Failure},
    gateway::Gateway,
    pins,
    print::Sink,
    state::Directory,
};
use crate::{duration, fingerprint::Fingerprint};

/// A client of the gateway with its keys.
#[derive(Debug)]
pub(super) struct Conversation {
    target: Target,
    connection: Connection,
    directory: Directory,
    device: SigningKey,
    suite: Suite,
}

impl Conversation {
    pub(super) fn new(target: Target, root: &Path, suite: Suite) -> anyhow::Result<Self> {
        let connection = Connection::new(&target.host, &target.addresses)?;
        Self::with_parts(target, connection, Directory::open(root)?, suite)
    }

    pub(super) fn with_parts(
        target: Target,
        connection: Connection,
        directory: Directory,
        suite: Suite,
    ) -> anyhow::Result<Self> {
        let device = directory.device_key()?;
        Ok(Self { target, connection, directory, device, suite })
    }

    /// Compares the gateway's identity with the pinned one, before anything is sent; with `accept`, pins the one with this
    /// fingerprint.
    pub(super) fn recognise(&self, accept: Option<Fingerprint>) -> anyhow::Result<()> {
        let Target { membership, identity, .. } = &self.target;
        match accept {
            None => self.known(self.directory.pinned(membership)?.unwrap_or(*identity)),
            Some(accepted) if accepted == Fingerprint::of(*identity) => {
                self.directory.accept(membership, *identity)
            }
            Some(accepted) => bail!(pins::not_offered(accepted, *identity)),
        }
    }

    /// Refuses another gateway than the pinned one.
    fn known(&self, known: Ed25519Public) -> anyhow::Result<()> {
        let Target { membership, identity, .. } = &self.target;
        if known != *identity {
            bail!(pins::changed(&membership.network, known, *identity));
        }
        Ok(())
    }

    /// The error of a request that was refused again.
    fn refused(&self, failure: Failure) -> anyhow::Error {
        match failure {
            Failure::Sealed => anyhow!(message!("chat-not-opened")),
            Failure::Device => anyhow!(message!("device-key-refused")),
            Failure::Bound => {
                anyhow!(message!("device-key-bound", path = self.directory.key_file().display()))
            }
            Failure::Other(error) => error,
        }
    }

    /// Fetches and verifies the gateway's keys; compares identity and clocks.
    async fn keys(&self) -> anyhow::Result<Keys> {
        self.recognise(None)?;
        let sent = now()?;
        let document = self.connection.keys().await?;
        let received = now()?;
        let identity = self.target.identity;
        let seen = self.directory.seen(identity)?.epoch;
        let keys = Keys::verify(&document, identity, seen).map_err(|error| match error {
            DocumentError::Identity => {
                anyhow!(message!("gateway-stranger", host = self.target.host))
            }
            DocumentError::Rollback { .. } => anyhow!(message!(
                "gateway-rollback",
                error,
                path = self.directory.seen_file().display()
            )),
        })?;
        keys.check_clock(sent, received).map_err(clock_skew)?;
        // Pinned from now on, unless another process pinned another identity meanwhile.
        self.known(self.directory.pin(&self.target.membership, identity)?)?;
        self.directory.update(identity, |seen| seen.epoch = seen.epoch.max(keys.epoch()))?;
        Ok(keys)
    }

    /// Binds the device key to this node, on the agent's own listener.
    async fn bind(&self) -> anyhow::Result<()> {
        let Target { identity, node, .. } = &self.target;
        let proof = device::prove(&self.device, *identity, node, now()?);
        let bind = BindDevice { name: "maru chat".to_owned(), ..proof };
        self.connection.bind(&bind).await.map_err(|failure| match failure {
            Failure::Sealed => {
                anyhow!(message!("device-proof-refused"))
            }
            Failure::Device | Failure::Bound | Failure::Other(_) => self.refused(failure),
        })?;
        self.directory
            .update(self.target.identity, |seen| seen.bound_to = Some(self.target.node.clone()))
    }

    fn seal(
        &self,
        keys: &Keys,
        request_id: Uuid,
        plaintext: &[u8],
    ) -> anyhow::Result<(ai_gateway_api::sealed::Request, Reply)> {
        let now = now()?;
        let key = keys
            .select(self.suite, now)
            .with_context(|| message!("no-suite-key", suite = self.suite))?;
        client::seal(&self.device, key, request_id, plaintext, now).map_err(|error| match error {
            SealError::TooLong(_) => {
                anyhow!(message!("question-too-long"))
            }
            SealError::Key | SealError::Random => anyhow!(error),
        })
    }
}

impl Gateway for Conversation {
    /// After the first refusal to open, the keys are fetched and the request is sealed again, once; after the first
    /// refusal of the device key, it is bound again, once.
    async fn ask<S: Sink>(&mut self, operation: &Operation, sink: &mut S) -> anyhow::Result<()> {
        let plaintext = Zeroizing::new(operation.encode());
        let mut keys = self.keys().await?;
        let request_id = Uuid::now_v7();
        if self.directory.seen(self.target.identity)?.bound_to.as_deref() != Some(&self.target.node)
        {
            self.bind().await?;
        }
        let (mut sealed_again, mut bound_again) = (false, false);
        loop {
            let (request, reply) = self.seal(&keys, request_id, &plaintext)?;
            match self.connection.chat(&request).await {
                Ok(response) => return read(response, reply, sink).await,
                Err(Failure::Sealed) if !sealed_again => {
                    sealed_again = true;
                    keys = self.keys().await?;
                }
                Err(Failure::Device) if !bound_again => {
                    bound_again = true;
                    self.bind().await?;
                }
                Err(failure) => return Err(self.refused(failure)),
            }
        }
    }
}

/// Reads the reply to its end.
async fn read<S: Sink>(
    mut response: Response,
    mut reply: Reply,
    sink: &mut S,
) -> anyhow::Result<()> {
    let (mut decoder, mut parts) = (event_decoder(), Vec::new());
    let ended = loop {
        match response.chunk().await {
            Ok(Some(bytes)) => decoder.push(&bytes, |name, data| {
                parts.push((name.to_owned(), data.to_owned()));
            })?,
            Ok(None) | Err(_) => break reply.end(),
        }
        let mut refused = None;
        for (name, data) in parts.drain(..) {
            match take(&mut reply, &name, data.as_bytes()) {
                Ok(events) => hand_on(&events, sink)?,
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        if refused.is_some() || reply.is_done() {
            break refused.map_or_else(|| reply.end(), Err);
        }
    };
    sink.end()?;
    ended.map_err(|error| match error {
        ReplyError::Cut => anyhow!(message!("reply-cut", error)),
        ReplyError::Broken => anyhow!(message!("reply-broken", error)),
    })
}

fn take(reply: &mut Reply, name: &str, data: &[u8]) -> Result<Vec<Event>, ReplyError> {
    let part = ReplyPart::decode(name, data).map_err(|_| ReplyError::Broken)?;
    match reply.handle(&part)? {
        Some(plaintext) => decode_events(&plaintext).map_err(|_| ReplyError::Broken),
        None => Ok(Vec::new()),
    }
}

fn hand_on<S: Sink>(events: &[Event], sink: &mut S) -> anyhow::Result<()> {
    for event in events {
        sink.event(event).context(message!("reply-not-printed"))?;
        if let Event::Error { kind, message } = event {
            sink.end()?;
            let problem = Problem::new(kind, 0, message.as_str());
            bail!(common::foreign::line(&messages::problem(&problem)));
        }
    }
    Ok(())
}

fn clock_skew(off: ClockSkew) -> anyhow::Error {
    let by = duration::shown((off.ahead_ms / 1000).abs());
    anyhow!(if off.ahead_ms > 0 {
        message!("clock-ahead", by)
    } else {
        message!("clock-behind", by)
    })
}

/// Unix milliseconds.
fn now() -> anyhow::Result<u64> {
    let since =
        SystemTime::now().duration_since(UNIX_EPOCH).context(message!("clock-too-early"))?;
    u64::try_from(since.as_millis()).context(message!("clock-too-late"))
}
