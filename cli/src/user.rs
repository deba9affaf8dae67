//! `maru user …`.

use std::{path::Path, process::ExitCode};

use coordinator_api::{CreateUser, User};

use crate::{
    args::UserCommand,
    client::{Client, segment},
    output,
};

/// Runs one of the commands.
pub(crate) async fn run(command: UserCommand, root: &Path) -> anyhow::Result<ExitCode> {
    let client = Client::coordinator(root)?;
    match command {
        UserCommand::List(args) => {
            let users: Vec<User> = client.get("/api/v1/users").await?;
            output::list(args.output, &users, &["ID", "NAME", "DEVICES", "CREATED"], |user| {
                vec![
                    user.id.to_string(),
                    user.name.clone(),
                    user.devices.to_string(),
                    user.created.clone(),
                ]
            })?;
        }
        UserCommand::Create(args) => {
            let user: User = client.post("/api/v1/users", &CreateUser { name: args.name }).await?;
            output::line(&format!("created {}", output::plain(&user.name)))?;
        }
        UserCommand::Remove(args) => {
            client.delete(&format!("/api/v1/users/{}", segment(&args.name))).await?;
            output::line("removed")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
