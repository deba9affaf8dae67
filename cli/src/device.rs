//! `maru device …`.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use coordinator_api::{
    Approve, Device, DeviceState, Extend, Rename, Route, SetTags, WIREGUARD_OS, endpoints,
};
use messages::{Message, message};
use serde::Serialize;

use crate::{
    client::Client,
    duration,
    node_id::NodeId,
    output::{self, Format, OutputArgs},
    route,
};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// List all devices, those that wait included
    List(OutputArgs),
    /// Show one device
    Show(DeviceArgs),
    /// Approve a waiting device
    Approve(ApproveArgs),
    /// Reject a waiting device
    Reject(DeviceArgs),
    /// Rename a device
    Rename(RenameArgs),
    /// Replace a device's tags
    Tag(TagArgs),
    /// Extend a device's key, expired or not
    Extend(ExtendArgs),
    /// Make a device's key expire now: it has to register again
    Expire(NodeArgs),
    /// Remove a device: it loses access within seconds, and its key cannot be used again
    Remove(DeviceArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DeviceId {
    /// Number or name of the device, or the code of one that waits
    #[arg(value_name = "DEVICE")]
    pub(crate) id: String,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DeviceArgs {
    #[command(flatten)]
    pub(crate) device: DeviceId,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct NodeArgs {
    #[command(flatten)]
    pub(crate) device: NodeId,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    pub(crate) device: DeviceId,
    /// Owner of the device; needed if it registered without a key or an invitation
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Tag to give it, such as tag:printer; may be repeated
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "user")]
    pub(crate) tags: Vec<String>,
    /// Name to give it [default: made from its hostname]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ExtendArgs {
    #[command(flatten)]
    pub(crate) device: NodeId,
    /// How long the key is valid from now on, such as 90d [default: as for a new device]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) expires: Option<Duration>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RenameArgs {
    #[command(flatten)]
    pub(crate) device: NodeId,
    /// New name, one DNS label
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct TagArgs {
    #[command(flatten)]
    pub(crate) device: NodeId,
    /// New tags, such as tag:printer
    #[arg(value_name = "TAG", required = true)]
    pub(crate) tags: Vec<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(command: DeviceCommand, client: &Client) -> anyhow::Result<ExitCode> {
    match command {
        DeviceCommand::List(OutputArgs { output }) => list(client, output).await?,
        DeviceCommand::Show(args) => {
            let device = client.call(&endpoints::SHOW_DEVICE, &[&args.device.id], &()).await?;
            let mut routes = client.call(&endpoints::LIST_ROUTES, &[], &()).await?;
            routes.retain(|route| route.device == device.id);
            show(args.output.output, &DeviceWithRoutes { device, routes })?;
        }
        DeviceCommand::Approve(args) => {
            let body = Approve { user: args.user, tags: args.tags, name: args.name };
            let device = client.call(&endpoints::APPROVE_DEVICE, &[&args.device.id], &body).await?;
            done(args.output, &device, |device| message!("device-approved", device))?;
        }
        DeviceCommand::Reject(args) => {
            let device = client.call(&endpoints::SHOW_DEVICE, &[&args.device.id], &()).await?;
            client.call(&endpoints::REJECT_DEVICE, &[&device.id.to_string()], &()).await?;
            done(args.output, &device, |device| message!("device-rejected", device))?;
        }
        DeviceCommand::Rename(args) => {
            let body = Rename { name: args.name };
            let device = client.call(&endpoints::RENAME_DEVICE, &[&args.device.id], &body).await?;
            done(args.output, &device, |device| message!("device-renamed", device))?;
        }
        DeviceCommand::Tag(args) => {
            let body = SetTags { tags: args.tags };
            let device = client.call(&endpoints::TAG_DEVICE, &[&args.device.id], &body).await?;
            done(args.output, &device, |device| message!("device-tagged", device))?;
        }
        DeviceCommand::Extend(args) => {
            let body = Extend { expires_in_s: args.expires.map(|life| life.as_secs()) };
            let device = client.call(&endpoints::EXTEND_DEVICE, &[&args.device.id], &body).await?;
            done(args.output, &device, |it| match &device.key_expiry {
                Some(until) => message!("device-extended", until, device = it),
                None => message!("device-extended-for-ever", device = it),
            })?;
        }
        DeviceCommand::Expire(args) => {
            let device = client.call(&endpoints::EXPIRE_DEVICE, &[&args.device.id], &()).await?;
            done(args.output, &device, |device| message!("device-expired", device))?;
        }
        DeviceCommand::Remove(args) => {
            let device = client.call(&endpoints::SHOW_DEVICE, &[&args.device.id], &()).await?;
            client.call(&endpoints::REMOVE_DEVICE, &[&device.id.to_string()], &()).await?;
            done(args.output, &device, |device| message!("device-removed", device))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client, format: Format) -> anyhow::Result<()> {
    let devices = client.call(&endpoints::LIST_DEVICES, &[], &()).await?;
    if format != Format::Table {
        return output::structured(format, &devices);
    }
    let (waiting, nodes): (Vec<Device>, Vec<Device>) =
        devices.into_iter().partition(|device| device.state == DeviceState::Pending);
    output::list(format, &nodes, &message!("device-heads"), |device| {
        vec![
            device.id.to_string(),
            device.name.clone(),
            device.hostname.clone(),
            state(device.state),
            device.user.clone().unwrap_or_default(),
            device.tags.join(" "),
            device.addresses.first().cloned().unwrap_or_default(),
            online(device),
            device.last_seen.clone().unwrap_or_default(),
        ]
    })?;
    if waiting.is_empty() {
        return Ok(());
    }
    output::line("")?;
    output::list(format, &waiting, &message!("device-waiting-heads"), |device| {
        vec![
            device.id.to_string(),
            device.code.clone(),
            device.hostname.clone(),
            device.os.clone(),
            device.source.clone(),
            key_fingerprint(&device.node_key),
            device.user.clone().unwrap_or_default(),
            asked_tags(device),
        ]
    })?;
    output::note(message!("devices-waiting", count = waiting.len()));
    Ok(())
}

/// Whether a device is connected; of a WireGuard device the coordinator does not know it.
fn online(device: &Device) -> String {
    if device.os == WIREGUARD_OS { "WireGuard".to_owned() } else { output::yes(device.online) }
}

/// The beginning of a node key: enough to compare it with the one that the device shows.
fn key_fingerprint(node_key: &str) -> String {
    let digits = node_key.rsplit(':').next().unwrap_or_default();
    let groups: Vec<_> = (0..4).filter_map(|group| digits.get(4 * group..4 * group + 4)).collect();
    groups.join("-")
}

/// The tags that its key gives it, and those that it requests, marked with `?`.
fn asked_tags(device: &Device) -> String {
    let asked = device.requested_tags.iter().map(|tag| format!("{tag}?"));
    device.tags.iter().cloned().chain(asked).collect::<Vec<_>>().join(" ")
}

/// A device with its routes.
#[derive(Debug, Serialize)]
struct DeviceWithRoutes {
    #[serde(flatten)]
    device: Device,
    /// The routes that it offers, or that were decided before.
    routes: Vec<Route>,
}

fn show(format: Format, item: &DeviceWithRoutes) -> anyhow::Result<()> {
    let DeviceWithRoutes { device, routes } = item;
    let values = [
        device.id.to_string(),
        device.name.clone(),
        device.hostname.clone(),
        device.os.clone(),
        state(device.state),
        device.code.clone(),
        device.source.clone(),
        device.requested_tags.join(" "),
        device.user.clone().unwrap_or_default(),
        device.tags.join(" "),
        device.addresses.join(" "),
        device.node_key.clone(),
        device.created.clone(),
        online(device),
        device.last_seen.clone().unwrap_or_default(),
        device.endpoints.join(" "),
        device.key_expiry.clone().unwrap_or_else(|| message!("never").to_string()),
        output::yes(device.ephemeral),
    ];
    let values = values.into_iter().chain(routes.iter().map(route::summary));
    output::one(format, item, &message!("device-labels"), values)
}

/// Reports a change of a device; JSON is the device as it was left, or last was.
fn done(
    args: OutputArgs,
    device: &Device,
    text: impl FnOnce(String) -> Message,
) -> anyhow::Result<()> {
    let (id, name, addresses) = (device.id, shown_name(device), device.addresses.join(" "));
    output::done(
        args.output,
        device,
        &text(format!("{id} {name} {addresses}").trim_end().to_owned()),
    )
}

/// The name, or the hostname of a device that waits.
fn shown_name(device: &Device) -> &str {
    if device.name.is_empty() { &device.hostname } else { &device.name }
}

fn state(state: DeviceState) -> String {
    message!("device-state", state = output::word(&state)).to_string()
}
