//! What this node says of itself.

use control_protocol::map::{Hostinfo, NetInfo};

use crate::agent::Agent;

/// What this node says of itself.
pub(super) fn hostinfo(agent: &Agent) -> Hostinfo {
    let report = agent.report.borrow();
    let net_info = report.home.map(|preferred_derp| NetInfo { preferred_derp });
    Hostinfo {
        ipn_version: env!("CARGO_PKG_VERSION").to_owned(),
        os: "linux".to_owned(),
        app: "maru".to_owned(),
        hostname: agent.hostname(),
        machine: std::env::consts::ARCH.to_owned(),
        no_logs_no_support: true,
        net_info,
        ..Hostinfo::default()
    }
}
