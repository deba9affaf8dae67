//! `maru rooms`: messengers of this network, whose server is telmeet at `rooms.<network>`.

use std::{
    fmt,
    io::{self, Write as _},
    net::IpAddr,
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand};
use messages::message;
use node_agent_api::{Status, endpoints::STATUS};
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use telmeet_api::{
    participant::ACCEPT,
    rooms::{EXPORT, LIST_MEMBERS, LIST_ROOMS, LOGIN, OneTimePassword, REMOVE_ROOM, Room, TOTALS},
};
use tokio::time::timeout;

use crate::{
    chat::{agent::check_state, connection},
    client::Client,
    output::{self, Format, OutputArgs},
};

/// How long the server may take to answer `maru status`.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug, Subcommand)]
pub(crate) enum RoomsCommand {
    /// Show a password with which a messenger signs in once, within ten minutes
    Login(OutputArgs),
    /// Print what the messengers' server has of you: a JSON object in each line
    Export,
    /// List the rooms, without what is said in them
    List(OutputArgs),
    /// List the people of a room
    Members(RoomArgs),
    /// Remove a room: everybody leaves it, and its messages and files are deleted
    Remove(RoomArgs),
    /// Let the AI take a person's reset identity for theirs; ask the person first
    Accept(PersonArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct PersonArgs {
    /// Id of the person, such as '@kim:maru.home.arpa'
    #[arg(value_name = "PERSON")]
    pub(crate) person: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RoomArgs {
    /// Id of the room from the list, or an alias such as '#home:maru.home.arpa'
    #[arg(value_name = "ROOM")]
    pub(crate) room: String,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
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

/// Runs one of the commands. All but sign-in and export are for root on the home machine.
///
/// # Errors
///
/// The server is not reached, or refuses.
pub(crate) async fn run(command: RoomsCommand, root: &Path) -> anyhow::Result<ExitCode> {
    let client = Client::telmeet(root);
    match command {
        RoomsCommand::Login(OutputArgs { output }) => login(output, root).await?,
        RoomsCommand::Export => export(root).await?,
        RoomsCommand::List(OutputArgs { output }) => {
            let rooms = client.call(&LIST_ROOMS, &[], &()).await?;
            output::list(output, &rooms, &message!("rooms-heads"), room_row)?;
        }
        RoomsCommand::Members(RoomArgs { room, output: OutputArgs { output } }) => {
            let members = client.call(&LIST_MEMBERS, &[&room], &()).await?;
            output::list(output, &members, &message!("room-member-heads"), |member| {
                let name = member.name.clone().unwrap_or_default();
                let membership = message!("room-membership", is = member.membership).to_string();
                vec![member.user_id.clone(), name, membership, member.power.to_string()]
            })?;
        }
        RoomsCommand::Accept(PersonArgs { person, output: OutputArgs { output } }) => {
            let accepted = Client::participant(root).call(&ACCEPT, &[&person], &()).await?;
            let done = message!("rooms-accepted", person, key = accepted.master_key);
            output::done(output, &accepted, &done)?;
        }
        RoomsCommand::Remove(RoomArgs { room, output: OutputArgs { output } }) => {
            let room = client.call(&REMOVE_ROOM, &[&room], &()).await?;
            let name = room.name.as_ref().unwrap_or(&room.id);
            output::done(output, &room, &message!("room-removed", name, messages = room.messages))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn room_row(room: &Room) -> Vec<String> {
    vec![
        room.id.clone(),
        room.name.clone().unwrap_or_default(),
        room.members.to_string(),
        room.messages.to_string(),
        room.last_event.clone().unwrap_or_default(),
        output::yes(room.encrypted),
    ]
}

/// Asks the server for a one-time password, and prints it.
async fn login(output: Format, root: &Path) -> anyhow::Result<()> {
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
    Ok(())
}

/// Whether the messengers' server answers, as `maru status` shows it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RoomsState {
    /// Its address.
    server: String,
    /// Whether it answers, with its rooms.
    answers: bool,
}

impl fmt::Display for RoomsState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server, answers } = self;
        let text = match answers {
            true => message!("status-rooms-answer", server),
            false => message!("status-rooms-silent", server),
        };
        text.fmt(f)
    }
}

/// Asks the messengers' server for its versions, over the mesh, and on its own machine over its socket for root. `None` if
/// this device does not know it, or is its machine and the caller is not root.
pub(crate) async fn state(status: &Status, root: &Path) -> Option<RoomsState> {
    let gateway = status.gateway.as_ref()?;
    let host = format!("{}.{}", services::ROOMS, status.network.as_ref()?);
    let server = format!("http://{host}");
    let answers = if status.node.as_ref().is_some_and(|node| node.stable_id == gateway.node) {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        Client::telmeet(root).call(&TOTALS, &[], &()).await.is_ok()
    } else {
        let asked = answers(&server, &host, &gateway.addresses);
        timeout(PATIENCE, asked).await.is_ok_and(|answers| answers.unwrap_or(false))
    };
    Some(RoomsState { server, answers })
}

/// Whether the server has rooms for this device.
async fn answers(server: &str, host: &str, addresses: &[IpAddr]) -> anyhow::Result<bool> {
    let http = connection::client(host, addresses)?;
    let response = http.get(format!("{server}/_matrix/client/versions")).send().await?;
    // A device without a person is refused, by a server that has rooms.
    Ok(!response.status().is_server_error())
}

/// Prints the lines of an export as they come.
async fn export(root: &Path) -> anyhow::Result<()> {
    let target = Target::of(Client::agent(root).call(&STATUS, &[], &()).await?)?;
    let url = format!("http://{}", target.host);
    let mut response = target.ask(&url, Method::GET, &EXPORT.path(&[])).await?;
    while let Some(piece) = response.chunk().await? {
        io::stdout().write_all(&piece)?;
    }
    Ok(())
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

    /// Asks the server for something of this person's. A refusal is an error.
    async fn ask(&self, url: &str, method: Method, path: &str) -> anyhow::Result<Response> {
        let unreachable = |error: reqwest::Error| {
            anyhow!(error.without_url()).context(message!("rooms-unreachable", url))
        };
        let http = connection::client(&self.host, &self.addresses)?;
        let request = http.request(method.clone(), format!("{url}{path}"));
        let request =
            if method == Method::POST { request.json(&serde_json::json!({})) } else { request };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status == StatusCode::FORBIDDEN {
            bail!(message!("rooms-no-person"));
        }
        if status.is_server_error() {
            bail!(message!("rooms-no-answer", url, status = status.as_u16()));
        }
        if !status.is_success() {
            bail!(message!("rooms-not-understood", url, status = status.as_u16()));
        }
        Ok(response)
    }

    async fn password(&self, url: &str) -> anyhow::Result<OneTimePassword> {
        let response = self.ask(url, Method::POST, &LOGIN.path(&[])).await?;
        let status = response.status();
        let password = serde_json::from_slice(&connection::read(response).await?).ok();
        password.with_context(|| message!("rooms-not-understood", url, status = status.as_u16()))
    }
}

#[cfg(test)]
mod tests;
