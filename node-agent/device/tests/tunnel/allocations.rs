//! Once a session stands, packets cost no memory: 200,000 each way on a direct path, and not one allocation on the threads
//! that carry them.
//!
//! Fails if either thread allocates once, for whatever reason. It does not see the thread of the timers, nor the relay's.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    fs,
    sync::atomic::{AtomicI32, AtomicUsize, Ordering},
};

use crate::pair::{MTU, Pair, echo_stream, is_direct};

/// The threads that are watched, as the kernel numbers them; both devices have two.
static WATCHED: [AtomicI32; 4] = [const { AtomicI32::new(0) }; 4];
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

fn count() {
    if WATCHED[0].load(Ordering::Relaxed) != 0 {
        // SAFETY: takes no pointers.
        let own = unsafe { libc::gettid() };
        if WATCHED.iter().any(|thread| thread.load(Ordering::Relaxed) == own) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// SAFETY: the system's allocator does all the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(old, layout, new_size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The packet threads of this process.
fn packet_threads() -> Vec<i32> {
    let mut threads = Vec::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap();
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if matches!(name.trim(), "maru-tun-to-udp" | "maru-udp-to-tun") {
            threads.push(task.file_name().to_str().unwrap().parse().unwrap());
        }
    }
    threads
}

#[test]
#[ignore = "needs: root"]
fn packets_of_a_session_allocate_nothing() {
    const PACKETS: u64 = 200_000;
    let pair = Pair::new("memory");
    pair.connect(true, true);
    pair.b.serve_echo(7000);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(5, is_direct);
    let stream = pair.a.dial(pair.b.v4, 7000, 60).unwrap();
    echo_stream(&stream, 4 << 20);

    let threads = packet_threads();
    assert_eq!(threads.len(), WATCHED.len());
    for (slot, thread) in WATCHED.iter().zip(threads) {
        slot.store(thread, Ordering::Relaxed);
    }
    let carried = || {
        let stats = &pair.a.device.peer_stats()[0];
        [stats.tx_bytes, stats.rx_bytes].map(|bytes| bytes / u64::from(MTU))
    };
    let before = carried();
    while carried().iter().zip(before).any(|(now, before)| now - before < PACKETS) {
        echo_stream(&stream, 16 << 20);
    }
    WATCHED.iter().for_each(|slot| slot.store(0, Ordering::Relaxed));
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed), 0);
}
