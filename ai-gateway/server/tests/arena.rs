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

    it_takes_memory_for_what_was_used_and_all_of_that_is_locked();
    it_is_locked_and_left_out_of_dumps();
    what_is_made_inside_stays_inside_when_it_grows();
    what_is_made_outside_lies_outside();
    freed_blocks_are_wiped();
    what_was_never_written_takes_no_memory_when_it_is_wiped();
    random_use_keeps_contents_and_leaks_nothing();
    a_text_grows_where_there_is_room_for_old_and_new();
    a_text_that_grows_leaves_room_for_what_is_under_way();
    a_full_arena_spills_and_says_so();
}

fn secret() -> Vec<u8> {
    arena::locked(|_| b"correct horse battery staple".to_vec())
}

/// What the kernel tells of the mapping that holds `address` (proc(5), `smaps`).
fn mapping(address: usize, what: &str) -> Option<String> {
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
        if let Some(value) = line.strip_prefix(what).filter(|_| found) {
            return Some(value.trim().to_owned());
        }
    }
    None
}

fn kib(address: usize, what: &str) -> usize {
    mapping(address, what).unwrap().trim_end_matches(" kB").parse().unwrap()
}

fn is_locked(block: &[u8]) -> bool {
    let flags = mapping(block.as_ptr() as usize, "VmFlags:").unwrap();
    flags.split_whitespace().any(|flag| flag == "lo")
}

fn it_takes_memory_for_what_was_used_and_all_of_that_is_locked() {
    const USED: usize = SIZE / 4;
    let secret = secret();
    let address = secret.as_ptr() as usize;
    assert!(kib(address, "Rss:") < USED >> 10, "pages that nobody used");
    let used = arena::locked(|_| vec![1_u8; USED]);
    assert!(used.as_ptr() as usize > address && is_locked(&used));
    let resident = kib(address, "Rss:");
    assert!((USED >> 10..SIZE >> 11).contains(&resident), "{resident} KiB");
    assert_eq!(kib(address, "Locked:"), resident);
}

fn it_is_locked_and_left_out_of_dumps() {
    let secret = secret();
    let flags = mapping(secret.as_ptr() as usize, "VmFlags:").unwrap();
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
    nothing_is_left(from, length);
}

/// Requires that a freed block holds nothing.
fn nothing_is_left(from: usize, length: usize) {
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

fn a_text_grows_where_there_is_room_for_old_and_new() {
    let of_others = arena::locked(|_| vec![1_u8; SIZE / 4]);
    let (mut text, piece, mut copied) = (String::new(), "x".repeat(1000), 0);
    loop {
        let (from, length, before) = (text.as_ptr() as usize, text.len(), arena::usage().used);
        let capacity = text.capacity();
        if arena::append(&mut text, &piece) == Err(arena::ArenaFull) {
            assert_eq!((text.len(), text.capacity()), (length, capacity), "it is as it was");
            break;
        }
        if text.capacity() == capacity {
            continue;
        }
        // What was there, the old text among it, and the new text: at the moment of growth all of it is held.
        assert!(before + text.capacity() <= SIZE / 8 * 7, "{before} and {}", text.capacity());
        assert!(is_locked(text.as_bytes()));
        if capacity > 0 {
            nothing_is_left(from, length);
            copied += 1;
        }
    }
    assert!(text.bytes().all(|byte| byte == b'x') && text.len() > SIZE / 8);
    assert!(copied > 5, "copied {copied} times");
    assert!(is_locked(text.as_bytes()));
    drop(of_others);
    assert_eq!(arena::append(&mut text, &piece), Ok(()), "what others have given back is there");
}

/// Where old and new would fit one beside the other, but leave nothing for what else is under way.
fn a_text_that_grows_leaves_room_for_what_is_under_way() {
    let of_others = arena::locked(|_| vec![1_u8; SIZE / 2]);
    let (mut text, piece) = (String::new(), "x".repeat(SIZE / 8));
    arena::append(&mut text, &piece).unwrap();
    let old = text.capacity();
    let most = SIZE / 8 * 7 - arena::usage().used;
    let more = "y".repeat(most + 1 - text.len());
    assert!(text.len() + more.len() > old && most + 1 < SIZE - arena::usage().used);

    assert_eq!(arena::append(&mut text, &more), Err(arena::ArenaFull));
    assert_eq!(text, piece);
    arena::append(&mut text, &more[1..]).unwrap();

    assert_eq!(text.capacity(), most, "there was room for no more than that");
    assert!(is_locked(text.as_bytes()) && text.ends_with('y'));
    drop(of_others);
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
