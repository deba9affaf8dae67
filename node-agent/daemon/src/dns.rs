//! The resolver at 100.100.100.100, and for WireGuard devices at this node's mesh addresses: answers the network's names and
//! forwards others to the previous resolvers.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use chassis::accept::Connections;
use common::mesh::{self, RESOLVER};
use node_agent_core::{
    names::{Answer, Transport, Zone},
    netmap::WireguardPlan,
};
use socket2::{Domain, Socket, Type};
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{Semaphore, watch},
    task::JoinSet,
    time::timeout,
};

mod command;
pub(crate) mod follow;
pub mod forward;
pub mod helper;
mod openresolv;
pub(crate) mod resolv_conf;
mod resolved;
pub(crate) mod system;

use forward::{Forwarder, PORT, read_message, write_message};

/// Concurrent queries, and concurrent streams; further ones are dropped, and clients retry.
const MAX_AT_ONCE: usize = 256;
/// How long a stream may stay silent.
const TCP_IDLE: Duration = Duration::from_secs(10);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// Longest query over UDP, in bytes.
const MAX_QUERY: usize = 4096;

/// The running resolver; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Resolver {
    _tasks: JoinSet<()>,
}

/// Who may ask.
#[derive(Clone, Debug)]
enum Askers {
    /// This machine and its guests.
    Machine,
    /// WireGuard devices: who sends by their interface, on which the firewall lets no other source in.
    Devices(watch::Receiver<Arc<Sight>>),
}

/// What WireGuard devices may know of.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// The addresses of this node, which all of them may know.
    pub(crate) own: Vec<IpAddr>,
    /// Beside these, each the addresses that this shows to it.
    pub(crate) plan: WireguardPlan,
}

/// Context of queries.
#[derive(Clone)]
struct Context {
    askers: Askers,
    zone: watch::Receiver<Arc<Zone>>,
    forwarder: Arc<Forwarder>,
}

impl Resolver {
    /// Starts answering; the address must be on an interface.
    pub(crate) async fn start(
        zone: watch::Receiver<Arc<Zone>>,
        forwarder: Arc<Forwarder>,
    ) -> io::Result<Self> {
        let address = SocketAddr::from((RESOLVER, PORT));
        let udp = UdpSocket::bind(address).await?;
        let tcp = TcpListener::bind(address).await?;
        let context = Context { askers: Askers::Machine, zone, forwarder };
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(Arc::new(udp), context.clone()));
        tasks.spawn(serve_tcp(tcp, context));
        Ok(Self { _tasks: tasks })
    }

    /// Starts answering at each of `addresses`, which are on some interface, but only what comes in by the interface of WireGuard
    /// devices. Each learns only of what it may know.
    pub(crate) fn start_on(
        interface: &str,
        addresses: &[IpAddr],
        sight: watch::Receiver<Arc<Sight>>,
        zone: watch::Receiver<Arc<Zone>>,
        forwarder: Arc<Forwarder>,
    ) -> io::Result<Self> {
        let context = Context { askers: Askers::Devices(sight), zone, forwarder };
        let mut tasks = JoinSet::new();
        for address in addresses {
            let bind = |kind| bound_to(interface, SocketAddr::new(*address, PORT), kind);
            let tcp = bind(Type::STREAM)?;
            tcp.listen(BACKLOG)?;
            let udp = UdpSocket::from_std(bind(Type::DGRAM)?.into())?;
            tasks.spawn(serve_udp(Arc::new(udp), context.clone()));
            tasks.spawn(serve_tcp(TcpListener::from_std(tcp.into())?, context.clone()));
        }
        Ok(Self { _tasks: tasks })
    }
}

impl Context {
    /// The answer to one query; `None` if it gets none.
    async fn resolve(&self, packet: &[u8], asker: IpAddr, transport: Transport) -> Option<Vec<u8>> {
        let zone = Arc::clone(&self.zone.borrow());
        let answer =
            zone.answer_showing(packet, transport, |address| self.askers.know(asker, address));
        match answer {
            Answer::Reply(answer) => Some(answer),
            Answer::Forward => Some(self.forwarder.forward(packet, transport).await),
            Answer::Drop => None,
        }
    }
}

/// A socket that hears only what comes in by one interface.
fn bound_to(interface: &str, address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    socket.set_nonblocking(true)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    if kind == Type::STREAM {
        // Connections of the same listener before a restart may still be closing.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

impl Askers {
    fn include(&self, from: IpAddr) -> bool {
        match self {
            Self::Machine => may_ask(from),
            Self::Devices(_) => mesh::contains(from),
        }
    }

    /// Whether one of them may know of an address.
    fn know(&self, asker: IpAddr, address: IpAddr) -> bool {
        match self {
            Self::Machine => true,
            Self::Devices(sight) => {
                let sight = sight.borrow();
                sight.own.contains(&address) || sight.plan.shows(asker, address)
            }
        }
    }
}

/// Whether a query comes from this machine or a container on it, not from a peer or the internet. The firewall drops queries
/// of the local network.
fn may_ask(from: IpAddr) -> bool {
    match from {
        IpAddr::V4(v4) => {
            v4 == RESOLVER || v4.is_loopback() || (v4.is_private() && !mesh::contains(from))
        }
        IpAddr::V6(_) => false,
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, context: Context) {
    let limit = Arc::new(Semaphore::new(MAX_AT_ONCE));
    let mut tasks = JoinSet::new();
    let mut buffer = [0; MAX_QUERY];
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok((len, from)) = socket.recv_from(&mut buffer).await else {
            // The ICMP error of an earlier answer: the socket itself goes on.
            tokio::task::yield_now().await;
            continue;
        };
        let Ok(permit) = Arc::clone(&limit).try_acquire_owned() else {
            continue;
        };
        if !context.askers.include(from.ip()) {
            continue;
        }
        let (socket, context) = (Arc::clone(&socket), context.clone());
        let packet = buffer[..len].to_vec();
        tasks.spawn(async move {
            if let Some(answer) = context.resolve(&packet, from.ip(), Transport::Udp).await {
                let _ = socket.send_to(&answer, from).await;
            }
            drop(permit);
        });
    }
}

async fn serve_tcp(listener: TcpListener, context: Context) {
    let connect = |stream, from: SocketAddr, _| {
        let context = context.clone();
        context.askers.include(from.ip()).then_some(async move {
            let _ = serve_stream(stream, from.ip(), &context).await;
        })
    };
    let connections = Connections::new("streams of queries", MAX_AT_ONCE);
    connections.serve(listener, std::future::pending(), connect).await;
}

/// Answers the queries of one stream in their order (RFC 7766 allows it).
async fn serve_stream(mut stream: TcpStream, from: IpAddr, context: &Context) -> io::Result<()> {
    loop {
        let Some(packet) = timeout(TCP_IDLE, read_message(&mut stream)).await?? else {
            return Ok(());
        };
        let Some(answer) = context.resolve(&packet, from, Transport::Tcp).await else {
            return Ok(());
        };
        timeout(TCP_IDLE, write_message(&mut stream, &answer)).await??;
    }
}

#[cfg(test)]
mod tests {
    use node_agent_core::netmap::ServedDevice;

    use super::*;

    #[tokio::test]
    async fn open_streams_are_in_no_querys_way() {
        let mut zone = Zone::new("maru.home.arpa".parse().ok(), &[]);
        zone.add_node("home.maru.home.arpa.", vec!["100.64.0.1".parse().unwrap()]);
        let zone = watch::Sender::new(Arc::new(zone));
        let (askers, forwarder) = (Askers::Machine, Arc::default());
        let context = Context { askers, zone: zone.subscribe(), forwarder };
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (to_udp, to_tcp) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(Arc::new(udp), context.clone()));
        tasks.spawn(serve_tcp(tcp, context));

        let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend_from_slice(b"\x04home\x04maru\x04home\x04arpa\x00\x00\x01\x00\x01");
        let mut streams = Vec::new();
        for _ in 0..MAX_AT_ONCE {
            let mut stream = TcpStream::connect(to_tcp).await.unwrap();
            // Answered, so it has its permit; it keeps it until it closes.
            write_message(&mut stream, &query).await.unwrap();
            assert!(read_message(&mut stream).await.unwrap().is_some());
            streams.push(stream);
        }
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(&query, to_udp).await.unwrap();

        let mut answer = [0; 512];
        let (len, _) = timeout(TCP_IDLE, socket.recv_from(&mut answer)).await.unwrap().unwrap();
        assert_eq!(answer[..2], [0, 7]);
        assert_eq!(answer[..len][len - 4..], [100, 64, 0, 1]);
    }

    #[test]
    fn a_wireguard_device_asks_of_the_router_and_of_itself_if_no_rule_names_others() {
        let [home, phone, laptop] = ["100.64.0.1", "100.64.0.9", "100.64.0.2"]
            .map(|address| address.parse::<IpAddr>().unwrap());
        let device = ServedDevice {
            stable_id: "n9".to_owned(),
            name: "phone".to_owned(),
            key: control_protocol::key::NodePublic::from_bytes([9; 32]),
            addresses: vec![phone],
            full_tunnel: false,
        };
        let plan = WireguardPlan { devices: vec![device], rules: Vec::new() };
        let sight = watch::Sender::new(Arc::new(Sight { own: vec![home], plan }));
        let devices = Askers::Devices(sight.subscribe());
        let known = [home, phone, laptop].map(|address| devices.know(phone, address));
        assert_eq!(known, [true, true, false]);
        assert!(Askers::Machine.know("127.0.0.1".parse().unwrap(), laptop));
    }

    #[test]
    fn peers_and_strangers_do_not_ask() {
        for (from, may) in [
            ("100.100.100.100", true),
            ("127.0.0.1", true),
            ("10.88.0.2", true),
            ("100.64.0.2", false),
            ("192.0.2.1", false),
            ("fd7a:115c:a1e0::2", false),
        ] {
            assert_eq!(may_ask(from.parse().unwrap()), may, "{from}");
        }
    }
}
