//! A connection without a request under way gives way to others.

use std::{
    future::poll_fn,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use crate::eviction::{Entry, EvictionQueue};

/// Whether a connection has a request under way. A clone is of the same connection.
#[derive(Clone, Debug)]
pub struct Activity(Arc<State>);

#[derive(Debug)]
struct State {
    all: EvictionQueue<IpAddr>,
    address: IpAddr,
    /// While it has none.
    place: Mutex<Option<Entry<IpAddr>>>,
}

/// A request is under way until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct ActiveRequest(Activity);

impl Activity {
    /// A connection of this address, beside `all` that have no request under way.
    pub(crate) fn new(all: EvictionQueue<IpAddr>, address: IpAddr) -> Self {
        let place = Mutex::new(Some(all.enter(Some(address))));
        Self(Arc::new(State { all, address, place }))
    }

    fn place(&self) -> MutexGuard<'_, Option<Entry<IpAddr>>> {
        self.0.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request begins. There is one at a time on a connection.
    pub fn busy(&self) -> ActiveRequest {
        self.place().take();
        ActiveRequest(self.clone())
    }

    /// Returns when the connection has to give way. It is to be polled on the connection's own task, after the connection.
    pub async fn evicted(&self) {
        let mut waits = None;
        poll_fn(|context| {
            // The place is another one after each request.
            let pushed = self.place().as_ref().map(Entry::pushed);
            waits = pushed.map(|pushed| Box::pin(pushed.cancelled_owned()));
            match &mut waits {
                Some(waits) => waits.as_mut().poll(context),
                None => Poll::Pending,
            }
        })
        .await;
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let state = &self.0.0;
        let place = state.all.enter(Some(state.address));
        *self.0.place() = Some(place);
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
