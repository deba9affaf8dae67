//! `maru metrics`: the counters of this machine's daemons, and how the machine stands, in Prometheus' text format.
//!
//! The daemons serve root alone, on UNIX sockets, which Prometheus does not read. So root writes a file, which node
//! exporter's textfile collector reads; `docs/administration.md` has the steps, `docs/metrics.md` the metrics.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use chassis::{
    body,
    durable::{self, Access},
    unix::Connector,
};
use clap::Args;
use endpoint::Declaration;
use messages::message;
use services::Link;
use supervisor::local::LocalClient;

use crate::output;

mod machine;
pub(crate) mod text;

/// Timeout of a daemon's answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer of a daemon, in bytes: the gateway's with twenty providers is a tenth of it.
const ANSWER_MAX: usize = 1 << 20;

/// The daemons that have counters: where, and how the names of those begin.
const DAEMONS: [(Link, Declaration, &str); 2] = [
    (services::COUNTERS, coordinator_api::public::METRICS.declaration, "maru_coordinator_"),
    (services::METRICS, ai_gateway_api::endpoints::METRICS.declaration, "maru_gateway_"),
];

#[derive(Clone, Debug, Args)]
pub(crate) struct MetricsArgs {
    /// File to write, readable by the group of its folder [default: standard output]
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// Prints the metrics. A daemon that does not answer has none, and `maru_machine_service_up` says so.
pub(crate) async fn run(args: &MetricsArgs, root: &Path) -> anyhow::Result<ExitCode> {
    ensure!(rustix::process::geteuid().is_root(), message!("metrics-needs-root"));
    let mut all = text::prometheus(&machine::collect(root).await?, machine::PREFIX);
    for (link, endpoint, prefix) in &DAEMONS {
        if let Ok(answer) = ask(root, link, endpoint.path).await {
            all.push_str(&text::prometheus(&answer, prefix));
        }
    }
    let Some(file) = &args.file else {
        output::raw(all.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    };
    let file = std::path::absolute(file)?;
    write(&file, &all).with_context(|| message!("metrics-not-written", path = file.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// What a daemon says to root.
async fn ask(root: &Path, link: &Link, path: &str) -> anyhow::Result<String> {
    let local = LocalClient::open(&Connector::new(root, &link.path(root)), PATIENCE).await?;
    let response = local.http.get(format!("http://localhost{path}")).send().await?;
    ensure!(response.status().is_success(), "{}", response.status());
    let response = axum::http::Response::<reqwest::Body>::from(response);
    let body = body::whole(response.into_body(), ANSWER_MAX, PATIENCE).await?;
    Ok(String::from_utf8(body.into())?)
}

/// Replaces a file in one step, for root and the group of its folder.
fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let folder = file.parent().context("a file is in a folder")?.metadata()?;
    let access = Access { mode: 0o640, owner: Some((0, folder.gid())) };
    Ok(durable::replace(file, access, text.as_bytes())?)
}
