//! The filter against a slow one that judges descriptions of packets, not bytes, by lists that it reads from end to end.

use super::{
    build::{RST, cut_v4, cut_v6, echo_bytes, icmp, tcp_bytes, udp_bytes},
    *,
};

/// Addresses of one family: nobody's, this node's, those of two peers, a martian.
const V4: [&str; 5] = ["100.64.0.9", HERE, THERE, ELSEWHERE, "127.0.0.1"];
const V6: [&str; 5] =
    ["fd7a:115c:a1e0::9", "fd7a:115c:a1e0::1", "fd7a:115c:a1e0::2", "fd7a:115c:a1e0::3", "::1"];
const MARTIAN: usize = 4;

/// A packet, described.
#[derive(Clone, Debug)]
struct PacketSpec {
    v6: bool,
    /// Numbers into [`V4`] or [`V6`].
    source: usize,
    destination: usize,
    /// Extension headers, in IPv6: whether each asks to be sent on.
    extensions: Vec<bool>,
    cut: Option<FragmentSpec>,
    body: Body,
}

#[derive(Clone, Copy, Debug)]
struct FragmentSpec {
    id: u8,
    offset: usize,
    more: bool,
}

#[derive(Clone, Debug)]
enum Body {
    Tcp(u16, u16, u8),
    Udp(u16, u16),
    Echo(bool, u16),
    Other,
    /// An error about this packet, of which so many bytes are quoted.
    Error(Box<PacketSpec>, usize),
}

impl PacketSpec {
    fn protocol(&self) -> u8 {
        match self.body {
            Body::Tcp(..) => protocol::TCP,
            Body::Udp(..) => protocol::UDP,
            Body::Echo(..) | Body::Error(..) => icmp(self.v6),
            Body::Other => 47,
        }
    }

    fn address(&self, number: usize) -> &'static str {
        if self.v6 { V6[number] } else { V4[number] }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut payload = match &self.body {
            Body::Tcp(from, to, flags) => tcp_bytes(*from, *to, *flags),
            Body::Udp(from, to) => udp_bytes(*from, *to),
            Body::Echo(asks, id) => echo_bytes(self.v6, *asks, *id),
            Body::Other => vec![0; 8],
            Body::Error(about, quoted) => {
                let about = about.bytes();
                let kind = if self.v6 { 1 } else { 3 };
                let quote = &about[..about.len().min(*quoted)];
                [&[kind, 0, 0, 0, 0, 0, 0, 0][..], quote].concat()
            }
        };
        if self.cut.is_some() {
            payload.resize(payload.len().next_multiple_of(8), 0);
        }
        let mut next = self.protocol();
        if let (true, Some(cut)) = (self.v6, self.cut) {
            payload = cut_v6(next, cut.id.into(), cut.offset, cut.more, &payload);
            next = 44;
        }
        for sent_on in self.extensions.iter().rev().filter(|_| self.v6) {
            payload = [&[next, 0, 0, u8::from(*sent_on), 0, 0, 0, 0][..], &payload].concat();
            next = 43;
        }
        let packet = ip(self.address(self.source), self.address(self.destination), next, &payload);
        match self.cut {
            Some(cut) if !self.v6 => cut_v4(packet, cut.id.into(), cut.offset, cut.more),
            Some(_) | None => packet,
        }
    }

    fn is_first(&self) -> bool {
        self.cut.is_none_or(|cut| cut.offset == 0)
    }

    /// Protocol, and both ends of the flow with this node's first.
    fn flow(&self, outbound: bool) -> Option<FlowKey> {
        let (from, to) = match self.body {
            Body::Tcp(from, to, _) | Body::Udp(from, to) => (from, to),
            Body::Echo(asks, id) if asks == outbound => (id, id),
            Body::Echo(..) | Body::Error(..) | Body::Other => return None,
        };
        let (source, destination) = ((self.v6, self.source, from), (self.v6, self.destination, to));
        let ends = if outbound { (source, destination) } else { (destination, source) };
        self.is_first().then_some((self.protocol(), ends))
    }

    fn opens(&self) -> bool {
        matches!(self.body, Body::Tcp(_, _, flags) if flags & (SYN | ACK) == SYN)
    }

    fn closes(&self) -> bool {
        matches!(self.body, Body::Tcp(_, _, flags) if flags & (FIN | RST) != 0)
    }
}

type Endpoint = (bool, usize, u16);
/// What a fragment is a part of: family, source, destination, id, protocol.
type FragmentKey = (bool, usize, usize, u8, u8);
type FlowKey = (u8, (Endpoint, Endpoint));

/// Rule of the reference: this peer may reach this port by TCP and UDP, and send ICMP.
const RULE: (usize, u16) = (2, 22);

struct ModelFlow {
    line: FlowKey,
    /// Whether this node began it.
    here: bool,
    /// Whether it is a connection that waits for its answer.
    opening: bool,
    used: Instant,
}

#[derive(Default)]
struct ModelFilter {
    rule: bool,
    flows: Vec<ModelFlow>,
    firsts: Vec<(FragmentKey, Instant)>,
}

impl ModelFilter {
    fn known(&self, line: FlowKey, now: Instant) -> Option<&ModelFlow> {
        let found = self.flows.iter().find(|flow| flow.line == line)?;
        let life = match line.0 {
            protocol::TCP if found.opening => TCP_OPENING,
            protocol::TCP => TCP_IDLE,
            _ => UDP_IDLE,
        };
        (now - found.used <= life).then_some(found)
    }

    fn began(&self, line: FlowKey, now: Instant) -> Option<bool> {
        self.known(line, now).map(|flow| flow.here)
    }

    fn set(&mut self, line: FlowKey, here: bool, opening: bool, used: Instant) {
        self.flows.retain(|flow| flow.line != line);
        self.flows.push(ModelFlow { line, here, opening, used });
    }

    fn send(&mut self, made: &PacketSpec, started: Instant, now: Instant) {
        let sent_on = made.v6 && made.extensions.contains(&true);
        let Some(line) = made.flow(true).filter(|_| !sent_on) else { return };
        let known = self.known(line, now).map(|flow| (flow.here, flow.opening));
        let late = now - started > RESTART || line.1.0.2 < STARTING_PORTS;
        match known {
            Some((false, _)) => self.set(line, false, false, now),
            _ if made.opens() => self.set(line, true, true, now),
            Some((true, opening)) => self.set(line, true, opening && !made.closes(), now),
            None if line.0 == protocol::TCP && late => {}
            None => self.set(line, true, false, now),
        }
    }

    fn allows(&self, source: usize, port: u16, made: &PacketSpec) -> bool {
        self.rule
            && source == RULE.0
            && match made.body {
                Body::Tcp(..) | Body::Udp(..) => port == RULE.1,
                Body::Echo(..) => true,
                Body::Error(..) | Body::Other => false,
            }
    }

    fn check(&mut self, made: &PacketSpec, peer: usize, now: Instant) -> Result<(), Cause> {
        if made.v6 && made.extensions.contains(&true) {
            return Err(Cause::SourceRouted);
        }
        match (made.cut, &made.body) {
            (Some(cut), _) if cut.offset != 0 && cut.offset < 80 => return Err(Cause::Fragment),
            (Some(cut), _) if cut.offset != 0 => {}
            (_, Body::Error(about, _)) if about.v6 && about.extensions.contains(&true) => {
                return Err(Cause::Malformed);
            }
            // What is quoted could lie in another part.
            (Some(_), Body::Error(..)) => return Err(Cause::Fragment),
            _ => {}
        }
        if made.source == MARTIAN || made.destination == MARTIAN {
            return Err(Cause::Martian);
        }
        if made.source != peer {
            return Err(Cause::Spoofed);
        }
        if made.destination != 1 {
            return Err(Cause::NotForUs);
        }
        let part =
            made.cut.map(|cut| (made.v6, made.source, made.destination, cut.id, made.protocol()));
        if let (false, Some(part)) = (made.is_first(), part) {
            let first =
                self.firsts.iter().any(|(other, at)| *other == part && now - *at <= FRAGMENT_LIFE);
            return if first { Ok(()) } else { Err(Cause::Fragment) };
        }
        self.check_whole(made, now)?;
        if let Some(part) = part.filter(|_| made.cut.is_some_and(|cut| cut.more)) {
            self.firsts.retain(|(other, _)| *other != part);
            self.firsts.push((part, now));
        }
        Ok(())
    }

    fn check_whole(&mut self, made: &PacketSpec, now: Instant) -> Result<(), Cause> {
        if let Body::Error(about, _) = &made.body {
            let ours = about.v6 == made.v6 && about.source == 1 && about.destination == made.source;
            let line = about.flow(true).filter(|_| ours);
            let goes_on = line.is_some_and(|line| match self.began(line, now) {
                Some(true) => true,
                Some(false) => self.allows(line.1.1.1, line.1.0.2, about),
                None => false,
            });
            return if goes_on { Ok(()) } else { Err(Cause::NoFlow) };
        }
        let line = made.flow(false);
        let began = line.and_then(|line| self.began(line, now));
        let port = line.map_or(0, |line| line.1.0.2);
        if self.allows(made.source, port, made) {
            if let Some(line) = line.filter(|line| line.0 != icmp(made.v6)) {
                let here = began == Some(true) && !made.opens();
                self.set(line, here, false, now);
            }
            return Ok(());
        }
        match (line, began, &made.body) {
            (_, _, Body::Tcp(..)) if made.opens() => Err(Cause::NoRule),
            (Some(line), Some(true), _) => {
                self.set(line, true, false, now);
                Ok(())
            }
            (_, _, Body::Tcp(..) | Body::Echo(false, _)) => Err(Cause::NoFlow),
            _ => Err(Cause::NoRule),
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(PacketSpec),
    /// From this peer.
    Receive(usize, Vec<PacketSpec>),
    Wait(u64),
    Rule(bool),
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![Just(22_u16), Just(9), Just(40_000)]
}

fn plain_body() -> impl Strategy<Value = Body> {
    let flags = prop_oneof![Just(SYN), Just(ACK), Just(SYN | ACK), Just(FIN | ACK), Just(RST)];
    prop_oneof![
        4 => (port(), port(), flags).prop_map(|(from, to, flags)| Body::Tcp(from, to, flags)),
        3 => (port(), port()).prop_map(|(from, to)| Body::Udp(from, to)),
        2 => (any::<bool>(), 0..2_u16).prop_map(|(asks, id)| Body::Echo(asks, id)),
        1 => Just(Body::Other),
    ]
}

fn cut() -> impl Strategy<Value = Option<FragmentSpec>> {
    let offset = prop_oneof![Just(0_usize), Just(8), Just(80), Just(88)];
    let cut = (0..2_u8, offset, any::<bool>()).prop_map(|(id, offset, more)| FragmentSpec {
        id,
        offset,
        more,
    });
    prop_oneof![3 => Just(None), 1 => cut.prop_map(|cut| Some(cut).filter(|cut| cut.more || cut.offset > 0))]
}

fn made(
    source: impl Strategy<Value = usize>,
    destination: impl Strategy<Value = usize>,
    body: impl Strategy<Value = Body>,
) -> impl Strategy<Value = PacketSpec> {
    let extensions = prop_oneof![
        6 => Just(vec![]),
        1 => prop::collection::vec(prop::bool::weighted(0.2), 1..4),
    ];
    (any::<bool>(), source, destination, extensions, cut(), body).prop_map(
        |(v6, source, destination, extensions, cut, body)| PacketSpec {
            v6,
            source,
            destination,
            extensions,
            cut,
            body,
        },
    )
}

fn inbound() -> impl Strategy<Value = PacketSpec> {
    let about = made(prop_oneof![6 => Just(1_usize), 1 => 0..5_usize], 2..4_usize, plain_body());
    // Enough for the headers of what is quoted: shorter ones are cases of their own.
    let error = (about, prop_oneof![Just(112_usize), Just(2000)])
        .prop_map(|(about, quoted)| Body::Error(Box::new(about), quoted));
    made(
        prop_oneof![8 => 2..4_usize, 1 => 0..5_usize],
        prop_oneof![8 => Just(1_usize), 1 => 0..5_usize],
        prop_oneof![3 => plain_body(), 1 => error],
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => made(Just(1_usize), 2..4_usize, plain_body()).prop_map(Step::Send),
        8 => (2..4_usize, prop::collection::vec(inbound(), 1..4))
            .prop_map(|(peer, packets)| Step::Receive(peer, packets)),
        1 => prop_oneof![1..40_u64, Just(200_u64), Just(250), Just(90_000)].prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Rule),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// The filter judges bytes as the slow one judges what they were made from, cause for cause.
    #[test]
    fn judges_as_a_slow_filter_does(steps in prop::collection::vec(step(), 0..60)) {
        let rules = [
            filter_rule(&[V4[2]], &[(HERE, 22, 22)], &[]),
            filter_rule(&[V6[2]], &[(V6[1], 22, 22)], &[]),
        ];
        let mut node = Node::new(&[]);
        let mut slow = ModelFilter::default();
        let start = node.now;
        for step in steps {
            match step {
                Step::Send(made) => {
                    node.send(&made.bytes());
                    slow.send(&made, start, node.now);
                }
                Step::Receive(peer, packets) => {
                    let id = PeerId(peer as u32);
                    let mut judge = node.filter.judge(&mut node.flows, id, |address| owner(address) == id, node.now);
                    for made in packets {
                        let bytes = made.bytes();
                        let expected = slow.check(&made, peer, node.now).map(|()| bytes.len());
                        prop_assert_eq!(judge.check(&bytes), expected, "{:?}", made);
                    }
                }
                Step::Wait(seconds) => node.now += Duration::from_secs(seconds),
                Step::Rule(rule) => {
                    slow.rule = rule;
                    node.set_rules(if rule { &rules } else { &[] });
                }
            }
        }
    }

    /// Any bytes are judged without a panic, and nothing enters that no rule or flow lets in.
    #[test]
    fn any_bytes_are_judged(
        made in inbound(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        len in any::<prop::sample::Index>(),
        whole: bool,
    ) {
        let mut bytes = made.bytes();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if !whole {
            bytes.truncate(len.index(bytes.len() + 1));
        }
        let mut node = Node::new(&[]);
        prop_assert!(node.check_from(PeerId(2), &bytes).is_err());
        if let Ok(packet) = Packet::parse(&bytes) {
            prop_assert!(packet.len <= bytes.len());
            prop_assert_eq!(packet::destination(&bytes), Some(packet.destination));
            bytes.extend([0xff; 5]);
            prop_assert_eq!(Packet::parse(&bytes), Ok(packet), "padding does not matter");
        }
    }

    /// What is quoted of a packet gives the packet's addresses and ports, as long as 8 bytes after the headers are there.
    #[test]
    fn quoted_headers_are_those_of_the_packet(
        mut made in made(0..5_usize, 0..5_usize, plain_body()),
        len in any::<prop::sample::Index>(),
    ) {
        made.extensions.retain(|sent_on| !sent_on);
        let bytes = made.bytes();
        let extensions = if made.v6 { 8 * (made.extensions.len() + usize::from(made.cut.is_some())) } else { 0 };
        let need = if made.v6 { 40 + extensions } else { 20 } + 8;
        let whole = packet::QuotedPacket::parse(&bytes).unwrap();
        prop_assert_eq!(whole.source, made.address(made.source).parse::<IpAddr>().unwrap());
        prop_assert_eq!(whole.destination, made.address(made.destination).parse::<IpAddr>().unwrap());
        prop_assert_eq!(whole.protocol, made.protocol());
        let ports = made.flow(true).map(|line| (line.1.0.2, line.1.1.2));
        prop_assert_eq!(whole.ports, ports);
        let len = need + len.index(bytes.len() - need + 1);
        prop_assert_eq!(packet::QuotedPacket::parse(&bytes[..len]), Ok(whole));
        for len in 0..need - 8 {
            prop_assert!(packet::QuotedPacket::parse(&bytes[..len]).is_err());
        }
    }
}
