use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tokio::{task::JoinSet, time::timeout};

use super::*;

const SOON: Duration = Duration::from_secs(10);

fn queue(slots: usize) -> Queue<u8> {
    Queue::new(QueueLimits::of(slots, 100, 100))
}

/// Nothing is there instead of a slot.
fn nothing() -> Option<()> {
    None
}

/// Takes a slot that is free now.
fn take_free(queue: &Queue<u8>, person: u8) -> Option<QueueEntry<u8>> {
    queue.take_free(&person, 1, CancellationToken::new())
}

#[tokio::test]
async fn a_dropped_wait_keeps_the_place_and_a_dropped_place_leaves() {
    let queue = queue(1);
    let mut first = queue.enter(&1, 1).unwrap();
    first.acquire(nothing).await.unwrap();
    let mut second = queue.enter(&2, 1).unwrap();
    let third = queue.enter(&3, 1).unwrap();
    let mut fourth = queue.enter(&4, 1).unwrap();
    assert!(timeout(Duration::ZERO, second.acquire(nothing)).await.is_err(), "it waits");
    drop(third);
    assert_eq!((queue.state().running, queue.state().waiting), (1, 2));

    drop(first);
    second.acquire(nothing).await.unwrap();
    second.acquire(nothing).await.unwrap();
    assert!(timeout(Duration::ZERO, fourth.acquire(nothing)).await.is_err(), "one slot");
    drop(second);
    fourth.acquire(nothing).await.unwrap();
    drop(fourth);
    assert_eq!((queue.state().running, queue.state().waiting), (0, 0));
}

/// Called, but gone before it could notice: the slot goes on to the next.
#[tokio::test]
async fn a_slot_whose_receiver_is_gone_goes_to_the_next() {
    let queue = queue(1);
    let first = queue.enter(&1, 1).unwrap();
    let second = queue.enter(&2, 1).unwrap();
    let mut third = queue.enter(&3, 1).unwrap();
    drop(first);
    assert_eq!((queue.state().running, queue.state().waiting), (1, 1), "the second was called");
    drop(second);
    third.acquire(nothing).await.unwrap();
}

#[tokio::test]
async fn waiting_too_long_is_an_error_unless_there_is_an_alternative() {
    let queue = Queue::new(QueueLimits { patience: Duration::ZERO, ..QueueLimits::of(1, 9, 9) });
    let mut first = queue.enter(&1, 1).unwrap();
    first.acquire(nothing).await.expect("a free slot needs no time");
    let mut second = queue.enter(&1, 1).unwrap();
    assert_eq!(second.acquire(nothing).await, Err(WaitTimeout));
    assert_eq!(second.acquire(|| Some("a fallback")).await, Ok(Some("a fallback")));
    drop(second);
    assert_eq!(queue.state().waiting, 0);
}

#[tokio::test]
async fn waiting_without_a_slot_preempts_a_reply_and_gets_its_slot() {
    let queue = Queue::new(QueueLimits {
        yield_after: Duration::from_millis(1),
        ..QueueLimits::of(1, 9, 9)
    });
    let mut first = queue.enter(&1, 1).unwrap();
    first.acquire(nothing).await.unwrap();
    assert!(!first.preempted().is_cancelled());
    let mut second = queue.enter(&2, 1).unwrap();
    assert_eq!(second.acquire(|| Some(())).await, Ok(Some(())), "a fallback comes before that");
    assert!(!first.preempted().is_cancelled());

    let waiting = tokio::spawn(async move { second.acquire(nothing).await.map(|_| second) });
    timeout(SOON, first.preempted().cancelled()).await.expect("it is told");
    drop(first);
    let second = timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(queue.state(), QueueState { waiting: 0, running: 1, slots: 1 });
    assert!(!second.preempted().is_cancelled());
    drop(second);
    assert!(lock(&queue.shared).preempted.is_empty(), "nobody is remembered");
}

#[tokio::test]
async fn slots_that_are_added_are_given_at_once_and_those_taken_away_once_they_are_free() {
    let queue = queue(1);
    let mut places: Vec<_> = (0..3).map(|person| queue.enter(&person, 1).unwrap()).collect();
    queue.set_slots(2);
    assert_eq!(queue.state(), QueueState { waiting: 1, running: 2, slots: 2 });
    places[1].acquire(nothing).await.unwrap();
    queue.set_slots(1);
    assert_eq!(
        queue.state(),
        QueueState { waiting: 1, running: 2, slots: 1 },
        "nobody loses a slot"
    );
    drop(places.remove(0));
    assert_eq!(queue.state(), QueueState { waiting: 1, running: 1, slots: 1 });
    drop(places.remove(0));
    places[0].acquire(nothing).await.unwrap();
}

#[tokio::test]
async fn a_free_slot_may_be_taken_without_waiting_for_it() {
    let queue = queue(1);
    let taken = take_free(&queue, 1).expect("it is free");
    assert!(take_free(&queue, 2).is_none());
    assert_eq!(queue.state(), QueueState { waiting: 0, running: 1, slots: 1 });
    drop(taken);
    let mut taken = take_free(&queue, 2).expect("it is free again");
    taken.acquire(nothing).await.unwrap();
}

#[test]
fn a_free_slot_is_one_persons_whoever_reaches_for_it() {
    let queue = queue(1);
    let taken = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for person in 0..4 {
            let (queue, taken) = (queue.clone(), &taken);
            threads.spawn(move || {
                for _ in 0..2000 {
                    let Some(entry) = take_free(&queue, person) else { continue };
                    assert_eq!(taken.fetch_add(1, Ordering::SeqCst), 0, "it is somebody's");
                    taken.fetch_sub(1, Ordering::SeqCst);
                    drop(entry);
                }
            });
        }
    });
    assert_eq!(queue.state(), QueueState { waiting: 0, running: 0, slots: 1 });
}

#[tokio::test]
async fn how_long_it_takes_follows_from_how_long_it_took() {
    let queue = queue(2);
    let estimated_wait = |queue: &Queue<u8>, replies| queue.estimated_wait(|_| replies);
    assert_eq!(estimated_wait(&queue, 1), None, "nobody knows yet");
    let mut first = queue.enter(&1, 1).unwrap();
    first.acquire(nothing).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    drop(first);
    let one = estimated_wait(&queue, 2).unwrap();
    assert!(one >= Duration::from_millis(2), "{one:?}");

    let places: Vec<_> = (0..5).map(|person| queue.enter(&(person % 2), 1).unwrap()).collect();
    assert_eq!(
        queue.estimated_wait(|waiting| waiting.people),
        Some(one),
        "two turns, for two slots"
    );
    assert_eq!(queue.estimated_wait(|waiting| waiting.all + 1), Some(one * 2), "three wait");
    drop(places);
    assert_eq!(estimated_wait(&queue, 2), Some(one), "whoever had no turn counts for nothing");
}

/// Takes a place for a while, or leaves before its turn.
async fn visit(queue: Queue<u8>, person: u8, yields: u8, leaves: bool, under_way: &AtomicUsize) {
    let mut entry = queue.enter(&person, 1).unwrap();
    let waits = async {
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
    };
    if leaves {
        tokio::select! { biased; () = waits => return, acquire = entry.acquire(nothing) => { acquire.unwrap(); } }
    } else {
        entry.acquire(nothing).await.unwrap();
    }
    assert!(under_way.fetch_add(1, Ordering::SeqCst) < line_slots(&queue), "more than may");
    tokio::task::yield_now().await;
    under_way.fetch_sub(1, Ordering::SeqCst);
}

fn line_slots(queue: &Queue<u8>) -> usize {
    lock(&queue.shared).scheduler.slots()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// On several threads, some leaving while they are called: all who stay get their turn, and nothing is left over.
    #[test]
    fn no_waiting_person_is_forgotten(
        slots in 1..4_usize,
        visits in prop::collection::vec((0..4_u8, 0..20_u8, any::<bool>()), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        let queue = queue(slots);
        runtime.block_on(async {
            let under_way = Arc::<AtomicUsize>::default();
            let mut tasks = JoinSet::new();
            for (person, yields, leaves) in visits {
                let (queue, under_way) = (queue.clone(), Arc::clone(&under_way));
                tasks.spawn(async move { visit(queue, person, yields, leaves, &under_way).await });
            }
            timeout(SOON, tasks.join_all()).await.expect("all have had their turn");
        });
        prop_assert_eq!((queue.state().running, queue.state().waiting), (0, 0));
        prop_assert!(lock(&queue.shared).calls.is_empty());
    }
}
