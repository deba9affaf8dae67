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

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ApiKeyCommand {
    /// Create a key; it is shown once
    Create(CreateArgs),
    /// List all keys, without the keys themselves
    List(OutputArgs),
    /// Remove a key; it cannot be used any more
    Remove(RemoveArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CreateArgs {
    /// Name of the key, such as the person or program that uses it
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Allow reading only; the default unless --admin is given
    #[arg(long, conflicts_with = "admin")]
    pub(crate) read: bool,
    /// Allow every change that root may make here, API keys included
    #[arg(long)]
    pub(crate) admin: bool,
    /// How long the key is valid; ten years at most
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = duration::parse)]
    pub(crate) expires: Duration,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RemoveArgs {
    /// Number or name of the key
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
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
