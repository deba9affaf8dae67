//! `maru usage`.

use std::{
    collections::HashMap,
    path::Path,
    process::ExitCode,
    time::{Duration, SystemTime},
};

use ai_gateway_api::{endpoints::USAGE, usage::Report};
use clap::Args;
use coordinator_api::endpoints;
use coordinator_core::time;
use messages::message;
use serde::Serialize;

use crate::{
    client::Client,
    number,
    output::{self, OutputArgs},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct UsageArgs {
    /// Days to look back, today included
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = number::within(1_u32..=3660))]
    pub(crate) days: u32,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What one person used on one day.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    /// In UTC.
    day: String,
    /// `user:<id>` or `node:<stable id>`.
    person: String,
    /// Login or device name, if the coordinator still knows it.
    name: Option<String>,
    requests: u64,
    prompt_tokens: u64,
    reply_tokens: u64,
}

/// Prints what the gateway counted.
pub(crate) async fn run(args: UsageArgs, root: &Path) -> anyhow::Result<ExitCode> {
    let report = Client::gateway(root).call(&USAGE, &[], &()).await?;
    let rows = rows(report, &first_day(SystemTime::now(), args.days), &names(root).await);
    output::list(args.output.output, &rows, &message!("usage-heads"), |row| {
        vec![
            row.day.clone(),
            row.name.clone().unwrap_or_else(|| row.person.clone()),
            row.requests.to_string(),
            row.prompt_tokens.to_string(),
            row.reply_tokens.to_string(),
        ]
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The names of people and devices; empty if the coordinator does not answer.
async fn names(root: &Path) -> HashMap<String, String> {
    let client = Client::coordinator(root);
    let users = client.call(&endpoints::LIST_USERS, &[], &()).await.unwrap_or_default();
    let devices = client.call(&endpoints::LIST_DEVICES, &[], &()).await.unwrap_or_default();
    let users = users.into_iter().map(|user| (format!("user:{}", user.id), user.name));
    let nodes = devices.into_iter().map(|it| (format!("node:{}", it.stable_id), it.name));
    users.chain(nodes).collect()
}

/// From `first` on, oldest first.
fn rows(report: Report, first: &str, names: &HashMap<String, String>) -> Vec<Row> {
    let mut rows = Vec::new();
    for (day, people) in report.days {
        if day.as_str() < first {
            continue;
        }
        rows.extend(people.into_iter().map(|(person, tally)| Row {
            day: day.clone(),
            name: names.get(&person).cloned(),
            person,
            requests: tally.requests,
            prompt_tokens: tally.prompt_tokens,
            reply_tokens: tally.reply_tokens,
        }));
    }
    rows
}

/// The first of so many days up to now, `2026-11-22` in UTC.
fn first_day(now: SystemTime, days: u32) -> String {
    let ago = DAY * days.saturating_sub(1);
    let first = now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH).max(SystemTime::UNIX_EPOCH);
    let text = time::to_rfc3339(time::from_system(first));
    text.split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use ai_gateway_api::usage::Tally;

    use super::*;

    #[test]
    fn today_is_one_of_the_days() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_305_600 + 60);
        assert_eq!(first_day(now, 1), "2026-11-22");
        assert_eq!(first_day(now, 7), "2026-11-16");
        assert_eq!(first_day(SystemTime::UNIX_EPOCH + DAY, 3660), "1970-01-01");
    }

    #[test]
    fn people_have_their_names_and_older_days_are_left_out() {
        let tally = Tally { requests: 1, prompt_tokens: 2, reply_tokens: 3 };
        let people = ["user:1", "user:2", "node:n3"].map(|name| (name.to_owned(), tally));
        let days = ["2026-11-20", "2026-11-21", "2026-11-22"];
        let days = days.map(|day| (day.to_owned(), people.clone().into())).into();
        let names = HashMap::from([("user:1".to_owned(), "ann".to_owned())]);

        let rows = rows(Report { days }, "2026-11-21", &names);

        let shown: Vec<_> =
            rows.iter().map(|row| (row.day.as_str(), row.person.as_str())).collect();
        let of = |day| [(day, "node:n3"), (day, "user:1"), (day, "user:2")];
        assert_eq!(shown, [of("2026-11-21"), of("2026-11-22")].concat());
        assert_eq!(rows[1].name.as_deref(), Some("ann"));
        assert_eq!(rows[2].name, None);
    }
}
