//! `maru api-key …`.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use coordinator_api::{Access, CreateApiKey, endpoints};
use messages::message;

use crate::{
    client::Client,
    duration,
    output::{self, OutputArgs},
};

/// Of `maru api-key`.
#[derive(Clone, Debug, Subcommand)]
pub enum ApiKeyCommand {
    /// Create a key; it is shown once
    Create(CreateArgs),
    /// List all keys; what they are is not shown
    List(OutputArgs),
    /// Remove a key: it opens nothing any more
    Remove(RemoveArgs),
}

/// Of `maru api-key create`.
#[derive(Clone, Debug, Args)]
pub struct CreateArgs {
    /// What the key is called: who or what uses it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// It may read alone; so it is unless --admin is given
    #[arg(long, conflicts_with = "admin")]
    pub read: bool,
    /// It may change everything, as root may here; also make and remove API keys
    #[arg(long)]
    pub admin: bool,
    /// How long it can be used; ten years at most
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = duration::parse)]
    pub expires: Duration,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Of `maru api-key remove`.
#[derive(Clone, Debug, Args)]
pub struct RemoveArgs {
    /// Number or name of the key
    #[arg(value_name = "KEY")]
    pub key: String,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(command: ApiKeyCommand, client: &Client) -> anyhow::Result<ExitCode> {
    match command {
        ApiKeyCommand::Create(args) => create(client, args).await?,
        ApiKeyCommand::List(args) => list(client, args).await?,
        ApiKeyCommand::Remove(args) => {
            let key = client.call(&endpoints::REMOVE_API_KEY, &[&args.key], &()).await?;
            output::done(
                args.output.output,
                &key,
                &message!("api-key-removed", id = key.id, name = key.name),
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(client: &Client, args: CreateArgs) -> anyhow::Result<()> {
    let body = CreateApiKey {
        name: args.name,
        access: if args.admin { Access::Admin } else { Access::Read },
        expires_in_s: Some(args.expires.as_secs()),
    };
    let key = client.call(&endpoints::CREATE_API_KEY, &[], &body).await?;
    let values = [
        key.id.to_string(),
        key.name.clone(),
        key.key.reveal().to_owned(),
        may(key.access),
        key.expires.clone(),
    ];
    output::one(args.output.output, &key, &message!("api-key-labels"), values)
}

async fn list(client: &Client, args: OutputArgs) -> anyhow::Result<()> {
    let keys = client.call(&endpoints::LIST_API_KEYS, &[], &()).await?;
    output::list(args.output, &keys, &message!("api-key-heads"), |key| {
        vec![
            key.id.to_string(),
            key.name.clone(),
            may(key.access),
            message!("key-state", state = if key.expired { "expired" } else { "valid" })
                .to_string(),
            key.created.clone(),
            key.expires.clone(),
        ]
    })
}

fn may(access: Access) -> String {
    message!("api-key-may", access = output::word(&access)).to_string()
}
