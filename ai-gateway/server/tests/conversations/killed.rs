//! The gateway is killed (SIGKILL) at random moments, while people chat.
//!
//! Fails if, once it runs again, a turn is gone whose reply a person got whole and without a notice, one is there twice, in
//! another order or by half. Blind to a loss of power: what the kernel took, a killed process has written.
//!
//! [`testkit::kill`] says how to kill it more often, or at the same moments again.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use testkit::{
    blocking::eventually,
    kill::{self, Moments},
};

use crate::process::{Person, Process, Root};

/// How often it is killed, unless the environment says otherwise.
const ROUNDS: u64 = 20;
/// People who chat.
const PEOPLE: u8 = 6;
/// It is killed after so many acknowledged turns at most.
const TURNS: u64 = 12;
/// How long a person waits after a cut reply.
const PAUSE: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Progress {
    acknowledged: AtomicU64,
    is_over: AtomicBool,
}

/// Says one number after the other; a number whose reply is cut is not said again. Returns those that were acknowledged.
fn chat(person: &Person, progress: &Progress) -> Vec<u64> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if progress.is_over.load(Ordering::Relaxed) {
            break;
        }
        match person.say(&number.to_string()) {
            Ok(None) => {
                acknowledged.push(number);
                progress.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Some(_)) => {}
            Err(_) => thread::sleep(PAUSE),
        }
    }
    acknowledged
}

/// Kills the gateway at a moment that is drawn, sometimes again while it starts, and starts it.
fn kill(root: &Root, gateway: &mut Process, moments: &mut Moments, progress: &Progress) {
    let acknowledged = || progress.acknowledged.load(Ordering::Relaxed);
    let until = acknowledged() + moments.changes(TURNS);
    eventually("turns are acknowledged", || acknowledged() >= until);
    thread::sleep(moments.then());
    gateway.kill();
    if let Some(time) = moments.cut_off() {
        let mut start = root.start();
        thread::sleep(time);
        start.kill();
    }
    *gateway = root.start();
}

#[test]
fn killed_at_random_moments_it_loses_and_doubles_no_turn() {
    let mut moments = Moments::draw();
    let root = Root::new();
    let mut gateway = root.start();
    let people: Vec<_> = (1..=PEOPLE).map(|number| Person::new(&root, number)).collect();

    let progress = Progress::default();
    let acknowledged: Vec<_> = thread::scope(|scope| {
        let progress = &progress;
        let chat = |person| scope.spawn(move || chat(person, progress));
        let chats: Vec<_> = people.iter().map(chat).collect();
        for _ in 0..kill::rounds(ROUNDS) {
            kill(&root, &mut gateway, &mut moments, progress);
        }
        progress.is_over.store(true, Ordering::Relaxed);
        chats.into_iter().map(|chat| chat.join().unwrap()).collect()
    });

    for (person, acknowledged) in people.iter().zip(acknowledged) {
        let history = person.history();
        assert!(history.iter().skip(1).step_by(2).all(|answer| answer == "yes"), "{history:?}");
        assert_eq!(history.len() % 2, 0, "a question has its answer");
        let kept: Vec<u64> = history.iter().step_by(2).map(|it| it.parse().unwrap()).collect();
        assert!(kept.is_sorted_by(|one, next| one < next), "{kept:?}");
        let lost: Vec<_> = acknowledged.iter().filter(|number| !kept.contains(number)).collect();
        assert!(!acknowledged.is_empty() && lost.is_empty(), "{lost:?} of {acknowledged:?}");
    }
}
