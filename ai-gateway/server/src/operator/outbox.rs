//! What is to be sent on one connection: bounded, since a client may stop to read.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use common::websocket;
use serde::Serialize;
use tokio::sync::Notify;

use super::{frame, policy::BUFFERED_MAX};

/// Status of a close frame: the client broke a rule (RFC 6455, section 7.4.1).
pub(super) const POLICY: u16 = 1008;

/// The frames that wait to be sent on a connection.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    changed: Notify,
    cut: Notify,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Events so far.
    seq: u64,
    /// Ticks since the client was heard.
    silence: u32,
    end: End,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    /// Nothing is added; what waits is sent first.
    Closing,
    /// The client does not read: the connection is cut.
    Overflowed,
}

impl Outbox {
    /// Adds a message.
    pub(super) fn text(&self, text: &str) {
        self.frame(websocket::text(text));
    }

    /// Adds an event.
    pub(super) fn event<T: Serialize>(&self, name: &'static str, payload: &T) {
        self.change(|state| {
            state.seq += 1;
            let text = frame::event(name, state.seq, payload);
            state.add(websocket::text(&text));
        });
    }

    /// Adds a frame.
    pub(super) fn frame(&self, frame: Vec<u8>) {
        self.change(|state| state.add(frame));
    }

    /// Closes the connection after what waits.
    pub(super) fn close(&self, status: u16, reason: &str) {
        self.change(|state| {
            state.add(websocket::close_with(status, reason));
            if state.end == End::Open {
                state.end = End::Closing;
            }
        });
    }

    /// Records that the client sent something.
    pub(super) fn heard(&self) {
        self.state().silence = 0;
    }

    /// Counts a tick; whether the client was heard within so many.
    pub(super) fn tick(&self, silence_max: u32) -> bool {
        let mut state = self.state();
        state.silence += 1;
        state.silence <= silence_max
    }

    /// The next frame to send; nothing once the connection is to be ended. Only one caller may wait.
    pub(super) async fn next(&self) -> Option<Vec<u8>> {
        loop {
            {
                let mut state = self.state();
                if let Some(frame) = state.frames.pop_front() {
                    state.bytes -= frame.len();
                    return Some(frame);
                }
                if state.end != End::Open {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Waits until the client has left too much unread. Only one caller may wait.
    pub(super) async fn overflowed(&self) {
        while !self.is_overflowed() {
            self.cut.notified().await;
        }
    }

    fn is_overflowed(&self) -> bool {
        self.state().end == End::Overflowed
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_one();
        self.cut.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, frame: Vec<u8>) {
        if self.end != End::Open {
            return;
        }
        if self.bytes + frame.len() > BUFFERED_MAX {
            self.end = End::Overflowed;
            self.frames = VecDeque::new();
            self.bytes = 0;
            return;
        }
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_waits_is_sent_before_the_connection_is_closed() {
        let outbox = Outbox::default();
        outbox.event("tick", &1);
        outbox.text("a");
        outbox.close(POLICY, "why");
        outbox.text("b");
        assert!(outbox.next().await.unwrap().ends_with(br#""payload":1,"seq":1}"#));
        assert_eq!(outbox.next().await.unwrap(), websocket::text("a"));
        assert_eq!(outbox.next().await.unwrap(), websocket::close_with(POLICY, "why"));
        assert_eq!(outbox.next().await, None);
    }

    #[test]
    fn a_client_that_says_nothing_is_given_up_and_one_that_does_is_not() {
        let outbox = Outbox::default();
        assert!(outbox.tick(2) && outbox.tick(2));
        outbox.heard();
        assert!(outbox.tick(2) && outbox.tick(2) && !outbox.tick(2));
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_cut_and_its_memory_is_free() {
        let outbox = Outbox::default();
        let half = vec![0; BUFFERED_MAX / 2];
        for _ in 0..2 {
            outbox.frame(half.clone());
        }
        assert!(!outbox.is_overflowed());
        outbox.frame(vec![0]);
        assert!(outbox.is_overflowed() && outbox.state().frames.is_empty());
        assert_eq!(outbox.next().now_or_never(), Some(None));
    }
}
