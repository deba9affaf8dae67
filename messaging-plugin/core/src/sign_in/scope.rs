//! The scope of an OAuth request (MSC2967): the whole client-server API, for a device whose id the app chose.

use ruma::OwnedDeviceId;

use crate::Error;

/// Longest scope, in bytes.
pub const SCOPE_MAX: usize = 1_000;

/// Shortest device id of an app's choice (MSC2967).
pub const DEVICE_MIN: usize = 10;

/// Longest device id.
pub const DEVICE_MAX: usize = 64;

/// The prefixes of the tokens: the specification's, and that of the proposal, which apps use.
const PREFIXES: [&str; 2] = ["urn:matrix:client:", "urn:matrix:org.matrix.msc2967.client:"];

/// What an app may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The device.
    pub device: OwnedDeviceId,
    text: String,
}

impl Scope {
    /// Reads a scope. Tokens that are not Matrix's, such as `openid`, are ignored (RFC 6749, section 3.3).
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParam`] if it does not ask for the API, or not for exactly one device, or the device id is not
    /// [`DEVICE_MIN`] to [`DEVICE_MAX`] of letters, digits, `-`, `.`, `_` and `~`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refused = |what: &str| Error::InvalidParam(format!("the scope {what}"));
        if text.len() > SCOPE_MAX {
            return Err(refused("is too long"));
        }
        let tokens = text.split(' ').filter_map(|token| {
            Some((token, PREFIXES.iter().find_map(|prefix| token.strip_prefix(prefix))?))
        });
        let (mut api, mut device) = (None, None);
        for (token, name) in tokens {
            if name == "api:*" {
                api = Some(token);
            } else if let Some(id) = name.strip_prefix("device:") {
                if device.is_some_and(|(_, other)| other != id) {
                    return Err(refused("names two devices"));
                }
                device = Some((token, id));
            }
        }
        let api = api.ok_or_else(|| refused("does not ask for the client-server API"))?;
        let (token, id) = device.ok_or_else(|| refused("names no device"))?;
        if !is_device_id(id) {
            return Err(refused("names a device by characters that are not allowed"));
        }
        Ok(Self { device: id.into(), text: format!("{api} {token}") })
    }

    /// The granted scope, for the answer with the access token: what was asked for, in the same words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Whether an app may call a device so.
#[must_use]
pub fn is_device_id(id: &str) -> bool {
    (DEVICE_MIN..=DEVICE_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Scope, is_device_id};

    const API: &str = "urn:matrix:org.matrix.msc2967.client:api:*";
    const DEVICE: &str = "urn:matrix:org.matrix.msc2967.client:device:";

    #[test]
    fn element_x_is_understood() {
        let text = format!("{API} {DEVICE}ABCDEFGHIJ");
        let scope = Scope::parse(&text).unwrap();
        assert_eq!((scope.device.as_str(), scope.as_str()), ("ABCDEFGHIJ", &*text));
        let stable = "urn:matrix:client:api:* urn:matrix:client:device:abcdefghij";
        assert_eq!(Scope::parse(stable).unwrap().as_str(), stable);
        let with_openid = Scope::parse(&format!("openid {text}  email")).unwrap();
        assert_eq!(with_openid.as_str(), text);
    }

    #[test]
    fn other_scopes_are_refused() {
        for text in [
            String::new(),
            API.to_owned(),
            format!("{DEVICE}ABCDEFGHIJ"),
            format!("{API} {DEVICE}"),
            format!("{API} {DEVICE}short"),
            format!("{API} {DEVICE}{}", "A".repeat(65)),
            format!("{API} {DEVICE}ABCDEFGHI/"),
            format!("{API} {DEVICE}ABCDEFGHI\u{e9}"),
            format!("{API} {DEVICE}ABCDEFGHI\n"),
            format!("{API} {DEVICE}ABCDEFGHIJ {DEVICE}KLMNOPQRST"),
            format!("{API}\t{DEVICE}ABCDEFGHIJ"),
            format!("{API} {DEVICE}ABCDEFGHIJ {}", "a ".repeat(600)),
            format!("urn:synapse:admin:* {DEVICE}ABCDEFGHIJ"),
        ] {
            assert!(Scope::parse(&text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_scope_is_granted_as_it_is_read(
            text in "(openid |urn:matrix:client:(api:\\*|device:[A-Za-z0-9/~]{8,12}) ?){0,4}|.{0,60}",
        ) {
            let Ok(scope) = Scope::parse(&text) else { return Ok(()) };
            prop_assert!(is_device_id(scope.device.as_str()));
            prop_assert_eq!(Scope::parse(scope.as_str()), Ok(scope));
        }
    }
}
