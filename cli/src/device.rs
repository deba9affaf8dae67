//! `maru device …`.

use std::{path::Path, process::ExitCode};

use clap::{Args, Subcommand};
use coordinator_api::{Approve, Device, DeviceState, Rename, SetTags};

use crate::{
    client::{Client, segment},
    output::{self, Format, OutputArgs},
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
    /// Make a device's key expire now: it has to register again
    Expire(DeviceArgs),
    /// Remove a device: it is out within seconds, and its key is spent
    Remove(DeviceArgs),
}

/// A device by number or name.
#[derive(Clone, Debug, Args)]
pub struct DeviceId {
    /// Number or name of the device
    #[arg(value_name = "DEVICE")]
    pub id: String,
}

/// Of `maru device show`, `reject`, `expire` and `remove`.
#[derive(Clone, Debug, Args)]
pub struct DeviceArgs {
    /// Which.
    #[command(flatten)]
    pub device: DeviceId,
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
    /// Whose device it is; needed if it joined without a key
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

/// Of `maru device rename`.
#[derive(Clone, Debug, Args)]
pub struct RenameArgs {
    /// Which.
    #[command(flatten)]
    pub device: DeviceId,
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
    pub device: DeviceId,
    /// New tags, such as tag:printer
    #[arg(value_name = "TAG", required = true)]
    pub tags: Vec<String>,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(command: DeviceCommand, root: &Path) -> anyhow::Result<ExitCode> {
    let client = Client::coordinator(root)?;
    match command {
        DeviceCommand::List(OutputArgs { output }) => list(&client, output).await?,
        DeviceCommand::Show(args) => {
            let device: Device = client.get(&path(&args.device.id, "")).await?;
            show(args.output.output, &device)?;
        }
        DeviceCommand::Approve(args) => {
            let body = Approve { user: args.user, tags: args.tags, name: args.name };
            let device = client.post(&path(&args.device.id, "/approve"), &body).await?;
            done(args.output, "approved", &device)?;
        }
        DeviceCommand::Reject(args) => {
            let device: Device = client.get(&path(&args.device.id, "")).await?;
            client.post_empty(&path(&device.id.to_string(), "/reject")).await?;
            done(args.output, "rejected", &device)?;
        }
        DeviceCommand::Rename(args) => {
            let body = Rename { name: args.name };
            let device = client.post(&path(&args.device.id, "/rename"), &body).await?;
            done(args.output, "renamed", &device)?;
        }
        DeviceCommand::Tag(args) => {
            let body = SetTags { tags: args.tags };
            let device = client.post(&path(&args.device.id, "/tags"), &body).await?;
            done(args.output, "tagged", &device)?;
        }
        DeviceCommand::Expire(args) => {
            let body = serde_json::json!({});
            let device = client.post(&path(&args.device.id, "/expire"), &body).await?;
            done(args.output, "expired", &device)?;
        }
        DeviceCommand::Remove(args) => {
            let device: Device = client.get(&path(&args.device.id, "")).await?;
            client.delete(&path(&device.id.to_string(), "")).await?;
            done(args.output, "removed", &device)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn path(id: &str, action: &str) -> String {
    format!("/api/v1/devices/{}{action}", segment(id))
}

async fn list(client: &Client, format: Format) -> anyhow::Result<()> {
    let devices: Vec<Device> = client.get("/api/v1/devices").await?;
    let headers = ["ID", "NAME", "STATE", "USER", "TAGS", "ADDRESS", "ONLINE", "LAST SEEN"];
    output::list(format, &devices, &headers, |device| {
        vec![
            device.id.to_string(),
            shown_name(device).to_owned(),
            state(device.state).to_owned(),
            device.user.clone().unwrap_or_default(),
            device.tags.join(" "),
            device.addresses.first().cloned().unwrap_or_default(),
            output::yes(device.online),
            device.last_seen.clone().unwrap_or_default(),
        ]
    })?;
    let waiting = devices.iter().filter(|device| device.state == DeviceState::Pending).count();
    if format == Format::Table && waiting > 0 {
        output::note(&format!("{waiting} waiting: maru device approve ID, or reject ID"));
    }
    Ok(())
}

fn show(format: Format, device: &Device) -> anyhow::Result<()> {
    let rows = [
        ("id", device.id.to_string()),
        ("name", device.name.clone()),
        ("hostname", device.hostname.clone()),
        ("system", device.os.clone()),
        ("state", state(device.state).to_owned()),
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
    output::one(format, device, &rows)
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
