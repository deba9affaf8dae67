//! Who calls a method.

use std::sync::Arc;

use mesh_identity::Person;

use super::{connect::Connected, outbox::Outbox};
use crate::App;

/// Who calls a method.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller<'a> {
    pub(super) app: &'a Arc<App>,
    pub(super) person: &'a Person,
    pub(super) connected: &'a Connected,
    /// What is sent on the connection.
    pub(super) outbox: &'a Arc<Outbox>,
}
