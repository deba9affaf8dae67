//! Codes that an app exchanges for an access token: those of OAuth (RFC 6749, section 4.1, with PKCE, RFC 7636) and the
//! login tokens of `m.login.sso`.
//!
//! A code lives 30 s, is used once, and only by who got it: the same person, on the same node, by the same app, which
//! proves that it began the sign-in. In memory; a restart voids them.

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    one_time::{Caller, NodeId, OneTime},
    redirect::Redirect,
    scope::Scope,
};
use crate::Error;

/// How long a code lives.
pub const CODE_LIFETIME: Duration = Duration::from_secs(30);

/// What a code was given for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// `m.login.sso`: the device id comes with the login.
    LoginToken,
    /// An authorization request of OAuth.
    Authorization {
        /// The app.
        client_id: String,
        /// The address of the request.
        redirect: Redirect,
        /// What the app asks for.
        scope: Scope,
        /// The app's challenge.
        challenge: Challenge,
    },
}

/// What the app proves at the exchange.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// `m.login.token`: nothing more.
    LoginToken,
    /// A token request of OAuth, as it was sent.
    Authorization {
        /// `client_id`.
        client_id: &'a str,
        /// `redirect_uri`.
        redirect_uri: &'a str,
        /// `code_verifier`.
        verifier: &'a str,
    },
}

/// A code challenge by the method `S256` (RFC 7636, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge([u8; 32]);

impl Challenge {
    /// Reads `code_challenge` and `code_challenge_method` of an authorization request.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParam`] for another method than `S256`, `plain` and a missing one included, or if the challenge
    /// is not the text of a SHA-256 hash.
    pub fn parse(challenge: &str, method: &str) -> Result<Self, Error> {
        let bytes = URL_SAFE_NO_PAD.decode(challenge).ok().filter(|_| method == "S256");
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or_else(|| {
            Error::InvalidParam("code_challenge is a SHA-256 hash by the method S256".to_owned())
        })
    }

    /// Whether a verifier (43 to 128 characters) belongs to the challenge.
    fn is_met(&self, verifier: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        (43..=128).contains(&verifier.len())
            && verifier.bytes().all(is_plain)
            && bool::from(Sha256::digest(verifier).ct_eq(&self.0))
    }
}

/// The codes that are not used yet.
#[derive(Debug)]
pub struct Codes(OneTime<Grant>);

impl Default for Codes {
    fn default() -> Self {
        Self(OneTime::new(CODE_LIFETIME))
    }
}

impl Codes {
    /// Makes a code from random bytes.
    pub fn issue(
        &mut self,
        caller: Caller,
        grant: Grant,
        random: [u8; 32],
        now: Instant,
    ) -> String {
        self.0.issue(caller, grant, random, now)
    }

    /// Uses a code. It is void afterwards, even if the other parameters do not match, since it may have been stolen.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`], in the same words whatever was wrong.
    pub fn redeem(
        &mut self,
        code: &str,
        caller: &Caller,
        proof: Proof<'_>,
        now: Instant,
    ) -> Result<Grant, Error> {
        let grant = self.0.take(code, caller, now).filter(|grant| is_proved(grant, proof));
        grant.ok_or_else(|| {
            Error::Forbidden(
                "the code is unknown, used, expired or was given to somebody else".to_owned(),
            )
        })
    }

    /// Voids the codes of a node that was removed or changed its owner.
    pub fn remove_node(&mut self, node: &NodeId) {
        self.0.remove_node(node);
    }
}

/// Whether the proof fits the grant.
fn is_proved(grant: &Grant, proof: Proof<'_>) -> bool {
    match (grant, proof) {
        (Grant::LoginToken, Proof::LoginToken) => true,
        (
            Grant::Authorization { client_id, redirect, challenge, .. },
            Proof::Authorization { client_id: client, redirect_uri, verifier },
        ) => {
            client_id == client
                && is_same_address(redirect, redirect_uri)
                && challenge.is_met(verifier)
        }
        (Grant::LoginToken, Proof::Authorization { .. })
        | (Grant::Authorization { .. }, Proof::LoginToken) => false,
    }
}

/// Whether the address is the one of the request. A browser's form of it ends with `/` where the app's may not.
fn is_same_address(redirect: &Redirect, uri: &str) -> bool {
    redirect.as_str() == uri || redirect.as_str().strip_suffix('/') == Some(uri)
}

#[cfg(test)]
mod tests;
