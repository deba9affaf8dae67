//! The text of an invitation, with which a device finds and joins its coordinator.
//!
//! `maru://HOST:PORT/join#1.<coordinator's Noise key, hex>.<pre-auth key>` for a coordinator over plain HTTP: browsers do not
//! open it, so no attacker can answer with a page that reads the key. Over HTTPS it begins with `https://`, and a browser
//! shows instructions; the part after `#` is never sent. `http://`, which the first version wrote, is read as `maru://`.

use std::{fmt, net::Ipv6Addr};

use control_protocol::key::MachinePublic;
use messages::{Message, message};

use crate::{AUTH_KEY_PREFIX, AUTH_KEY_RANDOM_LEN, Secret};

/// Version of what follows `#`.
const VERSION: &str = "1";
/// Path of an invitation.
pub(crate) const PATH: &str = "/join";
/// Longest text that is parsed, in bytes.
pub const MAX_LEN: usize = 2048;

/// The address of a coordinator: scheme, host and optionally a port.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    secure: bool,
    /// Host and port, in lower case.
    authority: String,
}

/// The coordinator and the key for a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// The coordinator's address.
    pub server: ServerUrl,
    /// The Noise key that it must have.
    pub noise_key: MachinePublic,
    /// The pre-auth key, a secret.
    pub auth_key: Secret,
}

/// The argument of `maru join`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An invitation.
    Invitation(Invitation),
    /// A coordinator's address, `http://` or `https://`, whose first Noise key is trusted.
    Address(ServerUrl),
}

/// Why a text is not an invitation. No variant contains the text, which may have a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.message())]
pub enum Error {
    /// The scheme is unknown.
    Scheme,
    /// The host is missing or invalid.
    Host,
    /// The path is not `/join`.
    Path,
    /// Nothing follows `#`.
    Fragment,
    /// The fragment's version is unknown.
    Version(String),
    /// The fragment is cut off or damaged.
    Incomplete,
    /// The fragment is longer than it should be.
    Trailing,
    /// The text is longer than any invitation.
    TooLong,
}

impl Error {
    /// What is wrong, and what to do.
    #[must_use]
    pub fn message(&self) -> Message {
        match self {
            Self::Scheme => message!("problem-invitation-scheme"),
            Self::Host => message!("problem-invitation-host"),
            Self::Path => message!("problem-invitation-path"),
            Self::Fragment => message!("problem-invitation-fragment"),
            Self::Version(found) => {
                message!("problem-invitation-version", found, known = VERSION)
            }
            Self::Incomplete => message!("problem-invitation-cut"),
            Self::Trailing => message!("problem-invitation-trailing"),
            Self::TooLong => message!("problem-invitation-too-long"),
        }
    }
}

impl ServerUrl {
    /// Parses an address: `http://` or `https://`, a host, optionally a port and a slash.
    ///
    /// # Errors
    ///
    /// Fails for other texts.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (server, path) = Self::split(text)?;
        match path {
            "" | "/" if !is_maru(text) => Ok(server),
            "" | "/" => Err(Error::Incomplete),
            _ => Err(Error::Path),
        }
    }

    /// Splits the address from the rest of the text.
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

    /// The port, or the scheme's default.
    #[must_use]
    pub fn port(&self) -> u16 {
        let usual = if self.secure { 443 } else { 80 };
        match self.authority.rsplit_once(':') {
            Some((_, port)) if !port.contains(']') => port.parse().unwrap_or(usual),
            Some(_) | None => usual,
        }
    }

    /// The host; an IPv6 address without brackets.
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
    /// The text, to be shown once.
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
    /// Parses an invitation or a coordinator's address. White space in an invitation and quotes around it are ignored.
    ///
    /// # Errors
    ///
    /// Fails for other texts.
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
            // Only invitations begin with `maru://`: the rest was cut off.
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

/// Removes quotes around the text, and white space in an invitation.
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

/// Whether the text has the scheme of invitations.
fn is_maru(text: &str) -> bool {
    text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("maru://"))
}

/// Whether the text is a host with or without a port.
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
