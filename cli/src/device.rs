//! `maru device …`.

use std::{path::Path, process::ExitCode};

use coordinator_api::{Approve, Device, DeviceState, Rename, SetTags};

use crate::{
    args::{DeviceCommand, Format, OutputArgs},
    client::{Client, segment},
    output,
};

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
            done("approved", &device)?;
        }
        DeviceCommand::Reject(args) => {
            client.post_empty(&path(&args.id, "/reject")).await?;
            output::line("rejected")?;
        }
        DeviceCommand::Rename(args) => {
            let body = Rename { name: args.name };
            done("renamed", &client.post(&path(&args.device.id, "/rename"), &body).await?)?;
        }
        DeviceCommand::Tag(args) => {
            let body = SetTags { tags: args.tags };
            done("tagged", &client.post(&path(&args.device.id, "/tags"), &body).await?)?;
        }
        DeviceCommand::Expire(args) => {
            let body = serde_json::json!({});
            done("expired", &client.post(&path(&args.id, "/expire"), &body).await?)?;
        }
        DeviceCommand::Remove(args) => {
            client.delete(&path(&args.id, "")).await?;
            output::line("removed")?;
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

fn done(what: &str, device: &Device) -> anyhow::Result<()> {
    let name = output::plain(shown_name(device));
    output::line(&format!("{what} {} {name} {}", device.id, device.addresses.join(" ")))
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
