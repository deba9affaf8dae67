//! `maru rooms`: messengers of this network, whose server is telmeet at `rooms.<network>`.

use std::{net::IpAddr, path::Path, process::ExitCode};

use anyhow::{Context as _, anyhow, bail};
use clap::Subcommand;
use messages::message;
use node_agent_api::{Status, endpoints::STATUS};
use reqwest::StatusCode;
use serde::Serialize;
use telmeet_api::rooms::{LOGIN, OneTimePassword};

use crate::{
    chat::{agent::check_state, connection},
    client::Client,
    output::{self, Format, OutputArgs},
};

#[derive(Debug, Subcommand)]
pub(crate) enum RoomsCommand {
    /// Show a password with which a messenger signs in once, within ten minutes
    Login(OutputArgs),
}

/// What a person enters in a messenger.
#[derive(Serialize)]
struct Login {
    server: String,
    user_id: String,
    password: String,
    /// In seconds.
    expires_in: u64,
}

/// Where the messengers' server is.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// `rooms.<network>`.
    host: String,
    /// Its addresses.
    addresses: Vec<IpAddr>,
}

/// Asks the server for a one-time password, and prints it.
///
/// # Errors
///
/// The device is no approved node of a person, or the server is not reached.
pub(crate) async fn run(command: RoomsCommand, root: &Path) -> anyhow::Result<ExitCode> {
    let RoomsCommand::Login(OutputArgs { output }) = command;
    let target = Target::of(Client::agent(root).call(&STATUS, &[], &()).await?)?;
    let server = format!("http://{}", target.host);
    let OneTimePassword { user_id, password, expires_in } = target.password(&server).await?;
    let login = Login { server, user_id, password, expires_in };
    let valid = message!("rooms-login-valid", minutes = expires_in / 60).to_string();
    let values = [login.server.clone(), login.user_id.clone(), login.password.clone(), valid];
    output::one(output, &login, &message!("rooms-login-labels"), values)?;
    if output == Format::Table {
        output::note(message!("rooms-login-next"));
    }
    Ok(ExitCode::SUCCESS)
}

impl Target {
    /// The server runs beside the gateway.
    fn of(status: Status) -> anyhow::Result<Self> {
        check_state(&status)?;
        let network = status.network.context(message!("membership-unknown"))?;
        let Some(gateway) = status.gateway else {
            bail!(message!("no-gateway-reachable"));
        };
        if status.node.is_some_and(|node| node.stable_id == gateway.node) {
            bail!(message!("rooms-here"));
        }
        Ok(Self { host: format!("{}.{network}", services::ROOMS), addresses: gateway.addresses })
    }

    async fn password(&self, url: &str) -> anyhow::Result<OneTimePassword> {
        let unreachable = |error: reqwest::Error| {
            anyhow!(error.without_url()).context(message!("rooms-unreachable", url))
        };
        let http = connection::client(&self.host, &self.addresses)?;
        let request = http.post(format!("{url}{}", LOGIN.path(&[]))).json(&serde_json::json!({}));
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status == StatusCode::FORBIDDEN {
            bail!(message!("rooms-no-person"));
        }
        let body = connection::read(response).await?;
        let password = serde_json::from_slice(&body).ok().filter(|_| status.is_success());
        password.with_context(|| message!("rooms-not-understood", url, status = status.as_u16()))
    }
}

#[cfg(test)]
mod tests;
