//! `maru policy …`.

use std::{io::Read as _, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use coordinator_api::{Policy, PolicyChecked};

use crate::{
    client::{Client, Refused},
    output::{self, Format, OutputArgs},
};

/// Of `maru policy`.
#[derive(Clone, Debug, Subcommand)]
pub enum PolicyCommand {
    /// Print the policy in force
    Get(OutputArgs),
    /// Put a policy in force, if its own tests pass
    Set(PolicyFile),
    /// Say whether a policy would be accepted
    Check(PolicyFile),
}

/// A policy's file.
#[derive(Clone, Debug, Args)]
pub struct PolicyFile {
    /// File with the policy (HuJSON), or - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How it is printed.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Runs one of the commands.
pub(crate) async fn run(command: PolicyCommand, client: &Client) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::Get(args) => {
            let policy: Policy = client.get("/api/v1/policy").await?;
            match args.output {
                // As it was written: it goes into a file, and back.
                Format::Table => output::line(policy.policy.trim_end())?,
                Format::Json | Format::Yaml => output::one(args.output, &policy, &[])?,
            }
        }
        PolicyCommand::Set(args) => {
            let body = Policy { policy: read(&args.file)? };
            let set: anyhow::Result<Policy> = client.put("/api/v1/policy", &body).await;
            let policy = set.map_err(|error| match error.downcast::<Refused>() {
                Ok(Refused(why)) => {
                    anyhow!("{why}; nothing was changed: correct the policy, then set it again")
                }
                Err(error) => error,
            })?;
            output::done(args.output.output, &policy, "in force")?;
        }
        PolicyCommand::Check(args) => {
            let body = Policy { policy: read(&args.file)? };
            let checked: PolicyChecked = client.post("/api/v1/policy/check", &body).await?;
            output::done(args.output.output, &checked, "would be accepted")?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(file: &PathBuf) -> anyhow::Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
