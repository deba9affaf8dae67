//! What the server remembers of sign-ins. All but the access tokens is void after a restart.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mesh_identity::Header;
use telmeet_core::sign_in::{
    authorization::Authorization, code::Codes, one_time::OneTime, password::OneTimePasswords,
    redirect::Redirect, registration::Apps,
};

use super::tokens::Tokens;
use crate::error::Error;

/// How long a page's form can be sent.
const FORM_LIFETIME: Duration = Duration::from_secs(10 * 60);

/// What a person confirms on a page.
#[derive(Clone, Debug)]
pub enum Confirmation {
    /// Sign-in by `m.login.sso`; the browser is sent back to this address.
    Sso(Redirect),
    /// Sign-in by OAuth.
    OAuth(Authorization),
    /// Removal of an app, which the form names.
    Removal,
}

/// Apps that signed in, and those that are about to.
#[derive(Debug)]
pub struct SignIn {
    /// The access tokens.
    pub tokens: Arc<Tokens>,
    /// The network's own names, to which a browser may be redirected.
    pub own_names: [String; 2],
    plain_oauth: bool,
    codes: Mutex<Codes>,
    passwords: Mutex<OneTimePasswords>,
    forms: Mutex<OneTime<Confirmation>>,
    apps: Mutex<Apps>,
}

impl SignIn {
    /// Without any token.
    #[must_use]
    pub fn new(network: &str, plain_oauth: bool) -> Self {
        Self {
            tokens: Arc::default(),
            own_names: [services::ROOMS, services::TELMEET_MESH.name]
                .map(|name| format!("{name}.{network}")),
            plain_oauth,
            codes: Mutex::default(),
            passwords: Mutex::default(),
            forms: Mutex::new(OneTime::new(FORM_LIFETIME)),
            apps: Mutex::default(),
        }
    }

    /// The address of the homeserver, as this caller reaches it.
    #[must_use]
    pub fn base(&self, header: &Header) -> String {
        let scheme = if is_https(header) { "https" } else { "http" };
        format!("{scheme}://{}", self.own_names[0])
    }

    /// Whether this caller may use OAuth. Apps that find it offer nothing else, and sign out over HTTPS only.
    ///
    /// # Errors
    ///
    /// [`Error::Unrecognized`], from which apps know that there is none.
    pub fn check_oauth(&self, header: &Header) -> Result<(), Error> {
        let is_offered = self.plain_oauth || is_https(header);
        if is_offered { Ok(()) } else { Err(Error::Unrecognized) }
    }

    /// Codes that are not used yet.
    pub fn codes(&self) -> MutexGuard<'_, Codes> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One-time passwords that are not used yet.
    pub fn passwords(&self) -> MutexGuard<'_, OneTimePasswords> {
        self.passwords.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forms that are not sent yet.
    pub fn forms(&self) -> MutexGuard<'_, OneTime<Confirmation>> {
        self.forms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Apps that introduced themselves.
    pub fn apps(&self) -> MutexGuard<'_, Apps> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the caller connected to the port of HTTPS.
fn is_https(header: &Header) -> bool {
    header.destination.port() == 443
}
