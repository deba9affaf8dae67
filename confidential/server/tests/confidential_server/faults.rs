//! The table "Faults" of `docs/protocols/confidential.md`: what a client sees when a process of the chain is killed or hangs,
//! before a reply and amid one.

use std::{sync::PoisonError, time::Duration};

use confidential_api::{
    names::{header, media, path},
    settings,
};
use confidential_envelope::{ResponseOpener, ohttp::KeyConfig};
use http_body_util::Full;
use hyper::{Method, Request};
use testkit::eventually;
use testkit::http::Response;
use tokio::{sync::mpsc, time::timeout};

use super::{
    chain::{Chain, candidates},
    client::{Answer, Client, ResponseReader, active, open, request, seal},
    node::{Node, NodeBehavior},
    process::{Fault, Process},
    world::TestDeployment,
};

/// Longer than all limits of the servers here together.
const ALL: Duration = Duration::from_secs(40);
/// Shorter than a limit of a server that would answer.
const OWN: Duration = Duration::from_secs(3);

/// What a client sees of a question.
#[derive(Debug, PartialEq, Eq)]
enum ClientOutcome {
    /// No connection.
    Nobody,
    /// Nothing, for as long as it waits.
    Nothing,
    /// A status outside of the seal.
    Outside(u16),
    /// A status inside of it.
    Sealed(u16),
}

/// The chain as processes, and a node.
struct RunningChain {
    relay: Process,
    gateway: Process,
    router: Process,
    node: Node,
    client: Client,
    key: KeyConfig,
    _world: TestDeployment,
}

impl RunningChain {
    /// The nearer one is to the node, the less it waits: so it is the one that says what is wrong.
    async fn start() -> Self {
        let world = TestDeployment::new();
        let limits = |seconds| format!("answer_s = {seconds}\nidle_s = {seconds}\n");
        let at = |process: &Process| format!("url = \"https://{}\"\n", process.address);
        let settings = format!("{}[nodes]\ncheck_every_s = 1\n", limits(3));
        let router = Process::start(&world, "router", &settings);
        let names = "names = [\"127.0.0.1\"]\n";
        let settings = format!("{names}{}[router]\n{}", limits(5), at(&router));
        let gateway = Process::start(&world, "gateway", &settings);
        let settings = format!("{}[gateway]\n{}", limits(7), at(&gateway));
        let relay = Process::start(&world, "relay", &settings);
        let client = world.client();
        let key = active(&client.bundle(gateway.address, &world.identity).await);
        let node = Node::start(&world, 1).await;
        let mut index = 0;
        // Until the router has looked at it.
        let is_routed = async || {
            assert_eq!(node.tell(&world, router.address, index).await.status, 200);
            index += 1;
            let gateway = world.client_as("gateway");
            let sent = routed(&node).body(Full::new("sealed".into())).unwrap();
            gateway.whole(router.address, sent).await.status == 200
        };
        eventually("the router forwards to it", is_routed).await;
        Self { relay, gateway, router, node, client, key, _world: world }
    }

    fn process(&mut self, role: &str) -> &mut Process {
        match role {
            "relay" => &mut self.relay,
            "gateway" => &mut self.gateway,
            _ => &mut self.router,
        }
    }

    /// Sends a question; the answer begins or does not.
    async fn send(&self) -> (Option<Response>, ResponseOpener) {
        let routing = candidates(&[&self.node]);
        let headers = [("content-type", media::REQUEST), (header::ROUTING_INFO, routing.as_str())];
        let asked = request(Method::POST, path::ROOT, &headers, b"sealed");
        let (sealed, opener) = seal(&self.key, &asked);
        let sent = Request::post("/").header("content-type", media::OHTTP_REQUEST);
        let sent = sent.body(Full::new(sealed.into())).unwrap();
        (self.client.try_send(self.relay.address, sent).await, opener)
    }

    async fn ask(&self, limit: Duration) -> ClientOutcome {
        let asked = async {
            let (answer, opener) = self.send().await;
            let Some(answer) = answer else { return ClientOutcome::Nobody };
            if answer.status != 200 {
                return ClientOutcome::Outside(answer.status.as_u16());
            }
            ClientOutcome::Sealed(open(opener, &Answer::read(answer).await).status.as_u16())
        };
        timeout(limit, asked).await.unwrap_or(ClientOutcome::Nothing)
    }
}

/// What the router is asked for a node.
fn routed(node: &Node) -> hyper::http::request::Builder {
    let request = Request::post("/").header("content-type", media::REQUEST);
    request.header(header::ROUTING_INFO, candidates(&[node]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_sees_of_a_server_that_failed_before() {
    use Fault::{Hung, Killed};

    for (role, fault, seen) in [
        ("relay", Killed, ClientOutcome::Nobody),
        ("relay", Hung, ClientOutcome::Nothing),
        ("gateway", Killed, ClientOutcome::Outside(502)),
        ("gateway", Hung, ClientOutcome::Outside(502)),
        ("router", Killed, ClientOutcome::Sealed(502)),
        ("router", Hung, ClientOutcome::Sealed(502)),
    ] {
        let mut chain = RunningChain::start().await;
        assert_eq!(chain.ask(ALL).await, ClientOutcome::Sealed(200), "while all is well");
        chain.process(role).fail(fault);
        let limit = if seen == ClientOutcome::Nothing { OWN } else { ALL };
        assert_eq!(chain.ask(limit).await, seen, "{role} {fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_amid_which_a_server_fails_is_never_whole() {
    for role in ["relay", "gateway", "router"] {
        for fault in [Fault::Killed, Fault::Hung] {
            let mut chain = RunningChain::start().await;
            let (say, pieces) = mpsc::channel(1);
            *chain.node.say.lock().unwrap() = Some(pieces);
            let (answer, opener) = chain.send().await;
            let mut arriving = ResponseReader::new(opener, answer.unwrap());
            say.send("one".into()).await.unwrap();
            assert_eq!(arriving.next().await, Ok(Some(b"one".to_vec())));

            chain.process(role).fail(fault);

            let relay_hangs = (role, fault) == ("relay", Fault::Hung);
            let limit = if relay_hangs { OWN } else { ALL };
            match timeout(limit, arriving.next()).await {
                Ok(ended) => {
                    assert!(!relay_hangs && !matches!(ended, Ok(Some(_))), "{role} {fault:?}");
                    assert!(ended.is_err() || !arriving.finish(), "{role} {fault:?}");
                }
                Err(_) => assert!(relay_hangs, "{role} {fault:?}: for ever"),
            }
        }
    }
}

/// A chain with two nodes.
async fn two_nodes() -> (Chain, [Node; 2]) {
    let world = TestDeployment::new();
    let nodes = settings::router::Nodes { check_every_s: 1, ..Default::default() };
    let settings = settings::router::Settings { nodes, ..Default::default() };
    let router = world.router_with(settings).await;
    let chain = Chain::with(world, router).await;
    let nodes = [Node::start(&chain.world, 1).await, Node::start(&chain.world, 2).await];
    for node in &nodes {
        node.tell(&chain.world, chain.router, 0).await;
    }
    chain.until(2).await;
    (chain, nodes)
}

async fn ask(chain: &Chain, nodes: &[&Node]) -> Answer {
    let sent = Request::post("/").header("content-type", media::REQUEST);
    let sent = sent.header(header::ROUTING_INFO, candidates(nodes));
    let client = chain.world.client_as("gateway");
    client.whole(chain.router, sent.body(Full::new("sealed".into())).unwrap()).await
}

fn asked(node: &Node) -> usize {
    node.seen.lock().unwrap_or_else(PoisonError::into_inner).len()
}

#[tokio::test]
async fn before_a_reply_begins_another_candidate_answers_for_a_node_that_fails() {
    for fault in [NodeBehavior::Hung, NodeBehavior::Cut, NodeBehavior::Full] {
        let (chain, [failing, well]) = two_nodes().await;
        *failing.takes.lock().unwrap() = fault;

        // Until it was its turn.
        while asked(&failing) == 0 {
            let answer = ask(&chain, &[&failing, &well]).await;
            assert_eq!(answer.status, 200, "{fault:?}");
            assert_eq!(answer.headers[header::NODE_ID], well.id.to_string());
        }

        let alone = ask(&chain, &[&failing]).await.status.as_u16();
        let told = match fault {
            // Looks at it failed meanwhile.
            NodeBehavior::Hung => 404,
            NodeBehavior::Full => 503,
            NodeBehavior::Cut | NodeBehavior::Well | NodeBehavior::Silent => 502,
        };
        assert_eq!(alone, told, "{fault:?}");
    }
}

#[tokio::test]
async fn a_hung_node_that_is_forgotten_is_waited_for_no_longer() {
    let world = TestDeployment::new();
    // It is forgotten at the second look, and the third would be the second to fail.
    let nodes = settings::router::Nodes { check_every_s: 10, silent_s: 5, ..Default::default() };
    let router =
        world.router_with(settings::router::Settings { nodes, ..Default::default() }).await;
    let node = Node::start(&world, 1).await;
    let chain = Chain::with(world, router).await;
    let mut index = 0;
    while asked(&node) == 0 {
        *node.takes.lock().unwrap() = NodeBehavior::Well;
        node.tell(&chain.world, router, index).await;
        index += 1;
        if chain.nodes().await.is_empty() {
            continue;
        }
        *node.takes.lock().unwrap() = NodeBehavior::Hung;
        let answer = timeout(ALL, ask(&chain, &[&node])).await.expect("it is waited for");
        assert!([502, 404].contains(&answer.status.as_u16()), "{answer:?}");
    }
}

#[tokio::test]
async fn a_node_that_lives_and_says_nothing_is_waited_for_and_nobody_else_does_its_work() {
    let world = TestDeployment::new();
    let nodes = settings::router::Nodes { check_every_s: 4, silent_s: 600, ..Default::default() };
    let settings = settings::router::Settings { answer_s: 5, nodes, ..Default::default() };
    let router = world.router_with(settings).await;
    let chain = Chain::with(world, router).await;
    let [silent, well] = [Node::start(&chain.world, 1).await, Node::start(&chain.world, 2).await];
    for node in [&silent, &well] {
        node.tell(&chain.world, chain.router, 0).await;
    }
    chain.until(2).await;
    *silent.takes.lock().unwrap() = NodeBehavior::Silent;

    loop {
        let before = asked(&well);
        let answer = ask(&chain, &[&silent, &well]).await;
        if asked(&silent) > 0 {
            assert_eq!(answer.status, 502);
            assert_eq!(asked(&well), before, "a slow prompt is not read twice");
            break;
        }
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test]
async fn a_node_that_falls_silent_amid_a_reply_is_cut() {
    let world = TestDeployment::new();
    let nodes = settings::router::Nodes { check_every_s: 1, ..Default::default() };
    let settings = settings::router::Settings { idle_s: 1, nodes, ..Default::default() };
    let router = world.router_with(settings).await;
    let chain = Chain::with(world, router).await;
    let node = Node::start(&chain.world, 1).await;
    node.tell(&chain.world, chain.router, 0).await;
    chain.until(1).await;
    let (say, pieces) = mpsc::channel(1);
    *node.say.lock().unwrap() = Some(pieces);
    say.send("one".into()).await.unwrap();

    let sent = routed(&node).body(Full::new("sealed".into())).unwrap();
    let mut answer = chain.world.client_as("gateway").send(chain.router, sent).await;

    assert_eq!(answer.piece().await.unwrap().unwrap(), "one");
    let ended = timeout(ALL, answer.piece()).await.expect("it ends");
    assert!(ended.unwrap().is_err(), "without its end");
}

#[tokio::test]
async fn without_the_gateway_auth_serves_what_it_served() {
    let world = TestDeployment::new();
    let router = world.router().await;
    let stop = tokio_util::sync::CancellationToken::new();
    let gateway = world.gateway_until(world.gateway_settings(router), stop.clone()).await;
    let (auth, _) = world.auth(world.auth_settings(gateway)).await;
    let before = world.config(auth).await.body;

    stop.cancel();
    // Until it is gone.
    let is_gone = async || world.client().try_post(gateway, media::OHTTP_REQUEST).await.is_none();
    eventually("the gateway is gone", is_gone).await;
    // Longer than auth waits between two questions.
    tokio::time::sleep(Duration::from_millis(1500)).await;

    assert_eq!(world.config(auth).await.body, before);
}
