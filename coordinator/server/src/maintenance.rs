//! Work without a request: updates maps when nodes connect or disconnect, when keys expire, when `derp_map_file` changes and
//! when another coordinator on the same database changes the network; removes ephemeral nodes that have left; prunes the
//! audit log.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use coordinator_api::Actor;
use coordinator_core::{
    model::{NodeId, NodeTimes},
    time::{DAY, Millis},
};

use crate::{
    app::App,
    clock,
    hub::HubError,
    store::{LogRetention, StoreError},
};

/// Interval of checks for expiries and for a new revision of the database.
const TICK: Duration = Duration::from_millis(500);

/// Interval of pruning the audit log and of adding the number of invalid API keys to it.
const PRUNE: Duration = Duration::from_secs(60 * 60);

/// Runs until the server stops.
pub(crate) async fn run(app: App) {
    let started = clock::now();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    let mut prune = tokio::time::interval(PRUNE);
    let mut left = BTreeMap::new();
    loop {
        let result = tokio::select! {
            () = app.stop.cancelled() => {
                // The count is in memory only.
                if let Err(error) = note_wrong_keys(&app).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "cannot write the last invalid API keys to the audit log");
                }
                return;
            }
            nodes = app.hub.moved(&app.node_rates) => {
                let grace = Millis::try_from(app.config.offline_after.as_millis()).unwrap_or(0);
                let at = clock::now().saturating_sub(grace);
                left.extend(nodes.into_iter().map(|id| (id, at)));
                came_or_went(&app, &mut left).await
            }
            _ = tick.tick() => on_tick(&app, started, &mut left).await,
            _ = prune.tick() => keep_log(&app).await.map_err(HubError::from),
        };
        match &result {
            Ok(()) if failing => tracing::info!("maintenance of the network works again"),
            Err(error) if !failing => tracing::error!(
                error = error as &dyn std::error::Error,
                "maintenance of the network failed; retrying"
            ),
            Ok(()) | Err(_) => {}
        }
        failing = result.is_err();
    }
}

/// Publishes who is connected, and stores when the nodes in `left` were last seen; clears `left` when that is done.
async fn came_or_went(app: &App, left: &mut BTreeMap<NodeId, Millis>) -> Result<(), HubError> {
    if left.is_empty() {
        return app.hub.recompile().await;
    }
    if let Err(error) = app.store.set_last_seen(left).await {
        // Presence does not need the database.
        app.hub.recompile().await?;
        return Err(error.into());
    }
    left.clear();
    app.hub.refresh().await
}

/// `unseen`: the nodes that left and whose `last_seen` is not stored yet.
async fn on_tick(
    app: &App,
    started: Millis,
    unseen: &mut BTreeMap<NodeId, Millis>,
) -> Result<(), HubError> {
    // First, and without the database: a key that has expired ends even while that fails.
    let is_over = app.hub.snapshot().next_expiry.is_some_and(|at| at <= clock::now());
    if is_over || app.hub.is_outdated() {
        app.hub.recompile().await?;
    }
    if !unseen.is_empty() {
        came_or_went(app, unseen).await?;
    }
    let (now, snapshot) = (clock::now(), app.hub.snapshot());
    let grace = Millis::from(app.config.settings.ephemeral_grace_s) * 1000;
    let left: Vec<NodeId> = snapshot
        .loaded
        .nodes
        .iter()
        .filter(|node| has_left(&node.times, started, now, grace) && !app.hub.is_here(node.id))
        .map(|node| node.id)
        .collect();
    if !left.is_empty() {
        let is_still = |times: &NodeTimes| has_left(times, started, clock::now(), grace);
        remove(app, &left, is_still).await?;
    }
    // A change whose caller disconnected, or of another coordinator on this database.
    let is_newer = app.store.revision().await? != snapshot.loaded.revision;
    if is_newer || app.store.must_read_all() {
        return app.hub.catch_up().await;
    }
    Ok(())
}

/// Whether an ephemeral node has been disconnected for longer than `grace`, not counting the time before `started`, when
/// presence was unknown.
fn has_left(times: &NodeTimes, started: Millis, now: Millis, grace: Millis) -> bool {
    let since = times.last_seen.unwrap_or(0).max(times.created).max(started);
    times.ephemeral && since.saturating_add(grace) <= now
}

/// Adds the number of invalid API keys to the log, and prunes it.
async fn keep_log(app: &App) -> Result<(), StoreError> {
    note_wrong_keys(app).await?;
    let settings = &app.config.settings.log;
    let since = clock::now().saturating_sub(Millis::from(settings.keep_days) * DAY);
    app.store.prune_log(LogRetention { since, rows: settings.keep_entries }).await
}

/// Adds the number of invalid API keys to the audit log, if any.
async fn note_wrong_keys(app: &App) -> Result<(), StoreError> {
    let wrong = app.wrong_keys.swap(0, Ordering::Relaxed);
    if wrong > 0 {
        let mut change = app.store.change(Actor::System).await?;
        change.note("api-key.refused", wrong, "number of invalid keys in the last hour");
        change.commit().await?;
    }
    Ok(())
}

/// Removes the nodes of which that still holds, as they are stored now.
async fn remove(
    app: &App,
    nodes: &[NodeId],
    has_left: impl Fn(&NodeTimes) -> bool,
) -> Result<(), StoreError> {
    let mut change = app.store.change(Actor::System).await?;
    for &id in nodes {
        let Some(node) = change.node(id).await?.filter(|node| has_left(&node.times)) else {
            continue;
        };
        change.delete_node(id).await?;
        change.note(
            "device.remove",
            format!("{} ({id})", node.name),
            "it was ephemeral and has left",
        );
        tracing::info!(node = id, "ephemeral node removed");
    }
    change.commit().await
}

#[cfg(test)]
mod tests {
    use super::{NodeTimes, has_left};

    #[test]
    fn only_an_ephemeral_node_leaves_for_good_and_only_after_its_time() {
        let life = NodeTimes { created: 0, expires: None, last_seen: Some(50), ephemeral: true };

        assert!(has_left(&life, 0, 150, 100));
        assert!(!has_left(&life, 0, 149, 100));
        assert!(!has_left(&life, 60, 150, 100), "the coordinator was not there before");
        assert!(!has_left(&NodeTimes { created: 60, ..life }, 0, 150, 100));
        assert!(!has_left(&NodeTimes { ephemeral: false, ..life }, 0, i64::MAX, 100));
    }
}
