use std::{thread, time::Duration};

use control_protocol::map::Node;
use node_agent_api::State as JoinState;
use node_agent_core::netmap::Naming;

use super::*;

fn agent(root: &std::path::Path) -> Agent {
    let state = State::generate().unwrap();
    Agent::new(Config::default(), Paths::new(root), state, Netmap::default())
}

fn membership(server_url: &str) -> Membership {
    Membership {
        server_url: server_url.to_owned(),
        noise_key: None,
        auth_key: None,
        ca: None,
        hostname: None,
        registered: false,
        naming: Naming::Open,
    }
}

/// Where the agent belongs, where it stands and what is wrong.
fn stands(agent: &Agent) -> (Option<String>, JoinState, bool) {
    let progress = agent.progress.borrow().clone();
    let problem = progress.refusal.or(progress.problem);
    (agent.membership().map(|is| is.server_url), progress.state, problem.is_some())
}

#[test]
fn a_refusal_leads_back_to_what_was_before() {
    let root = tempfile::tempdir().unwrap();
    let agent = agent(root.path());
    let refused = || agent.revert_join("not for you".into());

    agent.join(membership("http://a"));
    refused();
    assert_eq!(stands(&agent), (None, JoinState::NeedsJoin, true), "there was nothing before");

    agent.join(membership("http://a"));
    agent.confirm_join();
    agent.join(membership("http://b"));
    assert_eq!(stands(&agent), (Some("http://b".to_owned()), JoinState::Joining, false));
    refused();
    assert_eq!(stands(&agent), (Some("http://a".to_owned()), JoinState::Joining, true));

    agent.join(membership("http://c"));
    agent.confirm_join();
    refused();
    assert_eq!(stands(&agent), (None, JoinState::NeedsJoin, true), "it had left a for c");
}

#[test]
fn a_node_whose_key_has_ended_stays_the_node_that_it_was() {
    let root = tempfile::tempdir().unwrap();
    let agent = agent(root.path());
    let node = Node { machine_authorized: true, ..Node::default() };
    let message = MapResponse { node: Some(node), ..MapResponse::default() };
    agent.join(Membership { registered: true, ..membership("http://a") });
    agent.confirm_join();
    assert!(agent.apply_map(message, true));

    agent.join(membership("http://b"));
    agent.revert_join("not for you".into());

    assert_eq!(stands(&agent), (Some("http://a".to_owned()), JoinState::Running, true));
    assert!(agent.netmap.borrow().node.is_some());
    agent.revert_join("nor for you".into());
    assert_eq!(stands(&agent), (None, JoinState::NeedsJoin, true));
    assert!(agent.netmap.borrow().node.is_none());
}

/// A first map of a network with this domain.
fn map(domain: &str) -> MapResponse {
    let node = Node { name: format!("laptop.{domain}."), ..Node::default() };
    MapResponse { node: Some(node), ..MapResponse::default() }
}

fn network(agent: &Agent) -> Option<String> {
    agent.netmap.borrow().network().map(ToString::to_string)
}

#[test]
fn the_domain_is_kept_with_the_membership_until_the_next_one() {
    let root = tempfile::tempdir().unwrap();
    let first = agent(root.path());
    first.join(membership("http://a"));
    assert!(first.apply_map(map("maru.home.arpa"), true));
    assert_eq!(network(&first).as_deref(), Some("maru.home.arpa"));

    // Started again, without a map on disk.
    let state = State::load_or_generate(&Paths::new(root.path())).unwrap();
    let again = Agent::new(Config::default(), Paths::new(root.path()), state, Netmap::default());
    assert!(again.apply_map(map("bank.example"), true));
    assert_eq!(network(&again).as_deref(), Some("maru.home.arpa"));
    assert!(again.netmap.borrow().problem().is_some());
    again.clear_netmap();
    assert!(again.apply_map(map("bank.example"), true));
    assert_eq!(network(&again).as_deref(), Some("maru.home.arpa"));

    again.join(membership("http://b"));
    assert!(again.apply_map(map("bank.example"), true));
    assert_eq!(network(&again).as_deref(), Some("bank.example"));
}

#[test]
fn a_member_of_before_keeps_the_domain_of_its_map_on_disk() {
    let root = tempfile::tempdir().unwrap();
    let mut state = State::generate().unwrap();
    state.membership = Some(Membership { registered: true, ..membership("http://a") });
    let mut netmap = Netmap { node: map("maru.home.arpa").node, ..Netmap::default() };
    netmap.naming = Naming::Open;

    let agent = Agent::new(Config::default(), Paths::new(root.path()), state, netmap);

    assert_eq!(network(&agent).as_deref(), Some("maru.home.arpa"));
    assert!(agent.apply_map(map("bank.example"), true));
    assert_eq!(network(&agent).as_deref(), Some("maru.home.arpa"));
}

/// One that waited to be written when the device left.
#[test]
fn no_map_comes_back_after_the_device_left() {
    let root = tempfile::tempdir().unwrap();
    let agent = agent(root.path());
    let node = Node { stable_id: "n1".to_owned(), ..Node::default() };
    let map = Netmap { node: Some(node), ..Netmap::default() };
    agent.netmap.send_replace(Arc::new(map));
    agent.store_map().unwrap();
    assert!(agent.paths.netmap().exists(), "the control");

    thread::scope(|threads| {
        let file = agent.map_file.lock().unwrap();
        let writing = threads.spawn(|| agent.store_map());
        // Long enough for it to wait for the file.
        thread::sleep(Duration::from_millis(200));
        agent.clear_netmap();
        drop(file);
        writing.join().unwrap().unwrap();
    });

    assert!(!agent.paths.netmap().exists());
}
