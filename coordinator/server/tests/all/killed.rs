//! A coordinator that is killed (SIGKILL) at random moments, amid registrations and the admin's changes.
//!
//! Fails if, once it runs again, anything is gone that it had acknowledged, a node has another's address or name, a one-time
//! key has made two nodes, one that has none is used up, or the network's revision went back. In every round some twenty
//! devices register at a time, two with each one-time key, while the policy, users, names and devices change. Blind to a
//! loss of power: what the kernel took, a killed process has written.
//!
//! [`testkit::kill`] says how to kill it more often, or at the same moments again.

mod ledger;
mod work;

use std::net::SocketAddr;

use ledger::Observed;
use testkit::{
    kill::{self, Moments},
    postgres::Postgres,
};
use tokio::{task::JoinSet, time::sleep};
use work::Workers;

use crate::process::{Process, Root};

/// How often it is killed, unless the environment says otherwise.
const ROUNDS: u64 = 10;
/// Pairs of devices that register at a time.
const PAIRS: usize = 10;
/// The coordinator is killed after so many acknowledged changes at most.
const CHANGES: u64 = 50;

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

async fn survives(database: Option<Postgres>) {
    let mut moments = Moments::draw();
    let root = Root::new("server_url = \"http://coordinator.test:8443\"\n", database).await;
    let work = Workers::new(root.path());
    let mut process = Process::start(&root);
    let mut address = process.serves().await;
    for _ in 0..kill::rounds(ROUNDS) {
        let mut running = begin(&work, address).await;
        work.acknowledged(moments.changes(CHANGES)).await;
        sleep(moments.then()).await;
        process.kill().await;
        // Whoever asks now is refused or cut, and ends.
        while let Some(ended) = running.join_next().await {
            ended.unwrap();
        }

        if let Some(time) = moments.cut_off() {
            let start = Process::start(&root);
            sleep(time).await;
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

/// Two coordinators share a database. One of them is killed each time, and the other goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs: root, postgres"]
async fn of_two_that_share_a_database_either_may_be_killed() {
    let (mut moments, database) = (Moments::draw(), Postgres::start());
    let key = "5a".repeat(32);
    let roots = [(); 2].map(|()| Root::sharing(&database.url(), &key));
    let first = Workers::new(roots[0].path());
    let works = [first.clone(), first.beside(roots[1].path())];
    let mut processes = [Process::start(&roots[0]), Process::start(&roots[1])];
    let mut addresses = [processes[0].serves().await, processes[1].serves().await];
    for round in 0..kill::rounds(ROUNDS) {
        let killed = usize::try_from(round % 2).unwrap();
        let other = 1 - killed;
        let mut running = begin(&works[killed], addresses[killed]).await;
        let mut going_on = pairs_and_people(&works[other], addresses[other]).await;
        first.acknowledged(moments.changes(CHANGES)).await;
        sleep(moments.then()).await;
        let start = Process::start;
        std::mem::replace(&mut processes[killed], start(&roots[killed])).kill().await;
        while let Some(ended) = running.join_next().await {
            ended.unwrap();
        }
        works[other].let_ask(false);
        while let Some(ended) = going_on.join_next().await {
            ended.unwrap();
        }
        works[other].let_ask(true);

        first.looks(&Observed::read(&roots[other], &works[other]).await);
        addresses[killed] = processes[killed].serves().await;
        works[killed].tries_again(addresses[killed]).await;
        works[other].leaves_few(addresses[other]).await;
        for (root, work) in roots.iter().zip(&works) {
            first.looks(&Observed::read(root, work).await);
        }
    }
    for process in processes {
        process.kill().await;
    }
}

/// Everyone starts to ask, and goes on until no whole answer comes.
async fn begin(work: &Workers, address: SocketAddr) -> JoinSet<()> {
    let to = work.at(address).await;
    let mut running = pairs_and_people(work, address).await;
    let policies = to.clone();
    running.spawn(async move { while policies.the_policy_is_replaced().await.is_some() {} });
    let names = to.clone();
    running.spawn(async move { while names.two_devices_want_one_name().await.is_some() {} });
    running.spawn(async move { while to.a_device_is_removed().await.is_some() {} });
    running
}

/// Those start who ask for what is new; they also stop when they are told to.
async fn pairs_and_people(work: &Workers, address: SocketAddr) -> JoinSet<()> {
    let to = work.at(address).await;
    let mut running = JoinSet::new();
    for _ in 0..PAIRS {
        let (to, work) = (to.clone(), work.clone());
        running.spawn(async move { while work.ask() && to.a_pair_registers().await.is_some() {} });
    }
    let work = work.clone();
    running.spawn(async move { while work.ask() && to.a_user_is_made().await.is_some() {} });
    running
}
