//! The dial in `agent.toml`.

use std::{net::SocketAddr, ops::Range, path::Path};

use chassis::settings;
use node_agent_api::settings::{Dial, FILE, Settings};
use serde::Deserialize;
use services::{DIALS, GATEWAY};
use toml::Spanned;

use super::server::{Edit, OllamaServer};

/// What the dial is called.
pub(super) const NAME: &str = "ollama";

/// Its socket, below the root.
pub(super) fn socket() -> String {
    format!("{DIALS}/{NAME}/http.sock")
}

fn wanted(to: SocketAddr) -> Dial {
    Dial { name: NAME.to_owned(), socket: socket().into(), uid: GATEWAY, to, outside: false }
}

/// Where the gateway's dial to Ollama leads, if there is one.
pub(crate) fn dialled(settings: &Settings) -> Option<SocketAddr> {
    let socket = socket();
    settings.dial.iter().find(|dial| dial.socket == Path::new(&socket)).map(|dial| dial.to)
}

/// The dial as it is written.
pub(super) fn block(to: SocketAddr) -> String {
    let socket = socket();
    format!(
        "# Ollama, for the gateway. `maru up --ollama URL` changes where it is, under systemd `maru model use NAME --ollama URL`.\n\
         [[dial]]\nname = {NAME:?}\nsocket = {socket:?}\nuid = {GATEWAY}\nto = \"{to}\"\n"
    )
}

/// Adds the dial to the text of `agent.toml`, or sets where it leads.
pub(super) fn edit(text: &str, found: &OllamaServer) -> Edit {
    let Some(before) = read(text) else { return Edit::ByHand };
    let wanted = wanted(found.at);
    let mut expected = before.clone();
    let same = |dial: &Dial| dial.name == NAME || dial.socket == wanted.socket;
    let text = match before.dial.iter().position(same) {
        None => {
            expected.dial.push(wanted);
            let space = if text.trim().is_empty() { "" } else { "\n\n" };
            format!("{}{space}{}", text.trim_end(), block(found.at))
        }
        Some(at) if before.dial[at] == wanted => return Edit::Same,
        Some(at) if (Dial { to: wanted.to, ..before.dial[at].clone() }) == wanted => {
            let Some(place) = place_of_to(text, at) else { return Edit::ByHand };
            expected.dial[at] = wanted;
            let mut text = text.to_owned();
            text.replace_range(place, &format!("\"{}\"", found.at));
            text
        }
        // It has another user or socket, so it was changed on purpose.
        Some(_) => return Edit::ByHand,
    };
    // The edit is used only if the file now means the old value with this change.
    if read(&text).as_ref() == Some(&expected) { Edit::New(text) } else { Edit::ByHand }
}

fn read(text: &str) -> Option<Settings> {
    settings::parse(Path::new(FILE), text).ok()
}

/// Where in the text a dial's `to` is written.
fn place_of_to(text: &str, index: usize) -> Option<Range<usize>> {
    #[derive(Deserialize)]
    struct Dials {
        dial: Vec<DialTarget>,
    }
    #[derive(Deserialize)]
    struct DialTarget {
        to: Spanned<String>,
    }
    let places: Dials = toml::from_str(text).ok()?;
    places.dial.get(index).map(|place| place.to.span())
}
