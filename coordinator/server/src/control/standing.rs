//! How long a channel may last: a node's as long as it likes, a stranger's for a while and among few.

use chassis::quota::Permit;
use control_protocol::key::MachinePublic;
use tokio::time::Instant;

use crate::{app::App, limits::Origin};

/// Returns when the channel of `machine` has to end: at once if it is no node's and there is no room for a stranger's,
/// later if it still is none then.
///
/// Approval makes a node of a stranger, and removal a stranger of a node.
pub(super) async fn ends(
    app: App,
    machine: MachinePublic,
    origin: Origin,
    mut room: Option<Permit<Origin>>,
) {
    let mut network = app.hub.watch();
    loop {
        let is_node = network.borrow_and_update().machines.contains(&machine);
        if is_node {
            room = None;
            if network.wait_for(|now| !now.machines.contains(&machine)).await.is_err() {
                return;
            }
            continue;
        }
        if room.is_none() {
            room = app.strangers.take(origin).ok();
        }
        if room.is_none() {
            return;
        }
        let until = Instant::now() + app.config.stranger_time;
        let admitted = network.wait_for(|now| now.machines.contains(&machine));
        match tokio::time::timeout_at(until, admitted).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                tracing::debug!("a channel ends whose machine did not become a node in time");
                return;
            }
        }
    }
}
