//! The policy.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The policy as text, comments included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// `HuJSON`.
    pub policy: String,
    /// Which policy it is; in a request, the policy that it is to replace, and no other: without it whichever is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
}

/// A policy that would be accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyChecked {
    /// Always true; a policy that would be refused is a problem with status 422.
    pub ok: bool,
    /// What it says and does not do.
    pub warnings: Vec<PolicyNote>,
}

/// A policy that was put in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicySet {
    /// `HuJSON`.
    pub policy: String,
    /// Which policy it is.
    pub revision: i64,
    /// What it says and does not do.
    pub warnings: Vec<PolicyNote>,
    /// What it changed.
    #[serde(flatten)]
    pub changes: PolicyChanges,
}

/// Something to know of a part of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyNote {
    /// Where.
    #[serde(flatten)]
    pub place: PolicyPlace,
    /// What there is to know.
    pub reason: String,
}

/// A part of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyPlace {
    /// Which part, such as `acls[2].dst[0]`.
    pub place: String,
    /// Line of the text, from 1.
    pub line: u32,
    /// Character of the line, from 1.
    pub column: u32,
}

/// What a policy would change, in the place of which.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyDiff {
    /// The policy in force, with which it was compared.
    pub revision: i64,
    /// What it would change.
    #[serde(flatten)]
    pub changes: PolicyChanges,
}

/// What a policy changes for the devices that are there: packets, capabilities and attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyChanges {
    /// What was closed and is open then.
    pub opens: Vec<PolicyChange>,
    /// What was open and is closed then.
    pub closes: Vec<PolicyChange>,
}

/// What opens or closes at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyChange {
    /// Names of devices, and addresses of others; empty for attributes, which have no source.
    pub from: Vec<String>,
    /// The device, or `PREFIX by DEVICE` for a part of what it routes.
    pub to: String,
    /// Ports, such as `22`, `tcp 443` or `all ports`, capabilities, and attributes (`nodeAttrs`).
    pub what: Vec<String>,
}

/// Which policy's own tests to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestPolicy {
    /// `HuJSON`; absent for the policy in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// How the policy's own tests came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyTested {
    /// Whether all of them pass; true if there are none.
    pub passed: bool,
    /// One for each destination.
    pub tests: Vec<PolicyTest>,
}

/// One assertion of the policy's own tests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyTest {
    /// Where.
    #[serde(flatten)]
    pub place: PolicyPlace,
    /// The source, as it is written.
    pub src: String,
    /// The destination, as it is written; empty if the source is nobody.
    pub dst: String,
    /// The protocol, as it is written; empty for any of TCP, UDP and ICMP.
    pub protocol: String,
    /// Whether the destination is to be reached.
    pub accept: bool,
    /// Whether it is as wanted.
    pub passed: bool,
    /// Why not; empty if it is.
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

/// Who may reach whom?
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainPolicy {
    /// A device, an address, or what a rule may name: a person, a tag, a group.
    pub src: String,
    /// The same.
    pub dst: String,
    /// Port; of no importance for ICMP.
    pub port: u16,
    /// Protocol.
    #[serde(default)]
    pub protocol: PolicyProtocol,
}

/// Why a source reaches a destination, or that it does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyDecision {
    /// The source: a device, or an address.
    pub from: String,
    /// The destination: a device, or an address.
    pub to: String,
    /// Whether it is reached.
    pub allowed: bool,
    /// The first rule that allows it; absent if none does.
    pub rule: Option<PolicyPlace>,
    /// The router that leads there; absent if the destination is a device of the network.
    pub through: Option<String>,
}
