//! The policy.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The policy as text, including comments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// `HuJSON`.
    pub policy: String,
    /// Its revision. In a request: the revision that it may replace; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
}

/// The result of checking a valid policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyChecked {
    /// Always true; for an invalid policy the response is a problem with status 422.
    pub ok: bool,
    /// Unsupported features that it uses.
    pub warnings: Vec<PolicyNote>,
}

/// A policy that was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicySet {
    /// `HuJSON`.
    pub policy: String,
    /// Its revision.
    pub revision: i64,
    /// Unsupported features that it uses.
    pub warnings: Vec<PolicyNote>,
    /// The changes that it made.
    #[serde(flatten)]
    pub changes: PolicyChanges,
}

/// A note about a part of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyNote {
    /// Where.
    #[serde(flatten)]
    pub place: PolicyLocation,
    /// The note.
    pub reason: String,
}

/// A position in a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyLocation {
    /// Path of the part, such as `acls[2].dst[0]`.
    pub place: String,
    /// Line of the text, from 1.
    pub line: u32,
    /// Character of the line, from 1.
    pub column: u32,
}

/// The changes that a policy would make.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyDiff {
    /// The revision of the policy in force, with which it was compared.
    pub revision: i64,
    /// The changes that it would make.
    #[serde(flatten)]
    pub changes: PolicyChanges,
}

/// The changes of a policy for the current devices: packets, capabilities and attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyChanges {
    /// What it opens.
    pub opens: Vec<PolicyChange>,
    /// What it closes.
    pub closes: Vec<PolicyChange>,
}

/// A change for one destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyChange {
    /// Names of devices, and addresses of others; empty for attributes, which have no source.
    pub from: Vec<String>,
    /// The device, or `PREFIX by DEVICE` for a part of what it routes.
    pub to: String,
    /// Ports, such as `22`, `tcp 443` or `all ports`, capabilities, and attributes (`nodeAttrs`).
    pub what: Vec<String>,
}

/// Runs the tests in a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestPolicy {
    /// `HuJSON`; absent for the policy in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// The results of the tests in a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyTested {
    /// Whether all of them pass; true if there are none.
    pub passed: bool,
    /// One for each destination.
    pub tests: Vec<PolicyTest>,
}

/// The result of one assertion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyTest {
    /// Where.
    #[serde(flatten)]
    pub place: PolicyLocation,
    /// The source, as written.
    pub src: String,
    /// The destination, as written; empty if the source matches nobody.
    pub dst: String,
    /// The protocol, as written; empty for any of TCP, UDP and ICMP.
    pub protocol: String,
    /// Whether the destination should be reachable.
    pub accept: bool,
    /// Whether the assertion holds.
    pub passed: bool,
    /// Why not; empty if it holds.
    pub reason: String,
}

/// A protocol of a connection attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyProtocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// ICMP, of either family; it has no ports.
    Icmp,
}

/// A question whether a source may reach a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainPolicy {
    /// A device, an address, or a user, a tag or a group.
    pub src: String,
    /// The same.
    pub dst: String,
    /// Port; ignored for ICMP.
    pub port: u16,
    /// Protocol.
    #[serde(default)]
    pub protocol: PolicyProtocol,
}

/// Whether a source reaches a destination, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyDecision {
    /// The source: a device, or an address.
    pub from: String,
    /// The destination: a device, or an address.
    pub to: String,
    /// Whether the destination is reachable.
    pub allowed: bool,
    /// The first rule that allows it; absent if none does.
    pub rule: Option<PolicyLocation>,
    /// The router that leads there; absent if the destination is a device of the network.
    pub through: Option<String>,
}
