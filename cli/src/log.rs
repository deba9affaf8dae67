//! `maru log`: who changed what, or what daemons log.

use std::{process::ExitCode, time::Duration};

use clap::Args;
use coordinator_api::{LogEntry, ReadLog, endpoints};
use messages::message;

use crate::{
    client::Client,
    duration,
    output::{self, Format, OutputArgs},
};

pub(crate) mod daemons;
pub(crate) mod entry;
mod files;

use daemons::{LOOK, Selection};
use entry::Priority;

#[derive(Clone, Debug, Args)]
pub(crate) struct LogArgs {
    /// How far to look back, such as 12h or 30d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = duration::parse)]
    pub(crate) since: Duration,
    /// Only changes by one actor: root, uid:1000, api-key:NAME, key:ID, device:ID or system
    #[arg(long, value_name = "ACTOR")]
    pub(crate) actor: Option<String>,
    /// What the daemons of this machine log instead: of one, or of all
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = daemons::ALL,
        value_parser = daemons::names(), conflicts_with_all = ["actor", "server"])]
    pub(crate) daemon: Option<String>,
    /// Only what daemons log at this level or above
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t = Priority::Info, requires = "daemon")]
    pub(crate) priority: Priority,
    /// Print new entries, one a line, until Ctrl-C
    #[arg(long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

impl LogArgs {
    /// What is asked for, if it is what daemons log.
    pub(crate) fn of_daemons(&self) -> Option<Selection> {
        Some(Selection {
            name: self.daemon.clone()?,
            since: self.since,
            priority: self.priority,
            follow: self.follow,
            format: self.output.output,
        })
    }
}

/// Prints who changed what.
pub(crate) async fn run(args: LogArgs, client: &Client) -> anyhow::Result<ExitCode> {
    let (format, mut after) = (args.output.output, 0);
    let entries = read(client, &args, &mut after).await?;
    if !args.follow {
        output::list(format, &entries, &message!("log-heads"), |entry| {
            [&entry.at, &entry.actor, &entry.action, &entry.target, &entry.details]
                .map(String::clone)
                .to_vec()
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut new = entries;
    loop {
        new.iter().try_for_each(|entry| one(format, entry))?;
        tokio::time::sleep(LOOK).await;
        new = read(client, &args, &mut after).await?;
    }
}

/// Everything after an entry, and the number of the last.
async fn read(client: &Client, args: &LogArgs, after: &mut u64) -> anyhow::Result<Vec<LogEntry>> {
    let mut entries = Vec::new();
    loop {
        let query = ReadLog {
            last_s: Some(args.since.as_secs()),
            actor: args.actor.clone(),
            after: Some(*after),
            limit: None,
        };
        let page = client.call(&endpoints::READ_LOG, &[], &query).await?;
        *after = page.entries.last().map_or(*after, |entry| entry.id);
        entries.extend(page.entries);
        if page.next.is_none() {
            return Ok(entries);
        }
    }
}

fn one(format: Format, entry: &LogEntry) -> anyhow::Result<()> {
    if format != Format::Table {
        return output::line(&output::json(entry)?);
    }
    let LogEntry { at, actor, action, target, details, .. } = entry;
    let line = format!("{at}  {actor}  {action}  {target}  {details}");
    output::line(common::foreign::line(line.trim_end()))
}
