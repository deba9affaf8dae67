//! Tests of a reply and its reader, with a scripted turn in place of a model.

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

/// Says its number of steps, then ends or stays silent.
struct ScriptedSteps {
    steps: usize,
    ends: bool,
    said: Arc<AtomicUsize>,
    _alive: oneshot::Sender<()>,
}

impl StepStream for ScriptedSteps {
    async fn next(&mut self) -> Option<Step> {
        let said = self.said.load(Ordering::SeqCst);
        if said < self.steps {
            self.said.fetch_add(1, Ordering::SeqCst);
            return Some(match said {
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

/// A run, its number of steps so far, and what ends when the run does.
fn run(steps: usize, ends: bool) -> (Run, Arc<AtomicUsize>, oneshot::Receiver<()>) {
    run_patiently(steps, ends, HELD_UP_MAX)
}

/// The same, where its reader may hold it up for so long.
fn run_patiently(
    steps: usize,
    ends: bool,
    held_up_max: Duration,
) -> (Run, Arc<AtomicUsize>, oneshot::Receiver<()>) {
    let (alive, ended) = oneshot::channel();
    let said = Arc::<AtomicUsize>::default();
    let turn = ScriptedSteps { steps, ends, said: Arc::clone(&said), _alive: alive };
    (Run::begin(turn, held_up_max), said, ended)
}

/// Everything that is heard until the end.
async fn all(mut run: Run) -> Vec<Step> {
    let mut heard = Vec::new();
    while let Some(step) = timeout(SECOND, run.next()).await.unwrap() {
        heard.push(step);
    }
    heard
}

#[tokio::test]
async fn a_run_ends_once_it_is_dropped() {
    let (mut run, _, mut ended) = run(1, false);
    assert!(matches!(run.next().await, Some(Step::Model(_))));
    assert!(ended.try_recv().unwrap_err() == oneshot::error::TryRecvError::Empty, "it goes on");
    drop(run);
    assert!(timeout(SECOND, ended).await.unwrap().is_err(), "the turn was dropped");
}

#[tokio::test]
async fn the_model_waits_for_the_reader() {
    let (mut run, said, _ended) = run(1000, true);
    let mut heard = 0;
    while run.next().await.is_some() {
        heard += 1;
        assert_eq!(said.load(Ordering::SeqCst), heard);
    }
    assert_eq!(heard, 1000);
}

/// Its slot is one that others wait for.
#[tokio::test]
async fn a_reply_that_nobody_reads_on_ends_and_one_that_is_read_slowly_does_not() {
    let (unread, said, ended) = run_patiently(1000, true, Duration::from_millis(20));
    assert!(timeout(10 * SECOND, ended).await.unwrap().is_err(), "the turn was dropped");
    assert!(said.load(Ordering::SeqCst) < 1000);
    let heard = all(unread).await;
    assert!(matches!(heard.last(), Some(Step::Failed(Failure::Behind))), "it is told so");

    // Now and then a step is taken: it is held up as often, but never for long.
    let (mut slow, said, _ended) = run_patiently(1000, true, 10 * SECOND);
    let mut heard = 0;
    while slow.next().await.is_some() {
        heard += 1;
        tokio::task::yield_now().await;
    }
    assert_eq!((heard, said.load(Ordering::SeqCst)), (1000, 1000));
}

/// As a connection does that looked, found nothing yet, and is then full: it is woken, and does not look again.
#[tokio::test]
async fn a_reply_whose_reader_looked_too_early_and_never_again_ends_too() {
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

    // As long as there is nothing to read, it holds nothing up.
    tokio::time::sleep(Duration::from_millis(60)).await;
    come.send(()).expect("the turn goes on");

    assert!(timeout(10 * SECOND, ended).await.unwrap().is_err(), "the turn was dropped");
    assert!(matches!(run.next().await, Some(Step::Failed(Failure::Behind))), "it is told so");
}

/// Its client may read on later, or never: the slot is for somebody else.
#[tokio::test]
async fn a_reply_that_has_to_end_ends_although_nobody_reads_it() {
    struct PreemptedSteps {
        ends: CancellationToken,
        said: bool,
        _alive: oneshot::Sender<()>,
    }
    impl StepStream for PreemptedSteps {
        async fn next(&mut self) -> Option<Step> {
            if !self.ends.is_cancelled() {
                return Some(Step::Delta(Delta::text("so far")));
            }
            let last = Step::Delta(Delta::text("the end"));
            (!std::mem::replace(&mut self.said, true)).then_some(last)
        }

        fn preempted(&self) -> CancellationToken {
            self.ends.clone()
        }
    }
    let ends = CancellationToken::new();
    let (alive, ended) = oneshot::channel();
    let turn = PreemptedSteps { ends: ends.clone(), said: false, _alive: alive };
    let mut run = Run::begin(turn, HELD_UP_MAX);
    assert!(matches!(run.next().await, Some(Step::Delta(_))));

    ends.cancel();

    assert!(timeout(10 * SECOND, ended).await.unwrap().is_err(), "the turn was dropped");
    let heard = all(run).await;
    assert!(matches!(&heard[..], [Step::Delta(delta)] if delta.content == "the end"), "{heard:?}");
}
