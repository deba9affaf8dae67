//! What the network around this device allows.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use derp::stun;
use node_agent_api::{
    Endpoint, EndpointKind, NetCheck, PortProblem, RelayDelay, Router, RouterPort, TcpAddress,
};
use node_agent_core::{endpoint::is_usable, netmap::format_time};
use tokio::{
    net::UdpSocket,
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::{
    agent::Agent,
    endpoints::{self, kind},
    home, outside,
    router::PortState,
};

/// How long STUN servers have to answer.
const WAIT: Duration = Duration::from_secs(2);
/// How often each is asked, since a datagram may be lost.
const TIMES: u32 = 2;
/// STUN servers that are asked at once.
const SERVERS: usize = 16;

/// Every user may ask, so one check at a time is made.
static ONE: Mutex<()> = Mutex::const_new(());

/// A STUN server: its region, and where it is.
#[derive(Clone, Copy, Debug)]
struct Server {
    region: u32,
    address: SocketAddr,
}

/// A STUN server's answer: this device's address as it is seen there, and after which time.
#[derive(Clone, Copy, Debug)]
struct Answer {
    server: Server,
    seen: SocketAddr,
    after: Duration,
}

/// Asks the relays' STUN servers, and adds what the agent knows.
pub(super) async fn of(agent: &Agent) -> NetCheck {
    let _one = ONE.lock().await;
    let relays = agent.netmap.borrow().relays.clone();
    let servers = servers(agent).await;
    let answers = match servers.is_empty() {
        true => Vec::new(),
        false => ask(&servers).await,
    };
    let endpoints: Vec<_> = agent.report.borrow().endpoints.clone();
    let reported = |wanted: EndpointKind| {
        endpoints.iter().filter(move |(_, number)| kind(*number) == wanted).map(|(at, _)| at.ip())
    };
    let mut seen: Vec<IpAddr> = answers.iter().map(|answer| answer.seen.ip()).collect();
    seen.extend(reported(EndpointKind::Stun).chain(reported(EndpointKind::Router)));
    seen.sort_unstable();
    seen.dedup();
    let router = agent.router.borrow().clone();
    let tcp = agent.reach.tcp();
    let shown = |port: &PortState| shown(agent, port, &seen);
    let delay = |region: u32| {
        let of = answers.iter().filter(|answer| answer.server.region == region);
        of.map(|answer| u64::try_from(answer.after.as_millis()).unwrap_or(u64::MAX)).min()
    };
    NetCheck {
        udp: (!servers.is_empty()).then_some(!answers.is_empty()),
        ipv4: seen.iter().copied().filter(IpAddr::is_ipv4).collect(),
        ipv6: seen.iter().copied().filter(IpAddr::is_ipv6).collect(),
        mapping_varies: varies(&answers),
        router: router
            .gateway
            .map(|gateway| Router { gateway, ports: router.ports.iter().map(shown).collect() }),
        relays: relays
            .regions
            .iter()
            .map(|(region, content)| RelayDelay {
                region: *region,
                name: content.region_name.clone(),
                delay_ms: delay(*region),
            })
            .collect(),
        endpoints: endpoints
            .into_iter()
            .map(|(address, number)| {
                let reached = agent.reach.reached(address);
                Endpoint { address, kind: kind(number), reached }
            })
            .collect(),
        tcp: tcp.into_iter().map(|(address, reached)| TcpAddress { address, reached }).collect(),
    }
}

fn shown(agent: &Agent, port: &PortState, seen: &[IpAddr]) -> RouterPort {
    let granted = port.answer.ok();
    // Only this node's own port can be tried by another.
    let own = granted.filter(|_| !port.wanted.is_exact());
    let reached = own.and_then(|grant| agent.reach.reached(grant.outside.into()));
    let unreached = (reached == Some(false)).then_some(PortProblem::NotReached);
    RouterPort {
        service: port.wanted.service().to_owned(),
        transport: port.wanted.transport(),
        port: port.wanted.inside().get(),
        via: granted.map(|grant| grant.via),
        outside: granted.map(|grant| grant.outside.into()),
        until: granted.and_then(|grant| format_time(grant.until)),
        problem: port.problem(seen).or(unreached),
    }
}

/// The STUN servers to ask. The one beside this coordinator sees this machine from inside.
async fn servers(agent: &Agent) -> Vec<Server> {
    let relays = agent.netmap.borrow().relays.clone();
    let is_home = home::server(agent).is_some();
    let own = home::relay(&relays).filter(|_| is_home);
    let mut servers = Vec::new();
    for (region, content) in &relays.regions {
        for node in content.nodes.iter().filter(|node| Some(*node) != own) {
            for address in endpoints::stun_addresses(agent, node).await {
                servers.push(Server { region: *region, address });
            }
        }
    }
    servers.truncate(SERVERS);
    servers
}

/// Asks each server from one socket for each family.
async fn ask(servers: &[Server]) -> Vec<Answer> {
    let (v4, v6) = servers.iter().partition::<Vec<Server>, _>(|server| server.address.is_ipv4());
    let (mut answers, others) = tokio::join!(
        ask_family((Ipv4Addr::UNSPECIFIED, 0).into(), &v4),
        ask_family((Ipv6Addr::UNSPECIFIED, 0).into(), &v6),
    );
    answers.extend(others);
    answers
}

async fn ask_family(from: SocketAddr, servers: &[Server]) -> Vec<Answer> {
    let mut answers = Vec::new();
    let Ok(socket) = outside::udp(from).await else { return answers };
    let mut asked = HashMap::new();
    for _ in 0..TIMES {
        let waiting = servers.iter().filter(|server| {
            answers.iter().all(|answer: &Answer| answer.server.address != server.address)
        });
        let waiting: Vec<_> = waiting.copied().collect();
        for server in &waiting {
            let mut transaction = stun::TransactionId::default();
            if getrandom::fill(&mut transaction).is_err() {
                return answers;
            }
            let sent = Instant::now();
            if socket.send_to(&stun::request(transaction), server.address).await.is_ok() {
                asked.insert(transaction, (*server, sent));
            }
        }
        let all = waiting.len();
        let _ = timeout(WAIT / TIMES, receive(&socket, &mut asked, &mut answers, all)).await;
    }
    answers
}

/// Takes answers to what was asked, until there are so many.
async fn receive(
    socket: &UdpSocket,
    asked: &mut HashMap<stun::TransactionId, (Server, Instant)>,
    answers: &mut Vec<Answer>,
    mut wanted: usize,
) {
    let mut buffer = [0; stun::MAX_LEN];
    while wanted > 0 {
        let Ok((len, from)) = socket.recv_from(&mut buffer).await else { continue };
        let Ok((transaction, seen)) = stun::parse_response(&buffer[..len]) else { continue };
        let Some((server, sent)) = asked.get(&transaction).copied() else { continue };
        if server.address == from && is_usable(seen) {
            asked.remove(&transaction);
            answers.push(Answer { server, seen, after: sent.elapsed() });
            wanted -= 1;
        }
    }
}

/// Whether two servers see different addresses of one socket.
fn varies(answers: &[Answer]) -> Option<bool> {
    let v4: Vec<_> = answers.iter().filter(|answer| answer.seen.is_ipv4()).collect();
    let (first, rest) = v4.split_first()?;
    let mut others = rest.iter().filter(|it| it.server.address != first.server.address).peekable();
    others.peek()?;
    Some(others.any(|other| other.seen != first.seen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(server: &str, seen: &str) -> Answer {
        let server = Server { region: 1, address: server.parse().unwrap() };
        Answer { server, seen: seen.parse().unwrap(), after: Duration::ZERO }
    }

    #[test]
    fn whether_a_mapping_varies_is_only_known_of_two_servers() {
        let one = answer("192.0.2.1:3478", "203.0.113.9:7000");
        let same = answer("192.0.2.2:3478", "203.0.113.9:7000");
        let other = answer("192.0.2.2:3478", "203.0.113.9:7001");
        assert_eq!(varies(&[]), None);
        assert_eq!(varies(&[one, one]), None);
        assert_eq!(varies(&[one, same]), Some(false));
        assert_eq!(varies(&[one, other]), Some(true));
    }

    #[tokio::test]
    async fn only_the_server_that_was_asked_answers() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let answering = tokio::spawn(async move {
            let mut buffer = [0; stun::MAX_LEN];
            let (len, from) = server.recv_from(&mut buffer).await.unwrap();
            let transaction = stun::parse_request(&buffer[..len]).unwrap();
            let seen = |text: &str| stun::response(transaction, text.parse().unwrap());
            stranger.send_to(&seen("203.0.113.66:1"), from).await.unwrap();
            server.send_to(b"noise", from).await.unwrap();
            server.send_to(&seen("203.0.113.9:7000"), from).await.unwrap();
        });
        let answers = ask(&[Server { region: 1, address }]).await;
        answering.await.unwrap();
        let seen: Vec<_> = answers.iter().map(|answer| answer.seen.to_string()).collect();
        assert_eq!(seen, ["203.0.113.9:7000"]);
    }
}
