//! Orders a public certificate for one of this node's names.

use std::time::Duration;

use control_protocol::{
    CAPABILITY_VERSION,
    certificate::{self, CertificateRequest, CertificateResponse},
};
use messages::{Message, message};
use node_agent_core::registration::showable;
use tokio::time::timeout;

use super::{
    channel::{Channel, ChannelError},
    server::Server,
};
use crate::agent::Agent;

/// Sends a signing request, in PEM; returns the chain in PEM. Takes up to [`certificate::PATIENCE_S`]. The channel is one of its
/// own, since an order is rare and outlasts the map stream's.
///
/// # Errors
///
/// Why there is no certificate.
pub(crate) async fn order(agent: &Agent, signing_request: String) -> Result<String, Message> {
    let patience = Duration::from_secs(certificate::PATIENCE_S);
    let ordered = timeout(patience, ask(agent, signing_request)).await;
    ordered.map_err(|_| ChannelError::Silent.message())?
}

async fn ask(agent: &Agent, signing_request: String) -> Result<String, Message> {
    let away = || message!("problem-agent-not-joining");
    let membership = agent.membership().ok_or_else(away)?;
    let key = membership.noise_key.ok_or_else(away)?;
    let failed = |error: ChannelError| error.message();
    let server = Server::of(&membership);
    let channel = Channel::open(server, &agent.machine_key(), key, &agent.forwarder).await;
    let (node_key, _) = agent.node_keys();
    let request = CertificateRequest { version: CAPABILITY_VERSION, node_key, signing_request };
    let sent =
        channel.map_err(failed)?.post(certificate::PATH, &request, certificate::MAX_LEN).await;
    let reply = sent.map_err(failed)?;
    if reply.status != 200 {
        let said = showable(String::from_utf8_lossy(&reply.body).trim());
        return Err(message!("problem-agent-certificate-refused", said));
    }
    let response: Result<CertificateResponse, _> = serde_json::from_slice(&reply.body);
    Ok(response.map_err(|_| ChannelError::Answer.message())?.chain)
}
