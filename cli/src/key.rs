//! `maru key …`.

use std::{process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use coordinator_api::{CreateKey, endpoints};
use messages::message;

use crate::{
    client::Client,
    duration,
    output::{self, OutputArgs},
};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Create a key; it is shown once
    Create(CreateKeyArgs),
    /// List all keys, without the keys themselves
    List(OutputArgs),
    /// Make a key unusable
    Expire(KeyArgs),
    /// Remove a key from the list, usable or not; devices that joined with it stay
    Remove(KeyArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct KeyArgs {
    /// Number of the key
    #[arg(value_name = "ID")]
    pub(crate) id: u64,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct CreateKeyArgs {
    /// Owner of the devices that join with it
    #[arg(long, value_name = "NAME", required_unless_present = "tags")]
    pub(crate) user: Option<String>,
    /// Tag of the devices that join with it, such as tag:printer; may be repeated
    #[arg(long = "tag", value_name = "TAG", conflicts_with = "user")]
    pub(crate) tags: Vec<String>,
    /// Allow more than one device to join with it
    #[arg(long)]
    pub(crate) reusable: bool,
    /// Remove its devices soon after they disconnect
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// Approve its devices automatically
    #[arg(long)]
    pub(crate) approved: bool,
    /// How long the key is valid
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration::parse)]
    pub(crate) expires: Duration,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(command: KeyCommand, client: &Client) -> anyhow::Result<ExitCode> {
    match command {
        KeyCommand::Create(args) => create(client, args).await?,
        KeyCommand::List(args) => list(client, args).await?,
        KeyCommand::Expire(args) => {
            let id = args.id.to_string();
            let key = client.call(&endpoints::EXPIRE_KEY, &[&id], &()).await?;
            output::done(args.output.output, &key, &message!("key-expired", id = key.id))?;
        }
        KeyCommand::Remove(args) => {
            let keys = client.call(&endpoints::LIST_KEYS, &[], &()).await?;
            client.call(&endpoints::REMOVE_KEY, &[&args.id.to_string()], &()).await?;
            let key = keys.iter().find(|key| key.id == args.id);
            output::done(args.output.output, &key, &message!("key-removed", id = args.id))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(client: &Client, args: CreateKeyArgs) -> anyhow::Result<()> {
    let body = CreateKey {
        user: args.user,
        tags: args.tags,
        reusable: args.reusable,
        ephemeral: args.ephemeral,
        pre_approved: args.approved,
        expires_in_s: Some(args.expires.as_secs()),
    };
    let key = client.call(&endpoints::CREATE_KEY, &[], &body).await?;
    let values = [key.id.to_string(), key.key.reveal().to_owned(), key.expires.clone()];
    output::one(args.output.output, &key, &message!("key-labels"), values)
}

async fn list(client: &Client, args: OutputArgs) -> anyhow::Result<()> {
    let keys = client.call(&endpoints::LIST_KEYS, &[], &()).await?;
    output::list(args.output, &keys, &message!("key-heads"), |key| {
        vec![
            key.id.to_string(),
            key.user.clone().unwrap_or_default(),
            key.tags.join(" "),
            message!("key-state", state = output::word(&key.state)).to_string(),
            key.uses.to_string(),
            output::yes(key.reusable),
            output::yes(key.pre_approved),
            key.expires.clone(),
        ]
    })
}
