//! The locked arena as the process's real allocator.
#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

use std::hint::black_box;

use ai_gateway::arena::{self, Allocator};
use proptest::prelude::*;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

const SIZE: usize = 1 << 20;

/// One arena per process, so one test.
#[test]
fn the_arena_keeps_what_is_made_in_it() {
    assert!(arena::has_room(usize::MAX), "without an arena nothing is refused");
    assert_eq!(arena::init(SIZE).unwrap(), SIZE);
    assert!(matches!(arena::init(SIZE), Err(arena::ArenaError::Twice)));

    it_is_locked_and_left_out_of_dumps();
    what_is_made_inside_stays_inside_when_it_grows();
    what_is_made_outside_lies_outside();
    freed_blocks_are_wiped();
    what_was_never_written_takes_no_memory_when_it_is_wiped();
    random_use_keeps_contents_and_leaks_nothing();
    a_full_arena_spills_and_says_so();
}

fn secret() -> Vec<u8> {
    arena::locked(|_| b"correct horse battery staple".to_vec())
}

/// Flags of the mapping that holds `address` (proc(5), `VmFlags`).
fn flags(address: usize) -> (bool, String) {
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut found = false;
    for line in maps.lines() {
        let range = line.split(' ').next().unwrap().split_once('-');
        let bounds = range.and_then(|(from, to)| {
            Some((usize::from_str_radix(from, 16).ok()?, usize::from_str_radix(to, 16).ok()?))
        });
        if let Some((from, to)) = bounds {
            found = (from..to).contains(&address);
        }
        if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| found) {
            return (true, flags.to_owned());
        }
    }
    (false, String::new())
}

fn is_locked(block: &[u8]) -> bool {
    let (found, flags) = flags(block.as_ptr() as usize);
    assert!(found);
    flags.split_whitespace().any(|flag| flag == "lo")
}

fn it_is_locked_and_left_out_of_dumps() {
    let secret = secret();
    let (_, flags) = flags(secret.as_ptr() as usize);
    for flag in ["lo", "dd", "dc"] {
        assert!(flags.split_whitespace().any(|it| it == flag), "{flag} in {flags}");
    }
}

fn what_is_made_inside_stays_inside_when_it_grows() {
    let mut secret = secret();
    for _ in 0..10 {
        secret.extend_from_within(..);
    }
    assert!(is_locked(&secret), "grown outside of the scope");
    secret.truncate(5);
    secret.shrink_to_fit();
    assert!(is_locked(&secret));
    assert_eq!(secret, b"corre");
}

fn what_is_made_outside_lies_outside() {
    let plain = vec![7_u8; 5000];
    assert!(!is_locked(&plain));
    let other = arena::locked(|_| std::thread::spawn(|| vec![7_u8; 5000]).join().unwrap());
    assert!(!is_locked(&other), "another thread is not in the scope");
    // Without the panic hook, whose backtraces would fill the arena.
    let panicking = || arena::locked(|_| std::panic::resume_unwind(Box::new("on purpose")));
    let after_panic = std::panic::catch_unwind(panicking);
    assert!(after_panic.is_err());
    assert!(!is_locked(&vec![7_u8; 5000]), "a panic leaves the scope");
}

fn freed_blocks_are_wiped() {
    is_wiped(secret());
    // Of pages that are zero but for one byte, the first and the last among them.
    let length = 5 * 4096 + 100;
    for at in (16..length).step_by(1021).chain([length - 1]) {
        is_wiped(arena::locked(|_| {
            let mut block = vec![0; length];
            block[at] = 1;
            block
        }));
    }
}

/// Frees a block, and requires that nothing is left where it lay.
fn is_wiped(block: Vec<u8>) {
    let (from, length) = (block.as_ptr() as usize, block.len());
    drop(block);
    // What the kernel shows of this process's own memory; the first words hold the free list.
    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    let mut bytes = vec![0; length];
    std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, from as u64).unwrap();
    assert!(bytes[16..].iter().all(|&byte| byte == 0), "{bytes:?}");
}

/// Most memory that this process ever had, in KiB (proc(5), `VmHWM`).
fn peak_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn what_was_never_written_takes_no_memory_when_it_is_wiped() {
    const KIB: usize = 64 << 10;
    let before = peak_kib();
    drop(black_box(Vec::<u8>::with_capacity(KIB << 10)));
    assert!(peak_kib() < before + KIB / 8, "{before}, then {} KiB", peak_kib());
    drop(black_box(vec![1_u8; KIB << 10]));
    assert!(peak_kib() > before + KIB / 2, "it is memory that is counted");
}

fn random_use_keeps_contents_and_leaks_nothing() {
    let before = arena::usage().used;
    let step = (any::<u8>(), 0..2000_usize, any::<bool>(), 0..20_usize);
    proptest!(|(steps in prop::collection::vec(step, 0..100))| {
        let mut held: Vec<(u8, Vec<u8>)> = Vec::new();
        for (byte, length, grow, index) in steps {
            if grow && index < held.len() {
                let (byte, block) = &mut held[index];
                block.resize(block.len() + length, *byte);
            } else if index < held.len() {
                held.swap_remove(index);
            } else {
                held.push((byte, arena::locked(|_| vec![byte; length])));
            }
            for (byte, block) in &held {
                prop_assert!(block.iter().all(|it| it == byte));
            }
        }
    });
    assert_eq!(arena::usage().used, before);
}

fn a_full_arena_spills_and_says_so() {
    assert!(arena::has_room(SIZE / 2));
    let spilled = arena::usage().spilled;
    let most = arena::locked(|_| vec![1_u8; SIZE / 8 * 7]);
    assert!(!arena::has_room(SIZE / 2));
    assert!(is_locked(&most));
    let more = arena::locked(|_| vec![2_u8; SIZE / 2]);
    assert!(!is_locked(&more), "there is no room for it");
    assert!(more.iter().all(|&byte| byte == 2));
    assert_eq!(arena::usage().spilled, spilled + 1);
    drop((most, more));
    assert!(arena::has_room(SIZE / 2));
}
