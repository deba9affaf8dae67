//! Where an Ollama may be: on this machine, or on a node of the mesh.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use common::mesh;
use messages::message;

/// Where Ollama listens unless it is told otherwise.
pub(crate) const USUAL: &str = "http://127.0.0.1:11434";
/// The port of it.
pub(crate) const PORT: u16 = 11434;

/// Parses the option's value.
///
/// # Errors
///
/// It is not an address that a dial may have.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let place = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    let place = match place.strip_prefix("localhost") {
        Some(port) => format!("{}{port}", Ipv4Addr::LOCALHOST),
        None => place.to_owned(),
    };
    let bare = place.trim_start_matches('[').trim_end_matches(']');
    let address = match bare.parse::<IpAddr>() {
        Ok(ip) => Some(SocketAddr::new(ip, PORT)),
        Err(_) => place.parse().ok(),
    };
    let fits = |at: &SocketAddr| at.port() != 0 && (at.ip().is_loopback() || is_mesh(*at));
    address
        .filter(fits)
        .ok_or_else(|| message!("not-an-ollama-address", usual = USUAL, port = PORT).to_string())
}

/// Whether the address is reachable only while this machine's agent runs.
pub(crate) fn is_mesh(at: SocketAddr) -> bool {
    mesh::contains(at.ip())
}
