//! The queue of writes: high priority before low priority, each first in, first out.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard, watch};

/// The priority of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// For requests of people.
    High,
    /// For requests of programs.
    Low,
}

/// The queue of this process's writes.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    /// Locked during a write.
    one: Arc<Mutex<()>>,
    /// Locked by the first of low priority, so that only that one waits for `one`.
    low: Arc<Mutex<()>>,
    /// The number of high priority that wait.
    high: Arc<watch::Sender<usize>>,
}

/// The right to write now.
#[derive(Debug)]
pub(crate) struct WritePermit {
    _one: OwnedMutexGuard<()>,
    _low: Option<OwnedMutexGuard<()>>,
}

/// Counts a waiting write of high priority.
struct WaitingHigh<'a>(&'a watch::Sender<usize>);

impl Drop for WaitingHigh<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self { one: Arc::default(), low: Arc::default(), high: Arc::new(watch::Sender::new(0)) }
    }
}

impl Queue {
    /// Waits for the permit to write.
    pub(crate) async fn turn(&self, priority: Priority) -> WritePermit {
        match priority {
            Priority::High => self.high().await,
            Priority::Low => self.low().await,
        }
    }

    /// Waits for the current write, and for earlier ones of high priority.
    async fn high(&self) -> WritePermit {
        self.high.send_modify(|waiting| *waiting += 1);
        let _waits = WaitingHigh(&self.high);
        WritePermit { _one: Arc::clone(&self.one).lock_owned().await, _low: None }
    }

    /// Waits until none of high priority waits, and for earlier ones of low priority.
    async fn low(&self) -> WritePermit {
        let low = Arc::clone(&self.low).lock_owned().await;
        let mut high = self.high.subscribe();
        loop {
            // The sender lives in `self`, so this returns only when none waits.
            let _ = high.wait_for(|waiting| *waiting == 0).await;
            let one = Arc::clone(&self.one).lock_owned().await;
            if *high.borrow() == 0 {
                return WritePermit { _one: one, _low: Some(low) };
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

    /// Lets all spawned tasks run until they wait.
    async fn all_have_asked() {
        for _ in 0..16 {
            yield_now().await;
        }
    }

    #[tokio::test]
    async fn high_priority_goes_before_low_and_each_in_its_order() {
        let (queue, order) = (Queue::default(), Arc::new(Record::new(Vec::new())));
        let mut waiting = JoinSet::new();
        let mut enqueue = |name: &'static str| {
            let (queue, order) = (queue.clone(), Arc::clone(&order));
            waiting.spawn(async move {
                let is_low = name.starts_with("low");
                let permit = if is_low { queue.low().await } else { queue.high().await };
                order.lock().unwrap().push(name);
                drop(permit);
            });
        };
        let first = queue.high().await;
        for name in ["low 1", "low 2", "low 3", "high 1", "high 2"] {
            enqueue(name);
            all_have_asked().await;
        }
        drop(first);
        let by_low = queue.low().await;
        enqueue("low 4");
        all_have_asked().await;
        enqueue("high 3");
        all_have_asked().await;
        drop(by_low);

        while waiting.join_next().await.is_some() {}

        let expected = ["high 1", "high 2", "low 1", "low 2", "low 3", "high 3", "low 4"];
        assert_eq!(*order.lock().unwrap(), expected);
    }

    #[tokio::test]
    async fn who_gives_up_keeps_nobody_waiting() {
        let queue = Queue::default();
        let first = queue.low().await;
        assert!(queue.high().now_or_never().is_none());
        assert!(queue.low().now_or_never().is_none());

        drop(first);

        drop(queue.low().await);
        drop(queue.high().await);
    }
}
