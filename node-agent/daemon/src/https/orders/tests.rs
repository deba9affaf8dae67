use std::{
    future::{Ready, ready},
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use node_agent_core::{domain::Domain, netmap::Netmap};

use super::*;
use crate::{
    config::{Config, Paths},
    https::{authority::Authority, public::tests::PublicAuthority},
    state::State,
};

const NETWORK: &str = "home.example.org";
const ROOMS: &str = "rooms.home.example.org";
const CHAT: &str = "chat.home.example.org";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn agent(root: &Path) -> Arc<Agent> {
    let state = State::load_or_generate(&Paths::new(root)).unwrap();
    Arc::new(Agent::new(Config::default(), Paths::new(root), state, Netmap::default()))
}

/// The orders of an agent with two names, which have certificates of the network's own authority.
fn orders(agent: &Arc<Agent>) -> Orders {
    let hosts = BTreeSet::from([ROOMS, CHAT].map(str::to_owned));
    let own = Authority::create(&NETWORK.parse::<Domain>().unwrap()).unwrap();
    let certificates = Arc::new(Certificates::default());
    certificates.renew(&own, &hosts, SystemTime::now()).unwrap();
    Orders::new(Arc::clone(agent), certificates, hosts)
}

/// The name that a chain in use is for, and whether it is a public one.
fn shown(orders: &Orders, host: &str) -> bool {
    let shown = orders.certificates.of(host, SystemTime::now()).unwrap();
    let public = orders.certificates.public(host);
    public.is_some_and(|public| Arc::ptr_eq(&public.certified, &shown))
}

fn offered(hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(|&host| host.to_owned()).collect()
}

#[tokio::test]
async fn what_the_coordinator_offers_is_ordered_used_and_found_again() {
    let (root, authority) = (tempfile::tempdir().unwrap(), PublicAuthority::new());
    let agent = agent(root.path());
    let mut orders = orders(&agent);
    let now = SystemTime::now();
    let order = |request: String| ready(Ok(authority.issue(&request, ROOMS, now - DAY)));

    let wait = orders.tend(&offered(&[ROOMS, "bank.example"]), &order).await;

    assert_eq!(wait, LOOK);
    assert!(shown(&orders, ROOMS) && !shown(&orders, CHAT), "nobody offered the other");
    let never = |_| -> Ready<OrderResult> { panic!("it is not due") };
    orders.tend(&offered(&[ROOMS]), &never).await;
    let stored = std::fs::read_to_string(Paths::new(root.path()).state()).unwrap();
    assert_eq!(stored.matches("BEGIN PRIVATE KEY").count(), 1);

    let again = super::tests::agent(root.path());
    let orders = super::tests::orders(&again);

    assert!(shown(&orders, ROOMS));
    let states = again.certificate_states().clone();
    assert_eq!(states.len(), 1);
    assert!(states[ROOMS].ends.is_some() && states[ROOMS].problem.is_none(), "{states:?}");
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_lies_or_fails_changes_nothing_and_is_asked_ever_less_often() {
    let (root, authority) = (tempfile::tempdir().unwrap(), PublicAuthority::new());
    let agent = agent(root.path());
    let mut orders = orders(&agent);
    let (_, others) = public::request(ROOMS).unwrap();
    let asked = AtomicU32::new(0);
    let now = SystemTime::now();
    let lie = async |request: String| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => Ok(authority.issue(&others, ROOMS, now - DAY)),
        1 => Ok(authority.issue(&request, CHAT, now - DAY)),
        2 => Ok("nothing".to_owned()),
        _ => Err(message!("problem-agent-no-answer")),
    };

    let mut waits = Vec::new();
    for attempt in 1..=12 {
        let look = orders.tend(&offered(&[ROOMS]), &lie).await;
        let wait = orders.tries[ROOMS].1 - Instant::now();
        assert_eq!(look, LOOK.min(wait));
        assert_eq!(asked.load(Ordering::Relaxed), attempt);
        assert!(!shown(&orders, ROOMS), "the network's own stays in use");
        let state = agent.certificate_states()[ROOMS].clone();
        assert!(state.problem.is_some() && state.ends.is_none(), "{state:?}");
        tokio::time::advance(wait / 2).await;
        orders.tend(&offered(&[ROOMS]), &lie).await;
        assert_eq!(asked.load(Ordering::Relaxed), attempt, "too early");
        tokio::time::advance(wait).await;
        waits.push(wait);
    }

    assert!(waits[0] >= RETRY_MIN && waits[0] <= 2 * RETRY_MIN, "{waits:?}");
    assert!(waits[1] >= 2 * RETRY_MIN && waits[11] >= RETRY_MAX / 2 && waits[11] <= RETRY_MAX);
    assert!(agent.certificates().is_empty());
    orders.tend(&[], &lie).await;
    assert!(agent.certificate_states().is_empty(), "it is no longer offered");
}

#[tokio::test]
async fn a_due_certificate_is_replaced_and_stays_in_use_until_then() {
    let (root, authority) = (tempfile::tempdir().unwrap(), PublicAuthority::new());
    let agent = agent(root.path());
    let mut orders = orders(&agent);
    let begun = SystemTime::now() - 61 * DAY;
    let old = |request: String| ready(Ok(authority.issue(&request, ROOMS, begun)));
    orders.tend(&offered(&[ROOMS]), &old).await;
    let first = orders.certificates.public(ROOMS).unwrap();
    orders.tries.clear();

    let away = |_| ready(Err(message!("problem-agent-no-answer")));
    orders.tend(&offered(&[ROOMS]), &away).await;

    assert!(shown(&orders, ROOMS), "it is valid for another 29 days");
    let state = agent.certificate_states()[ROOMS].clone();
    assert!(state.problem.is_some() && state.ends == Some(first.ends), "{state:?}");
    orders.tries.clear();

    let now = SystemTime::now();
    let new = |request: String| ready(Ok(authority.issue(&request, ROOMS, now - DAY)));
    orders.tend(&offered(&[ROOMS]), &new).await;

    let second = orders.certificates.public(ROOMS).unwrap();
    assert!(second.ends > first.ends);
    assert_eq!(agent.certificates().len(), 1, "the old one is not kept");
    assert_eq!(agent.certificate_states()[ROOMS].problem, None);
}
