//! `maru user …`.

use std::{io::IsTerminal as _, path::Path, process::ExitCode};

use ai_gateway_api::{endpoints::FORGET_PERSON, people::Forgotten};
use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use coordinator_api::{CreateUser, RenameUser, User, endpoints};
use mesh_identity::Person;
use messages::message;

use crate::{
    client::Client,
    output::{self, OutputArgs},
};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// List all people
    List(OutputArgs),
    /// Add a person
    Create(UserArgs),
    /// Rename a person
    Rename(RenameUserArgs),
    /// Remove a person who has no devices
    Remove(UserArgs),
    /// Delete all that the gateway of this machine keeps of a person: conversations, memory, device keys, usage
    Forget(ForgetUserArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct UserArgs {
    /// Login name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RenameUserArgs {
    /// Login name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// New login name
    #[arg(value_name = "NEW")]
    pub(crate) new: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ForgetUserArgs {
    /// Login name; `user:7` for a person who was removed
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Do not ask first
    #[arg(long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(
    command: UserCommand,
    client: &Client,
    root: &Path,
) -> anyhow::Result<ExitCode> {
    match command {
        UserCommand::List(args) => {
            output::list(args.output, &all(client).await?, &message!("user-heads"), |user| {
                vec![
                    user.id.to_string(),
                    user.name.clone(),
                    user.devices.to_string(),
                    user.created.clone(),
                ]
            })?;
        }
        UserCommand::Create(args) => {
            let body = CreateUser { name: args.name };
            let user = client.call(&endpoints::CREATE_USER, &[], &body).await?;
            output::done(args.output.output, &user, &message!("user-created", name = user.name))?;
        }
        UserCommand::Rename(args) => {
            let body = RenameUser { name: args.new };
            let renamed = client.call(&endpoints::RENAME_USER, &[&args.name], &body).await?;
            let new = &renamed.user.name;
            let words = message!("user-renamed", name = args.name, new);
            output::done(args.output.output, &renamed, &words)?;
            if renamed.policy_names_old {
                output::note(message!("policy-names-old", name = args.name));
            }
            if renamed.policy_names_new {
                output::note(message!("policy-names-new", new));
            }
        }
        UserCommand::Remove(args) => {
            let users = all(client).await?;
            client.call(&endpoints::REMOVE_USER, &[&args.name], &()).await?;
            let user = users.iter().find(|user| user.name == args.name);
            output::done(args.output.output, &user, &message!("user-removed", name = args.name))?;
        }
        UserCommand::Forget(args) => forget(args, client, &Client::gateway(root)).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Has the gateway delete what it keeps of a person.
async fn forget(args: ForgetUserArgs, client: &Client, gateway: &Client) -> anyhow::Result<()> {
    let ForgetUserArgs { name, yes, output } = args;
    let person = match name.parse::<Person>() {
        Ok(person @ Person::User(_)) => person,
        Ok(_) | Err(_) => {
            let users = all(client).await?;
            let user = users.iter().find(|user| user.name == name);
            Person::User(user.with_context(|| message!("user-unknown", name = &name))?.id)
        }
    };
    if !yes {
        ensure!(std::io::stdin().is_terminal(), message!("user-forget-needs-yes"));
        let question = message!("user-forget-asks", name = &name);
        ensure!(output::is_confirmed(&question)?, message!("user-not-forgotten", name = &name));
    }
    let forgotten = gateway.call(&FORGET_PERSON, &[&person.to_string()], &()).await?;
    let Forgotten { conversations, device_keys, usage_days, .. } = forgotten;
    let text = message!("user-forgotten", name = &name, conversations, device_keys, usage_days);
    output::done(output.output, &forgotten, &text)?;
    output::note(message!("user-forgotten-not", name));
    Ok(())
}

async fn all(client: &Client) -> anyhow::Result<Vec<User>> {
    client.call(&endpoints::LIST_USERS, &[], &()).await
}
