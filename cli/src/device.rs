//! `maru device …`.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use coordinator_api::{Approve, Device, DeviceState, Extend, Rename, Route, SetTags, endpoints};
use serde::Serialize;

use crate::{
    client::Client,
    duration,
    node_id::NodeId,
    output::{self, Format, OutputArgs},
    route,
};

/// Of `maru device`.
#[derive(Clone, Debug, Subcommand)]
pub enum DeviceCommand {
    /// List all devices, those that wait included
    List(OutputArgs),
    /// Show one device
    Show(DeviceArgs),
    /// Let a waiting device in
    Approve(ApproveArgs),
    /// Turn a waiting device away
    Reject(DeviceArgs),
    /// Give a device another name
    Rename(RenameArgs),
    /// Replace a device's tags
    Tag(TagArgs),
    /// Give a device's key a new life, expired or not
    Extend(ExtendArgs),
    /// Make a device's key expire now: it has to register again
    Expire(NodeArgs),
    /// Remove a device: it is out within seconds, and its key is spent
    Remove(DeviceArgs),
}

/// A device by number or name, and one that waits by its code too.
#[derive(Clone, Debug, Args)]
pub struct DeviceId {
    /// Number or name of the device; for one that waits its code too
    #[arg(value_name = "DEVICE")]
    pub id: String,
}

/// Of `maru device show`, `reject` and `remove`.
#[derive(Clone, Debug, Args)]
pub struct DeviceArgs {
    /// Which.
    #[command(flatten)]
    pub device: DeviceId,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Of `maru device expire`.
#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// Which.
    #[command(flatten)]
    pub device: NodeId,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Of `maru device approve`.
#[derive(Clone, Debug, Args)]
pub struct ApproveArgs {
    /// Which.
    #[command(flatten)]
    pub device: DeviceId,
    /// Whose device it is; needed if it joined without a key or an invitation
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Tag to give it, such as tag:printer; may be repeated
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "user")]
    pub tags: Vec<String>,
    /// Name to give it [default: made from its hostname]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Of `maru device extend`.
#[derive(Clone, Debug, Args)]
pub struct ExtendArgs {
    /// Which.
    #[command(flatten)]
    pub device: NodeId,
    /// How long the key lives from now on, such as 90d [default: as long as a new device's]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub expires: Option<Duration>,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Of `maru device rename`.
#[derive(Clone, Debug, Args)]
pub struct RenameArgs {
    /// Which.
    #[command(flatten)]
    pub device: NodeId,
    /// New name, one DNS label
    #[arg(value_name = "NAME")]
    pub name: String,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Of `maru device tag`.
#[derive(Clone, Debug, Args)]
pub struct TagArgs {
    /// Which.
    #[command(flatten)]
    pub device: NodeId,
    /// New tags, such as tag:printer
    #[arg(value_name = "TAG", required = true)]
    pub tags: Vec<String>,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(command: DeviceCommand, client: &Client) -> anyhow::Result<ExitCode> {
    match command {
        DeviceCommand::List(OutputArgs { output }) => list(client, output).await?,
        DeviceCommand::Show(args) => {
            let device = client.call(&endpoints::SHOW_DEVICE, &[&args.device.id], &()).await?;
            let mut routes = client.call(&endpoints::LIST_ROUTES, &[], &()).await?;
            routes.retain(|route| route.device == device.id);
            show(args.output.output, &Shown { device, routes })?;
        }
        DeviceCommand::Approve(args) => {
            let body = Approve { user: args.user, tags: args.tags, name: args.name };
            let device = client.call(&endpoints::APPROVE_DEVICE, &[&args.device.id], &body).await?;
            done(args.output, "approved", &device)?;
        }
        DeviceCommand::Reject(args) => {
            let device = client.call(&endpoints::SHOW_DEVICE, &[&args.device.id], &()).await?;
            client.call(&endpoints::REJECT_DEVICE, &[&device.id.to_string()], &()).await?;
            done(args.output, "rejected", &device)?;
        }
        DeviceCommand::Rename(args) => {
            let body = Rename { name: args.name };
            let device = client.call(&endpoints::RENAME_DEVICE, &[&args.device.id], &body).await?;
            done(args.output, "renamed", &device)?;
        }
        DeviceCommand::Tag(args) => {
            let body = SetTags { tags: args.tags };
            let device = client.call(&endpoints::TAG_DEVICE, &[&args.device.id], &body).await?;
            done(args.output, "tagged", &device)?;
        }
        DeviceCommand::Extend(args) => {
            let body = Extend { expires_in_s: args.expires.map(|life| life.as_secs()) };
            let device = client.call(&endpoints::EXTEND_DEVICE, &[&args.device.id], &body).await?;
            let until = device.key_expiry.as_deref().unwrap_or("for ever");
            done(args.output, &format!("extended until {until}:"), &device)?;
        }
        DeviceCommand::Expire(args) => {
            let device = client.call(&endpoints::EXPIRE_DEVICE, &[&args.device.id], &()).await?;
            done(args.output, "expired", &device)?;
        }
        DeviceCommand::Remove(args) => {
            let device = client.call(&endpoints::SHOW_DEVICE, &[&args.device.id], &()).await?;
            client.call(&endpoints::REMOVE_DEVICE, &[&device.id.to_string()], &()).await?;
            done(args.output, "removed", &device)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client, format: Format) -> anyhow::Result<()> {
    let devices = client.call(&endpoints::LIST_DEVICES, &[], &()).await?;
    if format != Format::Table {
        return output::list(format, &devices, &[], |_| Vec::new());
    }
    let (waiting, nodes): (Vec<Device>, Vec<Device>) =
        devices.into_iter().partition(|device| device.state == DeviceState::Pending);
    let headers =
        ["ID", "NAME", "HOSTNAME", "STATE", "USER", "TAGS", "ADDRESS", "ONLINE", "LAST SEEN"];
    output::list(format, &nodes, &headers, |device| {
        vec![
            device.id.to_string(),
            device.name.clone(),
            device.hostname.clone(),
            state(device.state).to_owned(),
            device.user.clone().unwrap_or_default(),
            device.tags.join(" "),
            device.addresses.first().cloned().unwrap_or_default(),
            output::yes(device.online),
            device.last_seen.clone().unwrap_or_default(),
        ]
    })?;
    if waiting.is_empty() {
        return Ok(());
    }
    output::line("")?;
    let headers = ["WAITING", "CODE", "HOSTNAME", "SYSTEM", "FROM", "KEY", "USER", "TAGS"];
    output::list(format, &waiting, &headers, |device| {
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
    output::note(&format!(
        "{} waiting: maru device approve CODE, or reject CODE. What a device says of itself proves nothing: compare the \
         code with the one on its page, or the key.",
        waiting.len()
    ));
    Ok(())
}

/// The beginning of a node key: enough to compare it with the one that the device shows.
fn key_fingerprint(node_key: &str) -> String {
    let digits = node_key.rsplit(':').next().unwrap_or_default();
    let groups: Vec<_> = (0..4).filter_map(|group| digits.get(4 * group..4 * group + 4)).collect();
    groups.join("-")
}

/// The tags that it has by its key, and those that it asks for.
fn asked_tags(device: &Device) -> String {
    let asked = device.requested_tags.iter().map(|tag| format!("{tag}?"));
    device.tags.iter().cloned().chain(asked).collect::<Vec<_>>().join(" ")
}

/// What is shown of one device.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    device: Device,
    /// The routes that it offers, or that were decided before.
    routes: Vec<Route>,
}

fn show(format: Format, shown: &Shown) -> anyhow::Result<()> {
    let Shown { device, routes } = shown;
    let mut rows = vec![
        ("id", device.id.to_string()),
        ("name", device.name.clone()),
        ("hostname", device.hostname.clone()),
        ("system", device.os.clone()),
        ("state", state(device.state).to_owned()),
        ("code", device.code.clone()),
        ("asked from", device.source.clone()),
        ("asks for", device.requested_tags.join(" ")),
        ("user", device.user.clone().unwrap_or_default()),
        ("tags", device.tags.join(" ")),
        ("addresses", device.addresses.join(" ")),
        ("node key", device.node_key.clone()),
        ("created", device.created.clone()),
        ("online", output::yes(device.online)),
        ("last seen", device.last_seen.clone().unwrap_or_default()),
        ("endpoints", device.endpoints.join(" ")),
        ("key expires", device.key_expiry.clone().unwrap_or_else(|| "never".to_owned())),
        ("ephemeral", output::yes(device.ephemeral)),
    ];
    let names = std::iter::once("routes").chain(std::iter::repeat(""));
    rows.extend(names.zip(routes.iter().map(route::summary)));
    output::one(format, shown, &rows)
}

/// Says what was done to a device; for programs, the device as it was left, or last was.
fn done(args: OutputArgs, what: &str, device: &Device) -> anyhow::Result<()> {
    let name = shown_name(device);
    let addresses = device.addresses.join(" ");
    output::done(args.output, device, &format!("{what} {} {name} {addresses}", device.id))
}

/// The name, or what a device that waits calls itself.
fn shown_name(device: &Device) -> &str {
    if device.name.is_empty() { &device.hostname } else { &device.name }
}

fn state(state: DeviceState) -> &'static str {
    match state {
        DeviceState::Pending => "pending",
        DeviceState::Approved => "approved",
        DeviceState::Expired => "expired",
    }
}
