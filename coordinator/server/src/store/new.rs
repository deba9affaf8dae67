//! Nodes and devices that wait before they are stored, and who waits already.

use std::collections::BTreeSet;

use control_protocol::{
    key::{MachinePublic, NodePublic},
    map::Hostinfo,
};
use coordinator_core::{
    model::{NodeId, Owner},
    time::Millis,
};

/// A node to be made; number, address and, unless it is given, name are found.
#[derive(Clone, Debug)]
pub struct NewNode {
    /// The number under which it waited.
    pub id: Option<NodeId>,
    /// To whom it belongs.
    pub owner: Owner,
    /// Its machine key.
    pub machine: MachinePublic,
    /// Its node key.
    pub node_key: NodePublic,
    /// What it says of itself.
    pub hostinfo: Hostinfo,
    /// Its capability version; 0: not known yet.
    pub version: u32,
    /// When its node key expires.
    pub expires: Option<Millis>,
    /// Whether it is removed soon after it disconnects.
    pub ephemeral: bool,
    /// The name that the admin chose, checked.
    pub name: Option<String>,
}

/// Who waits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Those that came without a key.
    pub keyless: BTreeSet<NodeId>,
    /// How many of them are of the machine that was asked about.
    pub of_machine: usize,
    /// How many came with a key.
    pub by_key: usize,
}

/// A device that begins to wait; number and ticket are found.
#[derive(Clone, Debug)]
pub struct NewPending {
    /// Its machine key.
    pub machine: MachinePublic,
    /// Its node key.
    pub node_key: NodePublic,
    /// What it says of itself.
    pub hostinfo: Hostinfo,
    /// Its capability version; 0: not known.
    pub version: u32,
    /// Where it asks from; empty: not known.
    pub source: String,
    /// The pre-auth key that it used.
    pub key: Option<u64>,
    /// The node that it was.
    pub replaces: Option<NodeId>,
    /// Whether it is removed soon after it disconnects.
    pub ephemeral: bool,
}
