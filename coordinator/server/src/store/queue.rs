//! The order of changes to the database: those of the admin API before those of nodes, each in the order of arrival.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, watch};

/// Changes of this process that wait for each other.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    /// Held by whoever changes the database.
    one: Arc<Mutex<()>>,
    /// Held by the node whose turn it is, so that of all nodes only one waits for `one`.
    nodes: Arc<Mutex<()>>,
    /// How many of the administration wait.
    administrators: Arc<watch::Sender<usize>>,
}

/// The right to change the database now.
#[derive(Debug)]
pub(super) struct WritePermit {
    _one: OwnedMutexGuard<()>,
    _node: Option<OwnedMutexGuard<()>>,
}

/// Somebody of the administration who waits.
struct Waits<'a>(&'a watch::Sender<usize>);

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            one: Arc::default(),
            nodes: Arc::default(),
            administrators: Arc::new(watch::Sender::new(0)),
        }
    }
}

impl Queue {
    /// Waits for a turn of the administration: for the change under way, and for those of the administration that
    /// asked before.
    pub(super) async fn administration(&self) -> WritePermit {
        self.administrators.send_modify(|waiting| *waiting += 1);
        let _waits = Waits(&self.administrators);
        WritePermit { _one: Arc::clone(&self.one).lock_owned().await, _node: None }
    }

    /// Waits for a turn of a node: until nobody of the administration waits, and no node that asked before.
    pub(super) async fn node(&self) -> WritePermit {
        let node = Arc::clone(&self.nodes).lock_owned().await;
        let mut administrators = self.administrators.subscribe();
        loop {
            // The sender is `self`'s, so this ends only when nobody waits.
            let _ = administrators.wait_for(|waiting| *waiting == 0).await;
            let one = Arc::clone(&self.one).lock_owned().await;
            if *administrators.borrow() == 0 {
                return WritePermit { _one: one, _node: Some(node) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Record;

    use futures_util::FutureExt as _;
    use tokio::task::{JoinSet, yield_now};

    use super::*;

    /// Lets everybody who was spawned ask: this thread runs them all.
    async fn all_have_asked() {
        for _ in 0..16 {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_administration_goes_before_every_node_and_each_in_its_order() {
        let (queue, order) = (Queue::default(), Arc::new(Record::new(Vec::new())));
        let mut waiting = JoinSet::new();
        let mut enqueue = |name: &'static str| {
            let (queue, order) = (queue.clone(), Arc::clone(&order));
            waiting.spawn(async move {
                let is_node = name.starts_with("node");
                let permit =
                    if is_node { queue.node().await } else { queue.administration().await };
                order.lock().unwrap().push(name);
                drop(permit);
            });
        };
        let first = queue.administration().await;
        for name in ["node 1", "node 2", "node 3", "admin 1", "admin 2"] {
            enqueue(name);
            all_have_asked().await;
        }
        drop(first);
        let by_node = queue.node().await;
        enqueue("node 4");
        all_have_asked().await;
        enqueue("admin 3");
        all_have_asked().await;
        drop(by_node);

        while waiting.join_next().await.is_some() {}

        let expected = ["admin 1", "admin 2", "node 1", "node 2", "node 3", "admin 3", "node 4"];
        assert_eq!(*order.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn who_gives_up_keeps_nobody_waiting() {
        let queue = Queue::default();
        let first = queue.node().await;
        assert!(queue.administration().now_or_never().is_none());
        assert!(queue.node().now_or_never().is_none());

        drop(first);

        drop(queue.node().await);
        drop(queue.administration().await);
    }
}
