//! The text of an invitation: what brings a device to its coordinator.
//!
//! `maru://HOST:PORT/join#1.<coordinator's Noise key, hex>.<pre-auth key>` where the coordinator is reached over plain
//! HTTP: no browser opens it, so nobody on the way can answer with a page that reads the key. Over HTTPS it begins with
//! `https://`, and a browser that opens it shows what to do; what follows `#` is never sent. `http://`, which the first
//! version wrote, is read as `maru://`.
//!
//! The one reader and the one writer for coordinator, command and agent.

use std::{fmt, net::Ipv6Addr};

use control_protocol::key::MachinePublic;

use crate::{AUTH_KEY_PREFIX, AUTH_KEY_RANDOM_LEN, Secret};

/// Version of what follows `#`.
const VERSION: &str = "1";
/// Path of an invitation.
pub(crate) const PATH: &str = "/join";
/// Longest text that is looked at, in bytes.
pub const MAX_LEN: usize = 2048;

/// Where a coordinator is reached: a scheme, a host, perhaps a port.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    secure: bool,
    /// Host and port, in small letters.
    authority: String,
}

/// Where to register, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The coordinator's address.
    pub server: ServerUrl,
    /// The Noise key that it must have.
    pub noise_key: MachinePublic,
    /// The pre-auth key, a secret.
    pub auth_key: Secret,
}

/// What a person hands to `maru join`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An invitation.
    Invitation(Invitation),
    /// A coordinator's address alone, `http://` or `https://`; the first Noise key seen there is trusted.
    Address(ServerUrl),
}

/// Why a text is no invitation. No variant holds the text: it may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text does not start as it should.
    #[error(
        "an invitation begins with maru:// or https://: copy all of it, or ask for another invitation"
    )]
    Scheme,
    /// No host, or characters that do not belong there.
    #[error("no coordinator is named: after maru:// or https:// comes a host, perhaps with a port")]
    Host,
    /// A path that is not `/join`.
    #[error("the address is not an invitation: ask for another invitation")]
    Path,
    /// Nothing follows `#`.
    #[error(
        "the part after # is missing: put the invitation in quotes, or run `maru join -` and paste it there"
    )]
    Fragment,
    /// The fragment's version is not known.
    #[error(
        "the invitation is of version {0}, this program knows {VERSION}: update Maru on this device"
    )]
    Version(String),
    /// The fragment is cut off or damaged.
    #[error(
        "the invitation is cut short or damaged: copy all of it, or ask for another invitation"
    )]
    Incomplete,
    /// The fragment is longer than it should be.
    #[error("something follows the invitation: copy the invitation alone")]
    Trailing,
    /// The text is longer than any invitation.
    #[error("that is too long to be an invitation: copy the invitation alone")]
    TooLong,
}

impl ServerUrl {
    /// Reads an address: `http://` or `https://`, a host, perhaps a port, and nothing else but a slash.
    ///
    /// # Errors
    ///
    /// Fails if the text is something else.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (server, path) = Self::split(text)?;
        match path {
            "" | "/" if !is_maru(text) => Ok(server),
            "" | "/" => Err(Error::Incomplete),
            _ => Err(Error::Path),
        }
    }

    /// The address at the text's beginning, and what follows.
    fn split(text: &str) -> Result<(Self, &str), Error> {
        let (scheme, rest) = text.split_once("://").ok_or(Error::Scheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "maru" | "http" => false,
            "https" => true,
            _ => return Err(Error::Scheme),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        if !is_authority(authority) {
            return Err(Error::Host);
        }
        Ok((Self { secure, authority: authority.to_ascii_lowercase() }, path))
    }

    /// Whether it is reached over plain HTTP.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        !self.secure
    }

    /// The port that is named, or the scheme's.
    #[must_use]
    pub fn port(&self) -> u16 {
        let usual = if self.secure { 443 } else { 80 };
        match self.authority.rsplit_once(':') {
            Some((_, port)) if !port.contains(']') => port.parse().unwrap_or(usual),
            Some(_) | None => usual,
        }
    }

    /// The name, or the address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        match self.authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, _)) => host,
            None => self.authority.split(':').next().unwrap_or_default(),
        }
    }
}

/// As an URL, without a slash at the end.
impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.secure { "https" } else { "http" }, self.authority)
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Invitation {
    /// Writes it, to be shown once.
    #[must_use]
    pub fn to_text(&self) -> Secret {
        let scheme = if self.server.secure { "https" } else { "maru" };
        let noise_key = self.noise_key.to_string();
        let noise_key = noise_key.trim_start_matches(MachinePublic::PREFIX);
        Secret::new(format!(
            "{scheme}://{}{PATH}#{VERSION}.{noise_key}.{}",
            self.server.authority,
            self.auth_key.reveal()
        ))
    }
}

impl Destination {
    /// Reads an invitation, or a coordinator's address alone.
    ///
    /// White space and line breaks that a messenger put into an invitation are passed over, and so are quotes around it.
    ///
    /// # Errors
    ///
    /// Fails if the text is neither.
    pub fn read(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_LEN {
            return Err(Error::TooLong);
        }
        let text = tidy(text);
        let (address, fragment) = match text.split_once('#') {
            Some((address, fragment)) => (address, Some(fragment)),
            None => (text.as_str(), None),
        };
        let (server, path) = ServerUrl::split(address)?;
        match (path, fragment) {
            // Nobody but a coordinator writes `maru://`: what follows was cut off.
            ("" | "/", None) if is_maru(address) => Err(Error::Incomplete),
            ("" | "/", None) => Ok(Self::Address(server)),
            (PATH, None | Some("")) => Err(Error::Fragment),
            (PATH, Some(fragment)) => {
                let (noise_key, auth_key) = read_fragment(fragment)?;
                Ok(Self::Invitation(Invitation { server, noise_key, auth_key }))
            }
            _ => Err(Error::Path),
        }
    }

    /// The coordinator's address.
    #[must_use]
    pub fn server(&self) -> &ServerUrl {
        match self {
            Self::Invitation(invitation) => &invitation.server,
            Self::Address(server) => server,
        }
    }
}

fn read_fragment(fragment: &str) -> Result<(MachinePublic, Secret), Error> {
    let (version, rest) = fragment.split_once('.').ok_or(Error::Incomplete)?;
    if version != VERSION {
        let shown: String = version.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        return Err(if shown.is_empty() { Error::Incomplete } else { Error::Version(shown) });
    }
    let (noise_key, auth_key) = rest.split_once('.').ok_or(Error::Incomplete)?;
    let noise_key =
        format!("{}{noise_key}", MachinePublic::PREFIX).parse().map_err(|_| Error::Incomplete)?;
    let random = auth_key.strip_prefix(AUTH_KEY_PREFIX).ok_or(Error::Incomplete)?;
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let (digits, all) = (random.bytes().take_while(is_digit).count(), 2 * AUTH_KEY_RANDOM_LEN);
    if digits < all {
        return Err(Error::Incomplete);
    }
    if random.len() > all {
        return Err(Error::Trailing);
    }
    Ok((noise_key, Secret::new(auth_key.to_owned())))
}

/// The text without what a messenger or a person put around it and, in an invitation, into it.
fn tidy(text: &str) -> String {
    let is_blank = |c: char| {
        c.is_whitespace()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
    };
    let is_around = |c: char| is_blank(c) || matches!(c, '\'' | '"' | '`' | '<' | '>');
    let text = text.trim_matches(is_around);
    if text.contains('#') {
        text.chars().filter(|&c| !is_blank(c)).collect()
    } else {
        text.to_owned()
    }
}

/// Whether the text is of the scheme that invitations alone have.
fn is_maru(text: &str) -> bool {
    text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("maru://"))
}

/// Whether the text is a host with or without a port, and nothing else.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<Ipv6Addr>().is_ok() => (host, port),
            _ => return false,
        },
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let is_port = |port: &str| {
        port.bytes().all(|byte| byte.is_ascii_digit())
            && port.parse().is_ok_and(|port: u16| port > 0)
    };
    let port_fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    let host_fits =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    !host.is_empty() && host.len() <= 253 && host.bytes().all(host_fits) && port_fits
}

#[cfg(test)]
mod tests;
