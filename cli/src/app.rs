//! `maru app …`: programs of this machine that use the AI with a key.

use std::{path::Path, process::ExitCode};

use ai_gateway_api::{
    apps::AddApp,
    endpoints::{ADD_APP, LIST_APPS, REMOVE_APP},
};
use clap::{Args, Subcommand};
use messages::{Message, message};
use services::{GATEWAY_HTTP, GATEWAY_MESH};

use crate::{
    client::Client,
    output::{self, Format, OutputArgs},
    up::config,
};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum AppCommand {
    /// Let a program of this machine use the AI; its key is shown once
    Add(AppArgs),
    /// List the programs that have a key, without the keys
    List(OutputArgs),
    /// Remove a program: its key is invalid at once, and its running replies end
    Remove(AppArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct AppArgs {
    /// Name of the program here, such as open-webui
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(command: AppCommand, root: &Path) -> anyhow::Result<ExitCode> {
    let client = Client::gateway(root);
    match command {
        AppCommand::Add(args) => add(&client, args, root).await?,
        AppCommand::List(args) => {
            let apps = client.call(&LIST_APPS, &[], &()).await?;
            output::list(args.output, &apps, &message!("app-heads"), |app| {
                let used = app.last_used.clone().unwrap_or_else(|| message!("never").to_string());
                vec![app.name.to_string(), app.created.clone(), used]
            })?;
        }
        AppCommand::Remove(args) => {
            let app = client.call(&REMOVE_APP, &[&args.name], &()).await?;
            output::done(args.output.output, &app, &message!("app-removed", name = app.name))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(client: &Client, args: AppArgs, root: &Path) -> anyhow::Result<()> {
    let added = client.call(&ADD_APP, &[], &AddApp { name: args.name }).await?;
    let values =
        [added.app.name.to_string(), added.key.reveal().to_owned(), added.app.created.clone()];
    output::one(args.output.output, &added, &message!("app-labels"), values)?;
    if args.output.output == Format::Table {
        output::note(address(root));
    }
    Ok(())
}

/// The address at which the program reaches the AI, or what has to be configured for that.
fn address(root: &Path) -> Message {
    let socket = Path::new(GATEWAY_HTTP.socket);
    let service = config::agent(root)
        .ok()
        .and_then(|agent| agent.service.into_iter().find(|service| service.socket == socket));
    match service.and_then(|service| service.local.first().copied()) {
        Some(address) => message!("app-address", address),
        None => message!("app-no-address", port = GATEWAY_MESH.port),
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn what_is_missing_between_a_program_and_the_gateway_is_said() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/maru");
        std::fs::create_dir_all(&folder).unwrap();
        assert!(address(root.path()).to_string().contains("add local = [\"127.0.0.1:18789\"]"));

        let service = "[[service]]\nname = \"gateway\"\nport = 18789\nsocket = \"run/maru/gateway/http.sock\"\n";
        std::fs::write(folder.join("agent.toml"), service).unwrap();
        assert!(address(root.path()).to_string().contains("add local"));
        let local = format!("{service}local = [\"127.0.0.1:11434\"]\n");
        std::fs::write(folder.join("agent.toml"), local).unwrap();
        assert!(address(root.path()).to_string().contains("http://127.0.0.1:11434/v1"));
    }
}
