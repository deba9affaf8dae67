//! `maru wireguard …`: devices that have only WireGuard.

use std::{io::IsTerminal as _, path::Path, process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use control_protocol::key::NodePrivate;
use coordinator_api::{
    AddWireguardDevice, DeviceState, Rename, RotateWireguardDevice, WireguardDevice, WireguardKey,
    endpoints,
};
use messages::{Message, message};

use self::configuration::NewConfiguration;
use crate::{
    client::Client,
    duration,
    output::{self, Format, OutputArgs},
    qr,
};

mod configuration;
mod router;
mod view;

pub(crate) use self::view::problem;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum WireguardCommand {
    /// Add a device; its configuration is shown once, as text and as a QR code
    Add(AddArgs),
    /// List these devices; on their router with what it last heard of each
    List(OutputArgs),
    /// Show a device, without its private key, which only the device has
    Show(DeviceArgs),
    /// Rename a device
    Rename(RenameArgs),
    /// Give a device another key: the configuration before is void at once, and the new one is shown once
    Rotate(RotateArgs),
    /// Remove a device: it loses access within seconds, open connections included
    Remove(DeviceArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AddArgs {
    /// Name of the device, one DNS label
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Its owner [default: the only person]
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Tag to give it instead, such as tag:tv; may be repeated
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "user")]
    pub(crate) tags: Vec<String>,
    /// Send everything through home, the internet too, where the policy lets it
    #[arg(long)]
    pub(crate) full_tunnel: bool,
    /// How long it is valid, such as 90d [default: until it is removed]
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    pub(crate) expires: Option<Duration>,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// Send a keep-alive every 25 seconds, for a device that must be reachable while it is silent
    #[arg(long)]
    pub(crate) keepalive: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// The key of a device, and how it is reached.
#[derive(Clone, Debug, Args)]
pub(crate) struct KeyArgs {
    /// Public key that the device made itself [default: a key is made here, and shown once]
    #[arg(long, value_name = "KEY")]
    pub(crate) public_key: Option<WireguardKey>,
    /// Where it reaches home, HOST:PORT [default: the coordinator's host and the router's port]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) endpoint: Option<String>,
    /// Tagged device that routes it into the network [default: home; of an existing device the same]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) via: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct DeviceArgs {
    /// Number or name of the device
    #[arg(value_name = "DEVICE")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RenameArgs {
    /// Number or name of the device
    #[arg(value_name = "DEVICE")]
    pub(crate) id: String,
    /// New name, one DNS label
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RotateArgs {
    /// Number or name of the device
    #[arg(value_name = "DEVICE")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(
    command: WireguardCommand,
    client: &Client,
    root: &Path,
) -> anyhow::Result<ExitCode> {
    match command {
        WireguardCommand::Add(args) => {
            let format = args.output.output;
            print(format, &add(args, client, root).await?)?;
        }
        WireguardCommand::Rotate(args) => {
            let (private, public_key) = keys(&args.key)?;
            let KeyArgs { via, endpoint, .. } = args.key;
            let body = RotateWireguardDevice { public_key, via, endpoint };
            let what = (&endpoints::ROTATE_WIREGUARD, &[args.id.as_str()][..]);
            let device = router::call(client, root, what, &body).await?;
            print(args.output.output, &NewConfiguration::of(device, private.as_ref()))?;
        }
        WireguardCommand::List(OutputArgs { output }) => {
            let devices = client.call(&endpoints::LIST_WIREGUARD, &[], &()).await?;
            view::list(output, view::with_traffic(devices, root).await)?;
        }
        WireguardCommand::Show(args) => {
            let device = show(client, &args.id).await?;
            let is_expired = device.device.state == DeviceState::Expired;
            let name = device.device.name.clone();
            view::show(args.output.output, view::with_traffic(vec![device], root).await)?;
            if is_expired && args.output.output == Format::Table {
                output::note(message!("wireguard-expired", name));
            }
        }
        WireguardCommand::Rename(args) => {
            let id = show(client, &args.id).await?.device.id.to_string();
            let body = Rename { name: args.name };
            let device = client.call(&endpoints::RENAME_DEVICE, &[&id], &body).await?;
            let text = message!("device-renamed", device = format!("{id} {}", device.name));
            output::done(args.output.output, &device, &text)?;
        }
        WireguardCommand::Remove(args) => {
            let device = show(client, &args.id).await?.device;
            let id = device.id.to_string();
            client.call(&endpoints::REMOVE_DEVICE, &[&id], &()).await?;
            let text = message!("device-removed", device = format!("{id} {}", device.name));
            output::done(args.output.output, &device, &text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Adds a device.
async fn add(args: AddArgs, client: &Client, root: &Path) -> anyhow::Result<NewConfiguration> {
    let (private, public_key) = keys(&args.key)?;
    let body = AddWireguardDevice {
        name: args.name,
        public_key,
        user: args.user,
        tags: args.tags,
        full_tunnel: args.full_tunnel,
        expires_in_s: args.expires.map(|life| life.as_secs()),
        via: args.key.via,
        endpoint: args.key.endpoint,
        keepalive: args.keepalive,
    };
    let device = router::call(client, root, (&endpoints::ADD_WIREGUARD, &[]), &body).await?;
    Ok(NewConfiguration::of(device, private.as_ref()))
}

/// The device, if it has only WireGuard.
async fn show(client: &Client, id: &str) -> anyhow::Result<WireguardDevice> {
    client.call(&endpoints::SHOW_WIREGUARD, &[id], &()).await
}

/// The public key that was given, or a new key. The private key leaves this process in the configuration alone.
fn keys(args: &KeyArgs) -> anyhow::Result<(Option<NodePrivate>, WireguardKey)> {
    if let Some(public) = args.public_key {
        return Ok((None, public));
    }
    let private = NodePrivate::generate()?;
    let public = WireguardKey(private.public());
    Ok((Some(private), public))
}

/// Prints a configuration: the text to standard output, the QR code and what to do to standard error.
fn print(format: Format, made: &NewConfiguration) -> anyhow::Result<()> {
    if format != Format::Table {
        return output::structured(format, made);
    }
    let text = made.configuration.reveal();
    output::line(text.trim_end())?;
    if made.private_key.is_some()
        && let Ok(code) = qr::draw(text, std::io::stderr().is_terminal())
    {
        output::note(format!("\n{code}\n"));
    }
    output::note(next_step(made));
    if let Some(problem) = problem(&made.device) {
        output::note(problem);
    }
    Ok(())
}

/// Through whom the device joins, and what to do with its configuration.
fn next_step(made: &NewConfiguration) -> Message {
    let (name, router) = (&made.device.device.name, made.device.router.as_deref().unwrap_or("?"));
    match made.private_key {
        Some(_) => message!("wireguard-added", name, router),
        None => message!("wireguard-added-key", name, router),
    }
}

#[cfg(test)]
mod tests;
