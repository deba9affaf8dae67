//! A stream goes on, and arrives whole, while its session keys are renewed.
//!
//! They are renewed when they are two minutes old, by the clock of boringtun. In this program that clock can be put forward,
//! so that a key grows old while a stream runs at full speed. Fails if no new session comes about, also where much is lost, if
//! the stream does not go on with it, or if what arrives is not what was sent.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use crate::{
    loss::disturb,
    pair::{PORT, Pair, Side, close_relay, is_direct},
};
use lab::transfer::Transfer;
use testkit::blocking::eventually;

/// Bytes of the stream, and how many go between two renewals.
const MANY: u64 = 300_000_000;
const SOME: u64 = 75_000_000;
/// A key is not renewed yet after this time, and is so much later (WireGuard, section 6.1: after 120 s).
const NOT_OLD: Duration = Duration::from_secs(90);
const THE_REST: Duration = Duration::from_secs(31);
/// Within which time devices have looked at their clock, which they do four times a second.
const A_LOOK: Duration = Duration::from_secs(1);

/// The same where much is lost.
const FEW: u64 = 1_000_000;

/// How far boringtun's clock is ahead.
static AHEAD_S: AtomicI64 = AtomicI64::new(0);
/// Whoever puts it forward holds this.
static CLOCK: Mutex<()> = Mutex::new(());

/// The C library's function of this name, for the whole program. Of our code and Rust's own only boringtun asks for
/// `CLOCK_BOOTTIME`.
///
/// # Safety
///
/// As clock_gettime(2): `time` is valid for writes.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn clock_gettime(
    clock: libc::clockid_t,
    time: *mut libc::timespec,
) -> libc::c_int {
    // SAFETY: as the caller promised.
    let result = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    if result == 0 && clock == libc::CLOCK_BOOTTIME {
        // SAFETY: the kernel wrote it just now.
        unsafe { (*time).tv_sec += AHEAD_S.load(Ordering::Relaxed) };
    }
    result as libc::c_int
}

fn put_forward(by: Duration) {
    AHEAD_S.fetch_add(by.as_secs() as i64, Ordering::Relaxed);
}

/// Whether a session is younger than half of what makes it old.
fn is_young(side: &Side) -> bool {
    let since = side.device.peer_stats()[0].last_handshake.unwrap();
    SystemTime::now().duration_since(since).unwrap_or_default() < NOT_OLD / 2
}

/// Counts on A's machine the initiations of handshakes that cross the cable, which are of a length that data never has.
fn count_initiations(pair: &Pair) {
    let rule = |chain| {
        format!(
            "nft 'add chain inet watch {chain} {{ type filter hook {chain} priority 0; }}'
             nft add rule inet watch {chain} udp dport {PORT} udp length 156 counter name initiations"
        )
    };
    let script = format!(
        "nft add table inet watch; nft add counter inet watch initiations; {}; {}",
        rule("input"),
        rule("output")
    );
    pair.a.machine.sh(&script).unwrap();
}

fn initiations(pair: &Pair) -> u64 {
    let text = pair.a.machine.sh("nft list counter inet watch initiations").unwrap();
    text.split_once("packets ").unwrap().1.split(' ').next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs: root"]
fn a_stream_is_whole_while_its_keys_are_renewed() {
    let _clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let pair = Pair::new("rekey");
    pair.connect(true, true);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(5, is_direct);
    let sides = [&pair.a, &pair.b];
    let stream = Transfer::start(&pair.a.machine, &pair.b.machine, (pair.b.v4, 0).into()).unwrap();
    let goes_on = || {
        let before = stream.carried();
        eventually("the stream goes on", || stream.carried() > before + SOME);
    };
    count_initiations(&pair);
    for renewed in 0..3 {
        goes_on();
        // A new session is as old as the last look at the clock.
        put_forward(NOT_OLD);
        thread::sleep(A_LOOK);
        assert_eq!(initiations(&pair), renewed, "too early");
        put_forward(THE_REST);
        eventually("a handshake", || initiations(&pair) > renewed);
        eventually("both have new keys", || sides.into_iter().all(is_young));
    }
    goes_on();
    stream.finish(MANY).unwrap();
}

/// The relay is closed: each message of the handshakes goes where one datagram in ten is lost, and one comes twice.
#[test]
#[ignore = "needs: root"]
fn keys_are_renewed_where_much_is_lost_and_much_comes_twice() {
    let _clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let pair = Pair::new("rekey-loss");
    pair.connect(true, true);
    assert_eq!(pair.a.ping(pair.b.v4, 3), 3);
    pair.wait_for(5, is_direct);
    close_relay(&pair);
    let sides = [&pair.a, &pair.b];
    for side in sides {
        disturb(&side.machine);
    }
    let stream = Transfer::start(&pair.a.machine, &pair.b.machine, (pair.b.v4, 0).into()).unwrap();
    for _ in 0..5 {
        let before = stream.carried();
        eventually("the stream goes on", || stream.carried() > before + FEW);
        put_forward(NOT_OLD + THE_REST);
        eventually("both have new keys", || sides.into_iter().all(is_young));
    }
    stream.finish(5 * FEW).unwrap();
}
