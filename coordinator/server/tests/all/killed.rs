//! A coordinator that is killed (SIGKILL) at random moments, amid registrations and the admin's changes.
//!
//! Fails if, once it runs again, anything is gone that it had acknowledged, a node has another's address or name, a one-time
//! key has made two nodes, one that has none is used up, or the network's revision went back. In every round some twenty
//! devices register at a time, two with each one-time key, while the policy, users, names and devices change. Blind to a
//! loss of power: what the kernel took, a killed process has written.
//!
//! `MARU_KILL_ROUNDS` sets how many rounds there are, and `MARU_KILL_SEED` draws the same moments again:
//! `MARU_KILL_ROUNDS=200 cargo xtask test killed_at_random`.

mod ledger;
mod work;

use std::{net::SocketAddr, time::Duration};

use ledger::Observed;
use tokio::task::JoinSet;
use work::Workers;

use crate::{
    postgres::Postgres,
    process::{Process, Root},
};

/// How often it is killed, unless the environment says otherwise.
const ROUNDS: u64 = 10;
/// Pairs of devices that register at a time.
const PAIRS: usize = 10;
/// The coordinator is killed once so many changes at most were acknowledged…
const CHANGES: u64 = 50;
/// …and so many microseconds at most have passed.
const THEN_US: u64 = 20_000;
/// How long a start that is cut off may have had, in microseconds.
const START_US: u64 = 100_000;

/// Numbers that look random, the same ones for a seed: splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    async fn pause(&mut self, end_us: u64) {
        tokio::time::sleep(Duration::from_micros(self.below(end_us))).await;
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: root"]
async fn killed_at_random_moments_it_keeps_what_it_acknowledged() {
    survives(None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: root, postgres"]
async fn killed_at_random_moments_it_keeps_what_it_acknowledged_on_postgres() {
    survives(Some(Postgres::start())).await;
}

#[allow(clippy::print_stdout, reason = "who sees it fail can draw the same moments again")]
async fn survives(database: Option<Postgres>) {
    let seed = number("MARU_KILL_SEED").unwrap_or_else(|| {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    });
    println!("the moments are drawn by MARU_KILL_SEED={seed}");
    let mut random = Random(seed);
    let root = Root::new("server_url = \"http://coordinator.test:8443\"\n", database).await;
    let work = Workers::new(root.path());
    let mut process = Process::start(&root);
    let mut address = process.serves().await;
    for _ in 0..number("MARU_KILL_ROUNDS").unwrap_or(ROUNDS) {
        let mut running = begin(&work, address).await;
        work.acknowledged(1 + random.below(CHANGES)).await;
        random.pause(THEN_US).await;
        process.kill().await;
        // Whoever asks now is refused or cut, and ends.
        while let Some(ended) = running.join_next().await {
            ended.unwrap();
        }

        if random.below(2) == 0 {
            let start = Process::start(&root);
            random.pause(START_US).await;
            start.kill().await;
        }
        process = Process::start(&root);
        address = process.serves().await;
        work.looks(&Observed::read(&root, &work).await);
        work.tries_again(address).await;
        work.leaves_few(address).await;
        work.looks(&Observed::read(&root, &work).await);
    }
    process.kill().await;
}

/// Everyone starts to ask, and goes on until no whole answer comes.
async fn begin(work: &Workers, address: SocketAddr) -> JoinSet<()> {
    let to = work.at(address).await;
    let mut running = JoinSet::new();
    for _ in 0..PAIRS {
        let to = to.clone();
        running.spawn(async move { while to.a_pair_registers().await.is_some() {} });
    }
    let policies = to.clone();
    running.spawn(async move { while policies.the_policy_is_replaced().await.is_some() {} });
    let people = to.clone();
    running.spawn(async move { while people.a_user_is_made().await.is_some() {} });
    let names = to.clone();
    running.spawn(async move { while names.two_devices_want_one_name().await.is_some() {} });
    running.spawn(async move { while to.a_device_is_removed().await.is_some() {} });
    running
}
