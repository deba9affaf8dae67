//! What the coordinator does without a request: it makes maps anew when nodes connect or disconnect, when keys expire,
//! when `derp_map_file` changed and when another coordinator on the same database stored something, and removes ephemeral nodes that have left.

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

/// How often expiries and the database's revision are looked at.
const TICK: Duration = Duration::from_millis(500);

/// How often the audit log loses what is not kept, and learns how many wrong API keys were shown.
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
                // What was counted is in memory alone.
                if let Err(error) = note_wrong_keys(&app).await {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the audit log lacks the last wrong API keys");
                }
                return;
            }
            nodes = app.hub.moved(&app.caused) => {
                let grace = Millis::try_from(app.config.offline_after.as_millis()).unwrap_or(0);
                let at = clock::now().saturating_sub(grace);
                left.extend(nodes.into_iter().map(|id| (id, at)));
                came_or_went(&app, &mut left).await
            }
            _ = tick.tick() => on_tick(&app, started, &mut left).await,
            _ = prune.tick() => keep_log(&app).await.map_err(HubError::from),
        };
        match &result {
            Ok(()) if failing => tracing::info!("the network is kept up to date again"),
            Err(error) if !failing => tracing::error!(
                error = error as &dyn std::error::Error,
                "cannot keep the network up to date; trying again"
            ),
            Ok(()) | Err(_) => {}
        }
        failing = result.is_err();
    }
}

/// Shows who is connected now, and stores when those that left were last seen: `left` is empty once that is done.
async fn came_or_went(app: &App, left: &mut BTreeMap<NodeId, Millis>) -> Result<(), HubError> {
    if left.is_empty() {
        return app.hub.recompile().await;
    }
    if let Err(error) = app.store.set_last_seen(left).await {
        // Who is connected is known without the database, and shown even so.
        app.hub.recompile().await?;
        return Err(error.into());
    }
    left.clear();
    app.hub.refresh().await
}

/// `unseen`: those that left and whose last moment is not stored yet.
async fn on_tick(
    app: &App,
    started: Millis,
    unseen: &mut BTreeMap<NodeId, Millis>,
) -> Result<(), HubError> {
    if !unseen.is_empty() {
        came_or_went(app, unseen).await?;
    }
    let (now, snapshot) = (clock::now(), app.hub.snapshot());
    let grace = Millis::from(app.config.settings.ephemeral_grace_s) * 1000;
    let left: Vec<NodeId> = snapshot
        .loaded
        .nodes
        .iter()
        .filter(|node| is_over(&node.times, started, now, grace) && !app.hub.is_here(node.id))
        .map(|node| node.id)
        .collect();
    if !left.is_empty() {
        remove(app, &left).await?;
    }
    // Somebody who left before the answer made a change, or another coordinator on this database did.
    if app.store.revision().await? != snapshot.loaded.revision {
        return app.hub.refresh().await;
    }
    if snapshot.next_expiry.is_some_and(|at| at <= now) || app.hub.is_behind() {
        return app.hub.recompile().await;
    }
    Ok(())
}

/// Whether an ephemeral node has been disconnected for longer than `grace`. The time before `started`, when the
/// coordinator could not see who was connected, does not count.
fn is_over(life: &NodeTimes, started: Millis, now: Millis, grace: Millis) -> bool {
    let since = life.last_seen.unwrap_or(0).max(life.created).max(started);
    life.ephemeral && since.saturating_add(grace) <= now
}

/// Writes how many wrong API keys were shown, and removes what is not kept.
async fn keep_log(app: &App) -> Result<(), StoreError> {
    note_wrong_keys(app).await?;
    let settings = &app.config.settings.log;
    let since = clock::now().saturating_sub(Millis::from(settings.keep_days) * DAY);
    app.store.prune_log(LogRetention { since, rows: settings.keep_entries }).await
}

/// Writes how many wrong API keys were shown, in one entry at most.
async fn note_wrong_keys(app: &App) -> Result<(), StoreError> {
    let wrong = app.wrong_keys.swap(0, Ordering::Relaxed);
    if wrong > 0 {
        let mut change = app.store.change(Actor::System).await?;
        change.note("api-key.refused", wrong, "so many wrong keys were shown in the last hour");
        change.commit().await?;
    }
    Ok(())
}

async fn remove(app: &App, nodes: &[NodeId]) -> Result<(), StoreError> {
    let mut change = app.store.change(Actor::System).await?;
    for &id in nodes {
        let Some(node) = change.node(id).await? else { continue };
        change.delete_node(id).await?;
        change.note(
            "device.remove",
            format!("{} ({id})", node.name),
            "it was ephemeral and has left",
        );
        tracing::info!(node = id, "an ephemeral node left for good");
    }
    change.commit().await
}

#[cfg(test)]
mod tests {
    use super::{NodeTimes, is_over};

    #[test]
    fn only_an_ephemeral_node_leaves_for_good_and_only_after_its_time() {
        let life = NodeTimes { created: 0, expires: None, last_seen: Some(50), ephemeral: true };

        assert!(is_over(&life, 0, 150, 100));
        assert!(!is_over(&life, 0, 149, 100));
        assert!(!is_over(&life, 60, 150, 100), "the coordinator was not there before");
        assert!(!is_over(&NodeTimes { created: 60, ..life }, 0, 150, 100));
        assert!(!is_over(&NodeTimes { ephemeral: false, ..life }, 0, i64::MAX, 100));
    }
}
