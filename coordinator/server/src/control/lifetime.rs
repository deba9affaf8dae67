//! How long a channel may last: unlimited for nodes, limited in time and number for other machines.

use control_protocol::key::MachinePublic;
use tokio::time::Instant;

use crate::{app::App, limits::Origin};

/// Returns when the channel of `machine` must be closed: when the machine has had no node for the time limit, or earlier if
/// newer such machines need its place. The device reconnects by itself.
///
/// The limit starts again when the machine's node is removed, and ends when the machine becomes a node.
pub(super) async fn ended(app: App, machine: MachinePublic, origin: Origin) {
    let mut machines = app.hub.watch_machines();
    loop {
        let is_node = machines.borrow_and_update().contains(&machine);
        if is_node {
            if machines.wait_for(|now| !now.contains(&machine)).await.is_err() {
                return;
            }
            continue;
        }
        let place = app.strangers.enter(Some(origin));
        let until = Instant::now() + app.config.stranger_time;
        let admitted = async {
            let is_node = machines.wait_for(|now| now.contains(&machine));
            is_node.await.is_ok()
        };
        tokio::select! {
            () = place.evicted() => {
                tracing::debug!("closing a channel of an unregistered machine in favor of newer ones");
                return;
            }
            admitted = tokio::time::timeout_at(until, admitted) => match admitted {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => {
                    tracing::debug!("closing a channel: the machine was not registered in time");
                    return;
                }
            },
        }
    }
}
