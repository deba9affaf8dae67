//! Tests of a reply and its reader, with scripted steps in place of a model.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use chat_vocabulary::Delta;
use futures_util::FutureExt as _;
use tokio::{sync::oneshot, time::timeout};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::openclaw::ModelRef;

const SECOND: Duration = Duration::from_secs(1);

/// Yields a number of steps, then ends or stays pending.
struct ScriptedSteps {
    steps: usize,
    ends: bool,
    /// How many steps it has yielded.
    yielded: Arc<AtomicUsize>,
    _alive: oneshot::Sender<()>,
}

impl StepStream for ScriptedSteps {
    async fn next(&mut self) -> Option<Step> {
        let yielded = self.yielded.load(Ordering::SeqCst);
        if yielded < self.steps {
            self.yielded.fetch_add(1, Ordering::SeqCst);
            return Some(match yielded {
                0 => Step::Model("a/b".parse::<ModelRef>().unwrap().into()),
                number => Step::Delta(Delta::text(number.to_string())),
            });
        }
        if !self.ends {
            std::future::pending::<()>().await;
        }
        None
    }

    fn preempted(&self) -> CancellationToken {
        CancellationToken::new()
    }
}

/// A run, its number of steps so far, and a receiver that fails once the run has ended.
fn run(steps: usize, ends: bool) -> (Run, Arc<AtomicUsize>, oneshot::Receiver<()>) {
    run_patiently(steps, ends, HELD_UP_MAX)
}

/// The same, with a limit on how long the reader may delay it.
fn run_patiently(
    steps: usize,
    ends: bool,
    held_up_max: Duration,
) -> (Run, Arc<AtomicUsize>, oneshot::Receiver<()>) {
    let (alive, ended) = oneshot::channel();
    let yielded = Arc::<AtomicUsize>::default();
    let source = ScriptedSteps { steps, ends, yielded: Arc::clone(&yielded), _alive: alive };
    (Run::begin(source, held_up_max), yielded, ended)
}

/// All remaining steps.
async fn all(mut run: Run) -> Vec<Step> {
    let mut steps = Vec::new();
    while let Some(step) = timeout(SECOND, run.next()).await.unwrap() {
        steps.push(step);
    }
    steps
}

#[tokio::test]
async fn a_run_ends_once_it_is_dropped() {
    let (mut run, _, mut ended) = run(1, false);
    assert!(matches!(run.next().await, Some(Step::Model(_))));
    assert!(ended.try_recv().unwrap_err() == oneshot::error::TryRecvError::Empty, "it goes on");
    drop(run);
    assert!(timeout(SECOND, ended).await.unwrap().is_err(), "the source was dropped");
}

#[tokio::test]
async fn the_model_waits_for_the_reader() {
    let (mut run, yielded, _ended) = run(1000, true);
    let mut read = 0;
    while run.next().await.is_some() {
        read += 1;
        assert_eq!(yielded.load(Ordering::SeqCst), read);
    }
    assert_eq!(read, 1000);
}

/// Its slot is one that others wait for.
#[tokio::test]
async fn an_unread_reply_ends_and_a_slowly_read_one_does_not() {
    let (unread, yielded, ended) = run_patiently(1000, true, Duration::from_millis(20));
    assert!(timeout(10 * SECOND, ended).await.unwrap().is_err(), "the source was dropped");
    assert!(yielded.load(Ordering::SeqCst) < 1000);
    let steps = all(unread).await;
    assert!(
        matches!(steps.last(), Some(Step::Failed(Failure::Behind))),
        "the reader gets an error"
    );

    // A slow reader delays the reply often, but never for long.
    let (mut slow, yielded, _ended) = run_patiently(1000, true, 10 * SECOND);
    let mut read = 0;
    while slow.next().await.is_some() {
        read += 1;
        tokio::task::yield_now().await;
    }
    assert_eq!((read, yielded.load(Ordering::SeqCst)), (1000, 1000));
}

/// Like a connection that polled before there was a step and whose buffer is then full: it is woken, but does not poll
/// again.
#[tokio::test]
async fn a_reply_whose_reader_polled_too_early_and_never_again_ends_too() {
    struct SlowSteps {
        awaited: oneshot::Receiver<()>,
        _alive: oneshot::Sender<()>,
    }
    impl StepStream for SlowSteps {
        async fn next(&mut self) -> Option<Step> {
            let _ = (&mut self.awaited).await;
            Some(Step::Delta(Delta::text("late".to_owned())))
        }

        fn preempted(&self) -> CancellationToken {
            CancellationToken::new()
        }
    }
    let (come, awaited) = oneshot::channel();
    let (alive, ended) = oneshot::channel();
    let mut run = Run::begin(SlowSteps { awaited, _alive: alive }, Duration::from_millis(20));
    assert!(run.next().now_or_never().is_none());

    // As long as there is nothing to read, the reader delays nothing.
    tokio::time::sleep(Duration::from_millis(60)).await;
    come.send(()).expect("the source is polled");

    assert!(timeout(10 * SECOND, ended).await.unwrap().is_err(), "the source was dropped");
    assert!(
        matches!(run.next().await, Some(Step::Failed(Failure::Behind))),
        "the reader gets an error"
    );
}

/// Its client may read later, or never; the slot is needed now.
#[tokio::test]
async fn a_preempted_reply_ends_even_if_it_is_not_read() {
    struct PreemptedSteps {
        preempted: CancellationToken,
        ended: bool,
        _alive: oneshot::Sender<()>,
    }
    impl StepStream for PreemptedSteps {
        async fn next(&mut self) -> Option<Step> {
            if !self.preempted.is_cancelled() {
                return Some(Step::Delta(Delta::text("so far")));
            }
            let last = Step::Delta(Delta::text("the end"));
            (!std::mem::replace(&mut self.ended, true)).then_some(last)
        }

        fn preempted(&self) -> CancellationToken {
            self.preempted.clone()
        }
    }
    let preempted = CancellationToken::new();
    let (alive, ended) = oneshot::channel();
    let source = PreemptedSteps { preempted: preempted.clone(), ended: false, _alive: alive };
    let mut run = Run::begin(source, HELD_UP_MAX);
    assert!(matches!(run.next().await, Some(Step::Delta(_))));

    preempted.cancel();

    assert!(timeout(10 * SECOND, ended).await.unwrap().is_err(), "the source was dropped");
    let steps = all(run).await;
    assert!(matches!(&steps[..], [Step::Delta(delta)] if delta.content == "the end"), "{steps:?}");
}
