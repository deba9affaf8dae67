//! What a machine that slept does before its first tick.
//!
//! The library asks for `CLOCK_BOOTTIME`, which goes on through a sleep; `now` is of `CLOCK_MONOTONIC`, which does not.

use std::cell::Cell;

use super::*;

/// Longer than any session lives.
const SLEEP: Duration = Duration::from_secs(200);

thread_local! {
    /// How far this thread's `CLOCK_BOOTTIME` is ahead.
    static AHEAD_S: Cell<i64> = const { Cell::new(0) };
}

/// The C library's function of this name, for the whole program. Of our code and Rust's own only boringtun asks for
/// `CLOCK_BOOTTIME`.
///
/// # Safety
///
/// As clock_gettime(2): `time` is valid for writes.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(
    clock: libc::clockid_t,
    time: *mut libc::timespec,
) -> libc::c_int {
    // SAFETY: as the caller promised.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    if result == 0 && clock == libc::CLOCK_BOOTTIME {
        // SAFETY: the kernel wrote it just now.
        unsafe { (*time).tv_sec += AHEAD_S.get() };
    }
    result as libc::c_int
}

fn sleep() {
    AHEAD_S.set(AHEAD_S.get() + SLEEP.as_secs() as i64);
}

/// Both have a session, the first began it, and both slept. In the second round they have none, since they slept before.
fn slept(rounds: u32, now: Instant) -> [WireGuard; 2] {
    let [mut a, mut b] = pair(now);
    connect(&mut a, &mut b, now);
    for _ in 0..rounds {
        sleep();
        assert!(!a.is_live() && !b.is_live());
        // The pause between two handshakes counts by the other clock.
        (a.initiated_at, a.responded_at, b.initiated_at, b.responded_at) = (None, None, None, None);
        if rounds > 1 {
            for side in [&mut a, &mut b] {
                side.tick(&mut wire_batch(), now);
            }
        }
    }
    [a, b]
}

#[test]
fn a_session_that_is_made_before_the_first_tick_stays_on_both_sides() {
    let now = Instant::now();
    for rounds in [1, 2] {
        for by_second in [false, true] {
            let [mut a, mut b] = slept(rounds, now);
            if by_second {
                std::mem::swap(&mut a, &mut b);
            }
            connect(&mut a, &mut b, now);
            for side in [&mut a, &mut b] {
                let mut out = wire_batch();
                assert_eq!(side.tick(&mut out, now), 0);
                assert_eq!(kinds(&out), [0; 0], "nothing is begun again");
                assert!(side.is_live(), "{rounds} {by_second}");
            }
            let sealed = seal(&mut b, &[packet(60, 2)], now);
            assert_eq!(contents(&open(&mut a, &sealed, now).0), [packet(60, 2)]);
        }
    }
}

#[test]
fn an_attempt_that_begins_before_the_first_tick_is_not_given_up_by_it() {
    let now = Instant::now();
    let [mut a, mut b] = slept(1, now);
    let init = seal(&mut a, &[packet(60, 1)], now);
    assert_eq!(kinds(&init), [1]);
    assert_eq!(a.tick(&mut wire_batch(), now), 0);
    let (_, response) = open(&mut b, &init, now);
    let (_, confirm) = open(&mut a, &response, now);
    assert_eq!(contents(&open(&mut b, &confirm, now).0), [packet(60, 1)]);
}
