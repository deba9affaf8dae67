//! How long a channel may last: a node's as long as it likes, a stranger's for a while and among few.

use control_protocol::key::MachinePublic;
use tokio::time::Instant;

use crate::{app::App, limits::Origin};

/// Returns when the channel of `machine` has to end: later, if it still is no node's then, and before if newer strangers
/// come, who would find no room otherwise. Its device asks again by itself.
///
/// Approval makes a node of a stranger, and removal a stranger of a node.
pub(super) async fn ends(app: App, machine: MachinePublic, origin: Origin) {
    let mut network = app.hub.watch();
    loop {
        let is_node = network.borrow_and_update().machines.contains(&machine);
        if is_node {
            if network.wait_for(|now| !now.machines.contains(&machine)).await.is_err() {
                return;
            }
            continue;
        }
        let place = app.strangers.enter(Some(origin));
        let until = Instant::now() + app.config.stranger_time;
        let admitted = async {
            let is_node = network.wait_for(|now| now.machines.contains(&machine));
            is_node.await.is_ok()
        };
        tokio::select! {
            () = place.is_pushed_out() => {
                tracing::debug!("a channel of a machine that is no node gives way to newer ones");
                return;
            }
            admitted = tokio::time::timeout_at(until, admitted) => match admitted {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => {
                    tracing::debug!("a channel ends whose machine did not become a node in time");
                    return;
                }
            },
        }
    }
}
