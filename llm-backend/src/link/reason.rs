//! Why there is no answer.

use std::io;

use crate::error::Error;

pub(super) const ABSENT: &str =
    "cannot be reached: start it, or correct its base URL in the settings";

pub(super) const ANOTHER: &str = "is not used: its socket's path is or contains a symbolic link, or another user listens there; stop that program, or correct its uid in the settings";

pub(super) const SILENT: &str =
    "did not begin to answer in time: it may be overloaded; wait or restart it";

pub(super) const HUNG_UP: &str =
    "closed the connection without an answer: look at its log, it may have crashed";

pub(super) const UNTRUSTED: &str = "and this gateway do not trust each other: compare ca, cert, key and serverName in the settings";

pub(super) const OUT_OF_TIME: &str = "and this gateway do not trust each other: a certificate has expired or is not valid yet; is this machine's clock right?";

pub(super) const LOADING: &str = "is still loading its model: try again in a moment";

/// It refuses this request, or all new ones.
pub(super) const BUSY: &str = "is busy with other requests: try again in a moment";

/// It limits our rate.
pub(super) const CROWDED: &str = "gets too many requests: try again in a moment";

pub(super) const NO_STREAM: &str =
    "did not answer with a stream of its API: check api and baseUrl in the settings";

pub(super) const TOO_LONG: &str = "sent an answer above the limit: is it a chat server?";

/// Why there is no answer.
pub(super) enum Failure {
    Files(Error),
    Connect(io::Error),
    Http(hyper::Error),
}
