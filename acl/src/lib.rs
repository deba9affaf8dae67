//! The policy language: parse, validate, compile, test.
//!
//! A policy is Tailscale's (HuJSON): groups, hosts, tag owners, `acls` and `grants`, with tests of
//! its own. [`Policy::parse`] refuses invalid policies; [`Policy::compile`] returns the packet
//! filter of one node; what no rule allows is denied.
//!
//! ```
//! let policy = acl::Policy::parse(r#"{
//!     // Everybody may ask the AI.
//!     "tagOwners": { "tag:home": ["autogroup:admin"] },
//!     "acls": [{ "action": "accept", "src": ["autogroup:member"], "dst": ["tag:home:80,18789"] }],
//! }"#)?;
//! assert!(policy.compile(&acl::Network::default(), 0).is_empty());
//! # Ok::<(), acl::Error>(())
//! ```
#![forbid(unsafe_code)]

mod addresses;
mod approvers;
mod attributes;
mod canonical;
mod compile;
mod diff;
mod document;
mod error;
mod explain;
mod internet;
mod network;
mod nodes;
mod policy;
mod policy_tests;
mod rule;
mod selector;
mod service;
mod ssh;
mod text;
mod validate;

pub use addresses::{AddressSet, Span};
pub use canonical::{CanonicalFilter, Opening};
pub use diff::{Change, Changes, EVERY_DEVICE};
pub use error::{Error, Failures, Position, TestResult, Warning};
pub use explain::{Attempt, Decision, Party, PartyError};
pub use internet::INTERNET;
pub use network::{Network, Node, User};
pub use policy::{Compiler, Policy};
pub use rule::{DstPort, Rule};
pub use service::protocol_name;
