//! Makes the home machine a node of its own network. Every step looks first: a second
//! start finds all done.

use std::{
    fs::File,
    io::Read as _,
    path::Path,
    time::{Duration, Instant},
};

use ai_gateway_api::sealed::Ed25519Public;
use anyhow::{Context as _, bail};
use control_protocol::map::SERVER_URL;
use coordinator_api::{
    CreateKey, CreateUser, Device, DeviceState, SetRecord, endpoints,
    invitation::{Invitation, ServerUrl},
    settings::Settings,
};
use messages::message;
use node_agent_api::{
    GATEWAY_IDENTITY, Join, State, Status,
    endpoints::{JOIN, STATUS},
};
use rustix::fs::{Mode, OFlags, open};
use serde_json::json;
use services::{GATEWAY_STATE, mesh_names};

use crate::{
    client::Client,
    fingerprint::Fingerprint,
    output, problem,
    up::{config, guide::Summary},
};

/// Name that the home node asks for.
const HOSTNAME: &str = "home";
/// How long the home agent may take to join.
const JOINING: Duration = Duration::from_secs(60);
/// How long the key lives with which it does, in seconds.
const KEY_LIFE_S: u64 = 600;
/// Where the gateway leaves its public key, in its folder.
const IDENTITY: &str = "identity.pub";
/// More than a public key takes, in bytes.
const IDENTITY_MAX: u64 = 100;

/// Joins the home node and tells the coordinator what it offers.
pub(crate) async fn home(
    root: &Path,
    user: Option<&str>,
    settings: &Settings,
) -> anyhow::Result<Summary> {
    let coordinator = Client::coordinator(root);
    let agent = Client::agent(root);
    if let Some(user) = user {
        create_user(&coordinator, user).await?;
    }
    let status = join(settings, &coordinator, &agent).await?;
    let stable_id = status.node.map(|node| node.stable_id).unwrap_or_default();
    let devices = coordinator.call(&endpoints::LIST_DEVICES, &[], &()).await?;
    let Some(device) = devices.iter().find(|device| device.stable_id == stable_id) else {
        bail!(message!("agent-of-another-network"));
    };
    let records = coordinator.call(&endpoints::LIST_RECORDS, &[], &()).await?;
    for name in mesh_names() {
        if records.iter().all(|record| record.name != name || record.device != device.id) {
            set_record(&coordinator, name, device).await?;
        }
    }
    let network = coordinator.call(&endpoints::NETWORK, &[], &()).await?;
    let identity = publish(&coordinator, device, &network.server_url, root).await?;
    let waiting = devices.iter().filter(|device| device.state == DeviceState::Pending).count();
    Ok(Summary {
        root: root.to_owned(),
        network: network.network,
        server_url: network.server_url,
        gateway: Fingerprint::of(identity),
        members: devices.len().saturating_sub(waiting + 1),
        waiting,
    })
}

async fn create_user(coordinator: &Client, name: &str) -> anyhow::Result<()> {
    let users = coordinator.call(&endpoints::LIST_USERS, &[], &()).await?;
    if users.iter().all(|user| user.name != name) {
        let body = CreateUser { name: name.to_owned() };
        coordinator.call(&endpoints::CREATE_USER, &[], &body).await?;
    }
    Ok(())
}

/// Waits until the agent runs; joins on the way if need be.
async fn join(settings: &Settings, coordinator: &Client, agent: &Client) -> anyhow::Result<Status> {
    let started = Instant::now();
    let mut asked = false;
    loop {
        let status = agent.call(&STATUS, &[], &()).await?;
        match status.state {
            // A pause that root asked for outlives a restart.
            State::Running | State::Paused => return Ok(status),
            // It waits where its node was removed: a key of its own lets it in again.
            State::NeedsJoin | State::Expired | State::WaitingForApproval if !asked => {
                ask_to_join(settings, coordinator, agent).await?;
                asked = true;
            }
            State::NeedsJoin | State::Expired | State::WaitingForApproval | State::Joining => {}
        }
        if started.elapsed() > JOINING {
            let problem = problem::of(&status).unwrap_or_else(|| {
                message!("status-state", state = output::word(&status.state)).to_string()
            });
            bail!(message!("home-does-not-join", problem));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn ask_to_join(
    settings: &Settings,
    coordinator: &Client,
    agent: &Client,
) -> anyhow::Result<()> {
    let body = CreateKey {
        tags: vec![config::TAG.to_owned()],
        pre_approved: true,
        expires_in_s: Some(KEY_LIFE_S),
        ..CreateKey::default()
    };
    let key = coordinator.call(&endpoints::CREATE_KEY, &[], &body).await?;
    let network = coordinator.call(&endpoints::NETWORK, &[], &()).await?;
    let invitation = Invitation {
        server: ServerUrl::parse(&config::local_url(settings))?,
        noise_key: network.noise_public_key.parse()?,
        auth_key: key.key,
    };
    let join = Join {
        url: invitation.to_text().reveal().to_owned(),
        key: None,
        hostname: Some(HOSTNAME.to_owned()),
        ca: None,
    };
    agent.call(&JOIN, &[], &join).await.context(message!("home-cannot-join"))?;
    Ok(())
}

/// Points a name below the network's domain at the home node.
async fn set_record(coordinator: &Client, name: &str, home: &Device) -> anyhow::Result<()> {
    let body = SetRecord { device: home.id };
    coordinator.call(&endpoints::SET_RECORD, &[name], &body).await?;
    Ok(())
}

/// Publishes the gateway's public key, by which apps recognise it, and where devices reach the coordinator, from which the
/// home's agent learns its router's address.
async fn publish(
    coordinator: &Client,
    home: &Device,
    server_url: &str,
    root: &Path,
) -> anyhow::Result<Ed25519Public> {
    let path = root.join(GATEWAY_STATE).join(IDENTITY);
    let identity = read_identity(&path)
        .with_context(|| message!("no-gateway-identity", path = path.display()))?;
    let mut capabilities = home.capabilities.clone();
    capabilities.insert(GATEWAY_IDENTITY.to_owned(), vec![json!(identity)]);
    capabilities.insert(SERVER_URL.to_owned(), vec![json!(server_url)]);
    if capabilities != home.capabilities {
        let id = home.id.to_string();
        coordinator.call(&endpoints::SET_CAPABILITIES, &[&id], &capabilities).await?;
    }
    Ok(identity)
}

/// Reads the gateway's public key. The folder is the gateway's own: whatever else it put there,
/// a link to another file of the host say, is neither followed nor published.
fn read_identity(path: &Path) -> anyhow::Result<Ed25519Public> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, OFlags::RDONLY | flags, Mode::empty())?);
    anyhow::ensure!(file.metadata()?.is_file(), message!("not-a-regular-file"));
    let mut text = String::new();
    file.take(IDENTITY_MAX).read_to_string(&mut text)?;
    text.trim().parse().context(message!("not-a-public-key"))
}

#[cfg(test)]
mod tests {
    use super::read_identity;

    #[test]
    fn only_a_public_key_is_published() {
        let dir = tempfile::tempdir().unwrap();
        let (key, secret) = (dir.path().join("identity.pub"), dir.path().join("noise.key"));
        let text = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";
        std::fs::write(&key, format!("{text}\n")).unwrap();
        assert_eq!(read_identity(&key).unwrap().to_string(), text);

        std::fs::write(&key, "privkey:0123").unwrap();
        assert!(read_identity(&key).is_err());
        std::fs::write(&secret, text).unwrap();
        std::fs::remove_file(&key).unwrap();
        std::os::unix::fs::symlink(&secret, &key).unwrap();
        assert!(read_identity(&key).is_err(), "a link was followed");
    }
}
