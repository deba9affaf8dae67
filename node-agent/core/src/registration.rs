//! Registration: how this device becomes a node of the network.
//!
//! ```text
//!           poll_action                response
//!    Due ───────────────▶ InFlight ───────────────▶ Idle(until)
//!     ▲                                                 │
//!     └───────────────── handle_timeout ────────────────┘
//!                        (a response that admits the node ends it: Done)
//! ```
//!
//! The caller owns the socket and the clock. It performs each [`Action`], passes in the response, and calls
//! [`Registration::handle_timeout`] at [`Registration::poll_timeout`]. An unanswered request ends the connection; the next
//! connection starts a new registration. [`Registration::status`] is the meaning of the last response.

use std::time::{Duration, Instant};

use control_protocol::{
    CAPABILITY_VERSION,
    key::NodePublic,
    map::Hostinfo,
    register::{Auth, RegisterRequest, RegisterResponse},
};

/// Wait after a refusal.
const RETRY_REFUSED: Duration = Duration::from_secs(60);
/// Wait before asking again for approval; the coordinator holds that request.
const APPROVAL_POLL: Duration = Duration::from_secs(2);
/// Longest text of the coordinator that is shown to people.
const TEXT_MAX: usize = 1024;

/// The caller's next action.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send this to the coordinator, then call [`Registration::handle_response`].
    SendRegister(Box<RegisterRequest>),
}

/// The meaning of the last response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing yet.
    Unknown,
    /// The administrator has to approve this device.
    Waiting {
        /// A page that says how, if the coordinator named one.
        auth_url: Option<String>,
    },
    /// This device is a node.
    Registered,
    /// The node key has expired: another one must be registered in its place.
    KeyExpired,
    /// The coordinator refused this device.
    Refused {
        /// Its reason, without control characters.
        reason: String,
    },
}

/// Gets one node key registered.
#[derive(Debug)]
pub struct Registration {
    node_key: NodePublic,
    old_node_key: Option<NodePublic>,
    hostinfo: Hostinfo,
    auth: Option<Auth>,
    /// The page whose completion is awaited.
    followup: Option<String>,
    status: Status,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A request should be sent.
    Due,
    /// A request awaits its answer.
    InFlight,
    /// Waiting until then.
    Idle(Instant),
    /// Registered.
    Done,
}

impl Registration {
    /// Starts registering a key; the first request is due at once.
    ///
    /// `old_node_key` is the key that it replaces; `auth_key` a pre-auth key, a secret that
    /// [`fmt::Debug`](std::fmt::Debug) does not show.
    #[must_use]
    pub fn new(
        node_key: NodePublic,
        old_node_key: Option<NodePublic>,
        auth_key: Option<String>,
        hostinfo: Hostinfo,
    ) -> Self {
        Self {
            node_key,
            old_node_key,
            hostinfo,
            auth: auth_key.map(|auth_key| Auth { auth_key }),
            followup: None,
            status: Status::Unknown,
            state: State::Due,
        }
    }

    /// Records the coordinator's answer to [`Action::SendRegister`].
    pub fn handle_response(&mut self, response: &RegisterResponse, now: Instant) {
        if !response.error.is_empty() {
            self.followup = None;
            self.status = Status::Refused { reason: showable(&response.error) };
            self.state = State::Idle(now + RETRY_REFUSED);
        } else if response.node_key_expired {
            self.status = Status::KeyExpired;
            self.state = State::Idle(now + RETRY_REFUSED);
        } else if !response.auth_url.is_empty() {
            let usable = is_showable(&response.auth_url);
            self.followup = usable.then(|| response.auth_url.clone());
            self.status = Status::Waiting { auth_url: self.followup.clone() };
            self.state = State::Idle(now + APPROVAL_POLL);
        } else if response.machine_authorized {
            self.auth = None;
            self.followup = None;
            self.status = Status::Registered;
            self.state = State::Done;
        } else {
            self.followup = None;
            self.status = Status::Waiting { auth_url: None };
            self.state = State::Idle(now + APPROVAL_POLL);
        }
    }

    /// Advances to `now`. Calling it early or twice is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|at| at <= now) {
            self.state = State::Due;
        }
    }

    /// Returns the next thing to do, if any.
    pub fn poll_action(&mut self) -> Option<Action> {
        if self.state != State::Due {
            return None;
        }
        self.state = State::InFlight;
        let mut request = RegisterRequest {
            version: CAPABILITY_VERSION,
            node_key: self.node_key,
            old_node_key: self.old_node_key,
            hostinfo: Some(self.hostinfo.clone()),
            ..RegisterRequest::default()
        };
        match &self.followup {
            Some(followup) => request.followup.clone_from(followup),
            None => request.auth.clone_from(&self.auth),
        }
        Some(Action::SendRegister(Box::new(request)))
    }

    /// Returns when [`Self::handle_timeout`] is next needed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Idle(until) => Some(until),
            State::Due | State::InFlight | State::Done => None,
        }
    }

    /// Returns the meaning of the last response.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.status
    }
}

/// The request that logs a node out: its expiry lies in the past (the Go client sends the same).
#[must_use]
pub fn logout(node_key: NodePublic) -> RegisterRequest {
    RegisterRequest {
        version: CAPABILITY_VERSION,
        node_key,
        expiry: Some("1970-01-01T00:02:03Z".to_owned()),
        ..RegisterRequest::default()
    }
}

/// Whether a text of the coordinator is short printable ASCII, safe for a terminal.
fn is_showable(text: &str) -> bool {
    text.len() <= TEXT_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The text without control characters.
#[must_use]
pub fn showable(text: &str) -> String {
    common::foreign::short(text, TEXT_MAX)
}

#[cfg(test)]
mod tests;
