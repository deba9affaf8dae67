//! Invitations: the link that brings a device to its coordinator.
//!
//! `http://HOST:PORT/join#1.<coordinator's Noise key, hex>.<pre-auth key>`. What follows
//! `#` is a secret that browsers do not send. A coordinator's address alone is taken too.

use std::fmt;

use control_protocol::key::MachinePublic;

/// Version of the fragment that is understood.
const VERSION: &str = "1";
/// Path of an invitation.
const PATH: &str = "/join";
/// Longest link, in bytes.
const MAX_LEN: usize = 2048;

/// Where to register, and with what.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The coordinator's address, `http://HOST:PORT` without a path.
    pub server_url: String,
    /// The Noise key that it must have; `None` trusts the first one seen.
    pub noise_key: Option<MachinePublic>,
    /// A pre-auth key, a secret.
    pub auth_key: Option<String>,
}

/// Does not show the pre-auth key.
impl fmt::Debug for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invitation")
            .field("server_url", &self.server_url)
            .field("noise_key", &self.noise_key)
            .field("auth_key", &self.auth_key.as_ref().map(|_| "[redacted]"))
            .finish()
    }
}

/// Why a text is no invitation. No variant holds the text: it may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text does not start as a URL that can be used.
    #[error("an invitation starts with http:// (the coordinator's channel is encrypted by itself)")]
    Scheme,
    /// No host, or characters that do not belong there.
    #[error("the link names no coordinator: it starts with http://HOST:PORT")]
    Host,
    /// A path or query that is not `/join`.
    #[error(
        "the link is not an invitation: after the address comes /join#1.<key>.<key>, or nothing"
    )]
    Path,
    /// The fragment's version is not known.
    #[error(
        "the invitation has version {0}, this program knows {VERSION}: update Maru on this device"
    )]
    Version(String),
    /// The fragment is cut off or damaged.
    #[error("the invitation is incomplete: copy the whole link")]
    Incomplete,
}

impl Invitation {
    /// Reads a link, or a coordinator's address alone.
    ///
    /// # Errors
    ///
    /// Fails if the text is neither.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if text.len() > MAX_LEN {
            return Err(Error::Path);
        }
        let (address, fragment) = match text.split_once('#') {
            Some((address, fragment)) => (address, Some(fragment)),
            None => (text, None),
        };
        let rest = address.strip_prefix("http://").ok_or(Error::Scheme)?;
        let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if !is_authority(host) {
            return Err(Error::Host);
        }
        let server_url = format!("http://{}", host.to_ascii_lowercase());
        match (path, fragment) {
            ("" | "/", None) => Ok(Self { server_url, noise_key: None, auth_key: None }),
            (PATH, None) => Err(Error::Incomplete),
            (PATH, Some(fragment)) => {
                let (noise_key, auth_key) = parse_fragment(fragment)?;
                Ok(Self { server_url, noise_key: Some(noise_key), auth_key: Some(auth_key) })
            }
            _ => Err(Error::Path),
        }
    }
}

fn parse_fragment(fragment: &str) -> Result<(MachinePublic, String), Error> {
    let (version, rest) = fragment.split_once('.').ok_or(Error::Incomplete)?;
    if version != VERSION {
        let shown: String = version.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        return Err(Error::Version(shown));
    }
    let (noise_key, auth_key) = rest.split_once('.').ok_or(Error::Incomplete)?;
    let noise_key =
        format!("{}{noise_key}", MachinePublic::PREFIX).parse().map_err(|_| Error::Incomplete)?;
    if auth_key.is_empty() || !auth_key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::Incomplete);
    }
    Ok((noise_key, auth_key.to_owned()))
}

/// Whether the text is a host with or without a port, and nothing else.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, port),
            _ => return false,
        },
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let port_fits = port.is_empty()
        || port.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()).is_some_and(|p| p > 0);
    let host_fits =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    !host.is_empty() && host.len() <= 253 && host.bytes().all(host_fits) && port_fits
}

#[cfg(test)]
mod tests;
