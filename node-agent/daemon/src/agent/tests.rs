use control_protocol::map::Node;
use node_agent_api::State as Standing;

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
        hostname: None,
        registered: false,
    }
}

/// Where the agent belongs, where it stands and what is wrong.
fn stands(agent: &Agent) -> (Option<String>, Standing, bool) {
    let progress = agent.progress.borrow().clone();
    let problem = progress.refusal.or(progress.problem);
    (agent.membership().map(|is| is.server_url), progress.state, problem.is_some())
}

#[test]
fn a_refusal_leads_back_to_what_was_before() {
    let root = tempfile::tempdir().unwrap();
    let agent = agent(root.path());
    let refused = || agent.go_back("not for you".to_owned());

    agent.join(membership("http://a"));
    refused();
    assert_eq!(stands(&agent), (None, Standing::NeedsJoin, true), "there was nothing before");

    agent.join(membership("http://a"));
    agent.stay();
    agent.join(membership("http://b"));
    assert_eq!(stands(&agent), (Some("http://b".to_owned()), Standing::Joining, false));
    refused();
    assert_eq!(stands(&agent), (Some("http://a".to_owned()), Standing::Joining, true));

    agent.join(membership("http://c"));
    agent.stay();
    refused();
    assert_eq!(stands(&agent), (None, Standing::NeedsJoin, true), "it had left a for c");
}

#[test]
fn a_node_whose_key_has_ended_stays_the_node_that_it_was() {
    let root = tempfile::tempdir().unwrap();
    let agent = agent(root.path());
    let node = Node { machine_authorized: true, ..Node::default() };
    let message = MapResponse { node: Some(node), ..MapResponse::default() };
    agent.join(Membership { registered: true, ..membership("http://a") });
    agent.stay();
    assert!(agent.apply_map(message, true));

    agent.join(membership("http://b"));
    agent.go_back("not for you".to_owned());

    assert_eq!(stands(&agent), (Some("http://a".to_owned()), Standing::Running, true));
    assert!(agent.netmap.borrow().node.is_some());
    agent.go_back("nor for you".to_owned());
    assert_eq!(stands(&agent), (None, Standing::NeedsJoin, true));
    assert!(agent.netmap.borrow().node.is_none());
}
