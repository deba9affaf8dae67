//! Eviction of idle connections.

use std::{
    future::poll_fn,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use crate::eviction::{Entry, EvictionQueue};

/// Whether a connection is idle. A clone belongs to the same connection.
#[derive(Clone, Debug)]
pub struct Activity(Arc<State>);

#[derive(Debug)]
struct State {
    queue: EvictionQueue<IpAddr>,
    address: IpAddr,
    /// While the connection is idle.
    entry: Mutex<Option<Entry<IpAddr>>>,
}

/// Marks a request as active until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct ActiveRequest(Activity);

impl Activity {
    pub(crate) fn new(queue: EvictionQueue<IpAddr>, address: IpAddr) -> Self {
        let entry = Mutex::new(Some(queue.enter(Some(address))));
        Self(Arc::new(State { queue, address, entry }))
    }

    fn entry(&self) -> MutexGuard<'_, Option<Entry<IpAddr>>> {
        self.0.entry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a request; a connection has one at a time.
    pub fn busy(&self) -> ActiveRequest {
        self.entry().take();
        ActiveRequest(self.clone())
    }

    /// Waits until the connection is evicted. Poll it in the connection's task, after the connection.
    pub async fn evicted(&self) {
        let mut evicted = None;
        poll_fn(|context| {
            // Each request is followed by a new entry.
            let token = self.entry().as_ref().map(Entry::token);
            evicted = token.map(|token| Box::pin(token.cancelled_owned()));
            match &mut evicted {
                Some(evicted) => evicted.as_mut().poll(context),
                None => Poll::Pending,
            }
        })
        .await;
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let state = &self.0.0;
        let entry = state.queue.enter(Some(state.address));
        *self.0.entry() = Some(entry);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;
    use crate::eviction::EvictionPolicy;

    fn goes(idle: &Activity) -> bool {
        pin!(idle.evicted()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[tokio::test]
    async fn who_has_no_request_under_way_gives_way_and_nobody_else() {
        let all = EvictionQueue::new(2, 2, EvictionPolicy::OldestOfLargest);
        let connection = |last: u8| Activity::new(all.clone(), [192, 0, 2, last].into());
        let (busy, idle) = (connection(1), connection(2));
        let request = busy.busy();

        let others = [connection(3), connection(4)];

        assert!(goes(&idle) && !goes(&busy), "the other one has a request");
        assert!(!others.iter().any(goes));
        drop(request);
        assert!(!goes(&busy) && goes(&others[0]), "from now on it is one of them");
        let request = others[0].busy();
        drop(request);
        assert!(!goes(&others[0]), "a request that came before it went is answered");
        assert!(goes(&others[1]));
    }

    #[tokio::test]
    async fn it_is_told_that_it_has_to_go() {
        let all = EvictionQueue::new(1, 1, EvictionPolicy::OldestOfLargest);
        let first = Activity::new(all.clone(), [192, 0, 2, 1].into());
        let told = tokio::spawn({
            let first = first.clone();
            async move { first.evicted().await }
        });
        tokio::task::yield_now().await;

        let _second = Activity::new(all, [192, 0, 2, 2].into());

        told.await.unwrap();
    }
}
