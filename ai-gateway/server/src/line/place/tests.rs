use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use tokio::{task::JoinSet, time::timeout};

use super::*;

const SOON: Duration = Duration::from_secs(10);

fn line(slots: usize) -> Line<u8> {
    Line::new(Bounds::of(slots, 100, 100), SOON)
}

#[tokio::test]
async fn a_dropped_wait_keeps_the_place_and_a_dropped_place_leaves() {
    let line = line(1);
    let mut first = line.enter(&1, 1).unwrap();
    first.turn().await.unwrap();
    let mut second = line.enter(&2, 1).unwrap();
    let third = line.enter(&3, 1).unwrap();
    let mut fourth = line.enter(&4, 1).unwrap();
    assert!(timeout(Duration::ZERO, second.turn()).await.is_err(), "it waits");
    drop(third);
    assert_eq!((line.held(), line.waiting()), (1, 2));

    drop(first);
    second.turn().await.unwrap();
    second.turn().await.unwrap();
    assert!(timeout(Duration::ZERO, fourth.turn()).await.is_err(), "one slot");
    drop(second);
    fourth.turn().await.unwrap();
    drop(fourth);
    assert_eq!((line.held(), line.waiting()), (0, 0));
}

/// Called, but gone before it could notice: the slot goes on to the next.
#[tokio::test]
async fn a_call_that_nobody_hears_is_passed_on() {
    let line = line(1);
    let first = line.enter(&1, 1).unwrap();
    let second = line.enter(&2, 1).unwrap();
    let mut third = line.enter(&3, 1).unwrap();
    drop(first);
    assert_eq!((line.held(), line.waiting()), (1, 1), "the second was called");
    drop(second);
    third.turn().await.unwrap();
}

#[tokio::test]
async fn whoever_waits_too_long_is_told() {
    let line = Line::new(Bounds::of(1, 9, 9), Duration::ZERO);
    let mut first = line.enter(&1, 1).unwrap();
    first.turn().await.expect("a free slot needs no time");
    let mut second = line.enter(&2, 1).unwrap();
    assert_eq!(second.turn().await, Err(Late));
    drop(second);
    assert_eq!(line.waiting(), 0);
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
        tokio::select! { biased; () = waits => return, turn = place.turn() => turn.unwrap() }
    } else {
        place.turn().await.unwrap();
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
        prop_assert_eq!((line.held(), line.waiting()), (0, 0));
        prop_assert!(lock(&line.shared).calls.is_empty());
    }
}
