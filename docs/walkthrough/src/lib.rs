//! Flow pages: how a device registers, and how a chat goes, with links into the code that rustdoc
//! checks. The end-to-end tests beside them take the same trips.

/// How a device becomes a node.
#[doc = include_str!("../registration.md")]
pub mod registration {}

/// How a question goes to the model at home and the reply comes back.
#[doc = include_str!("../chat.md")]
pub mod chat {}
