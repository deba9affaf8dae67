use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tokio::{task::JoinSet, time::timeout};

use super::*;

const SOON: Duration = Duration::from_secs(10);

fn line(slots: usize) -> Line<u8> {
    Line::new(Bounds::of(slots, 100, 100))
}

/// Nothing is there instead of a slot.
fn nothing() -> Option<()> {
    None
}

/// Takes a slot that is free now.
fn take_free(line: &Line<u8>, person: u8) -> Option<Place<u8>> {
    line.take_free(&person, 1, CancellationToken::new())
}

#[tokio::test]
async fn a_dropped_wait_keeps_the_place_and_a_dropped_place_leaves() {
    let line = line(1);
    let mut first = line.enter(&1, 1).unwrap();
    first.turn(nothing).await.unwrap();
    let mut second = line.enter(&2, 1).unwrap();
    let third = line.enter(&3, 1).unwrap();
    let mut fourth = line.enter(&4, 1).unwrap();
    assert!(timeout(Duration::ZERO, second.turn(nothing)).await.is_err(), "it waits");
    drop(third);
    assert_eq!((line.state().running, line.state().waiting), (1, 2));

    drop(first);
    second.turn(nothing).await.unwrap();
    second.turn(nothing).await.unwrap();
    assert!(timeout(Duration::ZERO, fourth.turn(nothing)).await.is_err(), "one slot");
    drop(second);
    fourth.turn(nothing).await.unwrap();
    drop(fourth);
    assert_eq!((line.state().running, line.state().waiting), (0, 0));
}

/// Called, but gone before it could notice: the slot goes on to the next.
#[tokio::test]
async fn a_call_that_nobody_hears_is_passed_on() {
    let line = line(1);
    let first = line.enter(&1, 1).unwrap();
    let second = line.enter(&2, 1).unwrap();
    let mut third = line.enter(&3, 1).unwrap();
    drop(first);
    assert_eq!((line.state().running, line.state().waiting), (1, 1), "the second was called");
    drop(second);
    third.turn(nothing).await.unwrap();
}

#[tokio::test]
async fn whoever_waits_too_long_is_told_unless_there_is_something_instead() {
    let line = Line::new(Bounds { patience: Duration::ZERO, ..Bounds::of(1, 9, 9) });
    let mut first = line.enter(&1, 1).unwrap();
    first.turn(nothing).await.expect("a free slot needs no time");
    let mut second = line.enter(&1, 1).unwrap();
    assert_eq!(second.turn(nothing).await, Err(Late));
    assert_eq!(second.turn(|| Some("a fallback")).await, Ok(Some("a fallback")));
    drop(second);
    assert_eq!(line.state().waiting, 0);
}

#[tokio::test]
async fn whoever_waits_without_a_slot_lets_a_reply_end_and_has_its_slot() {
    let line = Line::new(Bounds { yield_after: Duration::from_millis(1), ..Bounds::of(1, 9, 9) });
    let mut first = line.enter(&1, 1).unwrap();
    first.turn(nothing).await.unwrap();
    assert!(!first.ends().is_cancelled());
    let mut second = line.enter(&2, 1).unwrap();
    assert_eq!(second.turn(|| Some(())).await, Ok(Some(())), "a fallback comes before that");
    assert!(!first.ends().is_cancelled());

    let waiting = tokio::spawn(async move { second.turn(nothing).await.map(|_| second) });
    timeout(SOON, first.ends().cancelled()).await.expect("it is told");
    drop(first);
    let second = timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
    assert_eq!(line.state(), InLine { waiting: 0, running: 1, slots: 1 });
    assert!(!second.ends().is_cancelled());
    drop(second);
    assert!(lock(&line.shared).ends.is_empty(), "nobody is remembered");
}

#[tokio::test]
async fn slots_that_are_added_are_given_at_once_and_those_taken_away_once_they_are_free() {
    let line = line(1);
    let mut places: Vec<_> = (0..3).map(|person| line.enter(&person, 1).unwrap()).collect();
    line.set_slots(2);
    assert_eq!(line.state(), InLine { waiting: 1, running: 2, slots: 2 });
    places[1].turn(nothing).await.unwrap();
    line.set_slots(1);
    assert_eq!(line.state(), InLine { waiting: 1, running: 2, slots: 1 }, "nobody loses a slot");
    drop(places.remove(0));
    assert_eq!(line.state(), InLine { waiting: 1, running: 1, slots: 1 });
    drop(places.remove(0));
    places[0].turn(nothing).await.unwrap();
}

#[tokio::test]
async fn a_free_slot_may_be_taken_without_waiting_for_it() {
    let line = line(1);
    let taken = take_free(&line, 1).expect("it is free");
    assert!(take_free(&line, 2).is_none());
    assert_eq!(line.state(), InLine { waiting: 0, running: 1, slots: 1 });
    drop(taken);
    let mut taken = take_free(&line, 2).expect("it is free again");
    taken.turn(nothing).await.unwrap();
}

#[test]
fn a_free_slot_is_one_persons_whoever_reaches_for_it() {
    let line = line(1);
    let taken = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for person in 0..4 {
            let (line, taken) = (line.clone(), &taken);
            threads.spawn(move || {
                for _ in 0..2000 {
                    let Some(place) = take_free(&line, person) else { continue };
                    assert_eq!(taken.fetch_add(1, Ordering::SeqCst), 0, "it is somebody's");
                    taken.fetch_sub(1, Ordering::SeqCst);
                    drop(place);
                }
            });
        }
    });
    assert_eq!(line.state(), InLine { waiting: 0, running: 0, slots: 1 });
}

#[tokio::test]
async fn how_long_it_takes_follows_from_how_long_it_took() {
    let line = line(2);
    let takes = |line: &Line<u8>, turns| line.takes(|_| turns);
    assert_eq!(takes(&line, 1), None, "nobody knows yet");
    let mut first = line.enter(&1, 1).unwrap();
    first.turn(nothing).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    drop(first);
    let one = takes(&line, 2).unwrap();
    assert!(one >= Duration::from_millis(2), "{one:?}");

    let places: Vec<_> = (0..5).map(|person| line.enter(&(person % 2), 1).unwrap()).collect();
    assert_eq!(line.takes(|waiting| waiting.people), Some(one), "two turns, for two slots");
    assert_eq!(line.takes(|waiting| waiting.all + 1), Some(one * 2), "three wait");
    drop(places);
    assert_eq!(takes(&line, 2), Some(one), "whoever had no turn counts for nothing");
}

/// Takes a place for a while, or leaves before its turn.
async fn visit(line: Line<u8>, person: u8, yields: u8, leaves: bool, under_way: &AtomicUsize) {
    let mut place = line.enter(&person, 1).unwrap();
    let waits = async {
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
    };
    if leaves {
        tokio::select! { biased; () = waits => return, turn = place.turn(nothing) => { turn.unwrap(); } }
    } else {
        place.turn(nothing).await.unwrap();
    }
    assert!(under_way.fetch_add(1, Ordering::SeqCst) < line_slots(&line), "more than may");
    tokio::task::yield_now().await;
    under_way.fetch_sub(1, Ordering::SeqCst);
}

fn line_slots(line: &Line<u8>) -> usize {
    lock(&line.shared).turns.slots()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// On several threads, some leaving while they are called: all who stay get their turn, and nothing is left over.
    #[test]
    fn nobody_who_stays_is_forgotten(
        slots in 1..4_usize,
        visits in prop::collection::vec((0..4_u8, 0..20_u8, any::<bool>()), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        let line = line(slots);
        runtime.block_on(async {
            let under_way = Arc::<AtomicUsize>::default();
            let mut tasks = JoinSet::new();
            for (person, yields, leaves) in visits {
                let (line, under_way) = (line.clone(), Arc::clone(&under_way));
                tasks.spawn(async move { visit(line, person, yields, leaves, &under_way).await });
            }
            timeout(SOON, tasks.join_all()).await.expect("all have had their turn");
        });
        prop_assert_eq!((line.state().running, line.state().waiting), (0, 0));
        prop_assert!(lock(&line.shared).calls.is_empty());
    }
}
