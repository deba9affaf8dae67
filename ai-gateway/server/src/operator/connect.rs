//! The handshake: what a client says of itself, and whether its device's signature holds.
//!
//! Who the caller is, the mesh has said before; tokens and passwords are ignored. The signature proves that one device
//! identity connects, now and here: it covers the nonce of this connection.

use std::borrow::Cow;

use ai_gateway_api::sealed::{Ed25519Public, Signature};
use ed25519_dalek::VerifyingKey;
use messages::Language;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::frame::Failure;

/// The protocol's version.
pub(super) const PROTOCOL: u32 = 4;
/// Longest text that a client says of itself, in bytes.
const TEXT_MAX: usize = 200;

/// Parameters of `connect` (`ConnectParams`).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connect<'a> {
    min_protocol: u32,
    max_protocol: u32,
    #[serde(borrow)]
    client: Client<'a>,
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(default)]
    scopes: Option<Vec<String>>,
    #[serde(borrow, default)]
    device: Option<Device<'a>>,
    #[serde(borrow, default)]
    auth: Option<Auth<'a>>,
    /// Such as `ko-KR`.
    #[serde(borrow, default)]
    locale: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Client<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    platform: Cow<'a, str>,
    #[serde(borrow)]
    mode: Cow<'a, str>,
    #[serde(borrow, default)]
    device_family: Option<Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    public_key: Cow<'a, str>,
    #[serde(borrow)]
    signature: Cow<'a, str>,
    signed_at: u64,
    #[serde(borrow)]
    nonce: Cow<'a, str>,
}

/// Read for the signature alone, which covers one of them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Auth<'a> {
    #[serde(borrow, default)]
    token: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    device_token: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    bootstrap_token: Option<Cow<'a, str>>,
}

impl std::fmt::Debug for Auth<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth([redacted])")
    }
}

/// What the gateway asked a connection's client to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Random, and of this connection alone.
    pub nonce: String,
    /// The gateway's clock, in Unix milliseconds.
    pub ts: u64,
}

/// A client whose handshake holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connected {
    /// Its id, such as `openclaw-tui`.
    pub(super) id: String,
    pub(super) version: String,
    pub(super) platform: String,
    pub(super) mode: String,
    pub(super) scopes: Scopes,
    /// Of what the gateway says.
    pub(super) language: Language,
}

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scopes {
    write: bool,
    admin: bool,
}

/// A scope of OpenClaw's operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Read,
    Write,
    Admin,
}

impl Scope {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Read => "operator.read",
            Self::Write => "operator.write",
            Self::Admin => "operator.admin",
        }
    }
}

impl Scopes {
    /// What is granted of what a client asks for: reading and writing to each person, administration to an admin who asks
    /// for it. Who asks for reading alone may only read.
    fn grant(asked: Option<&[String]>, is_admin: bool) -> Self {
        let asks =
            |scope: Scope| asked.is_some_and(|asked| asked.iter().any(|it| it == scope.name()));
        let admin = asks(Scope::Admin);
        let write = asked.is_none_or(<[_]>::is_empty) || admin || asks(Scope::Write);
        Self { write, admin: admin && is_admin }
    }

    pub(super) fn has(self, scope: Scope) -> bool {
        match scope {
            Scope::Read => true,
            Scope::Write => self.write,
            Scope::Admin => self.admin,
        }
    }

    pub(super) fn names(self) -> Vec<&'static str> {
        let all = [Scope::Read, Scope::Write, Scope::Admin];
        all.into_iter().filter(|scope| self.has(*scope)).map(Scope::name).collect()
    }
}

impl Connect<'_> {
    /// Whether this client may speak the protocol here. Each challenge is used once: the caller closes the connection
    /// where it fails, and takes no second handshake.
    ///
    /// # Errors
    ///
    /// Another protocol or role, a device whose id is not its key's, or a signature that is not over this challenge.
    pub fn check(self, challenge: &Challenge, is_admin: bool) -> Result<Connected, Refused> {
        self.judge(challenge, is_admin).map_err(Refused)
    }

    fn judge(self, challenge: &Challenge, is_admin: bool) -> Result<Connected, Failure> {
        if !(self.min_protocol..=self.max_protocol).contains(&PROTOCOL) {
            return Err(Failure::Connect("PROTOCOL_MISMATCH", "this gateway speaks protocol 4"));
        }
        if self.role.as_deref().is_some_and(|role| role != "operator") {
            return Err(Failure::Invalid("this gateway has operators alone".into()));
        }
        let Client { id, version, platform, mode, .. } = &self.client;
        if [id, version, platform, mode].iter().any(|it| it.is_empty() || it.len() > TEXT_MAX) {
            return Err(Failure::Invalid("invalid client: name it in at most 200 bytes".into()));
        }
        if let Some(device) = &self.device {
            self.check_device(device, challenge)?;
        }
        let scopes = Scopes::grant(self.scopes.as_deref(), is_admin);
        let [id, version, platform, mode] =
            [id, version, platform, mode].map(|text| text.clone().into_owned());
        let language = Language::accepted(self.locale.as_deref().unwrap_or_default());
        Ok(Connected { id, version, platform, mode, scopes, language })
    }

    fn check_device(&self, device: &Device<'_>, challenge: &Challenge) -> Result<(), Failure> {
        let key = device.public_key.trim_end_matches('=').parse::<Ed25519Public>().ok();
        let key = key.and_then(|key| Some((key, VerifyingKey::from_bytes(&key.0).ok()?)));
        let Some((bytes, key)) = key else {
            let text = "the device's key is no Ed25519 key in base64url";
            return Err(Failure::Connect("DEVICE_AUTH_PUBLIC_KEY_INVALID", text));
        };
        if hex::encode(Sha256::digest(bytes.0)) != *device.id {
            let text = "the device's id is not the SHA-256 of its key";
            return Err(Failure::Connect("DEVICE_AUTH_DEVICE_ID_MISMATCH", text));
        }
        if *device.nonce != challenge.nonce {
            let text = "the device signed another connection's nonce";
            return Err(Failure::Connect("DEVICE_AUTH_NONCE_MISMATCH", text));
        }
        if device.signed_at != challenge.ts {
            let text = "the device signed another time than the challenge's";
            return Err(Failure::Connect("DEVICE_AUTH_SIGNATURE_EXPIRED", text));
        }
        let signature = device.signature.trim_end_matches('=').parse::<Signature>().ok();
        let holds = signature.is_some_and(|signature| {
            let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
            self.signed(device)
                .iter()
                .any(|text| key.verify_strict(text.as_bytes(), &signature).is_ok())
        });
        if holds {
            return Ok(());
        }
        let text = "the device's signature does not hold";
        Err(Failure::Connect("DEVICE_AUTH_SIGNATURE_INVALID", text))
    }

    /// What a device signs (`buildDeviceAuthPayloadV3` of `@openclaw/gateway-client` 2026.9.1), or what the Control UI of 2026.9.6
    /// does: the same without platform and family.
    fn signed(&self, device: &Device<'_>) -> [String; 2] {
        let auth = self.auth.as_ref();
        let token = auth.and_then(|auth| {
            auth.token
                .as_deref()
                .or(auth.device_token.as_deref())
                .or(auth.bootstrap_token.as_deref())
        });
        let common = [
            &device.id,
            &self.client.id,
            &self.client.mode,
            self.role.as_deref().unwrap_or("operator"),
            &self.scopes.as_deref().unwrap_or_default().join(","),
            &device.signed_at.to_string(),
            token.unwrap_or_default(),
            &device.nonce,
        ]
        .join("|");
        let platform = self.client.platform.trim().to_ascii_lowercase();
        let family = self.client.device_family.as_deref().unwrap_or_default();
        let family = family.trim().to_ascii_lowercase();
        [format!("v3|{common}|{platform}|{family}"), format!("v2|{common}")]
    }
}

/// A client that is refused.
#[derive(Debug)]
pub struct Refused(pub(super) Failure);

#[cfg(test)]
mod tests;
