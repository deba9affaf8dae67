//! `maru user …`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use coordinator_api::{CreateUser, RenameUser, User, endpoints};
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

/// Runs one of the commands.
pub(crate) async fn run(command: UserCommand, client: &Client) -> anyhow::Result<ExitCode> {
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
    }
    Ok(ExitCode::SUCCESS)
}

async fn all(client: &Client) -> anyhow::Result<Vec<User>> {
    client.call(&endpoints::LIST_USERS, &[], &()).await
}
