mod changes;
mod routes;
mod wireguard;

use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc};

use control_protocol::{
    key::{MachinePublic, NodePublic},
    map::{DerpMap, Hostinfo, NetInfo, Service},
};
use proptest::prelude::*;

use super::{Access, CompiledNetwork, Entry, Input, TAGGED};
use crate::{
    address::Addresses,
    dns::ExtraDns,
    map::{MapDeltas, View},
    model::{NewNode, Node, Owner, Record, Registrant, User},
    policy::{AddressRanges, RouterAccess},
};

const NOW: i64 = 1_000_000;

pub(crate) fn node(id: u64, owner: Owner) -> Node {
    let byte = u8::try_from(id).unwrap();
    let (machine, node_key) =
        (MachinePublic::from_bytes([byte; 32]), NodePublic::from_bytes([byte; 32]));
    let device = Registrant { machine, node_key, ..Registrant::default() };
    let new = NewNode { id: None, owner, device, expires: None, name: None, wireguard: None };
    let addresses = Addresses::of(Ipv4Addr::new(100, 64, 0, byte));
    let mut node = new.into_node(id, (format!("n{id}"), format!("node-{id}")), addresses, 0);
    node.times.last_seen = Some(5);
    node
}

/// Nodes as an input has them.
fn shared(nodes: &[Node]) -> Arc<[Arc<Node>]> {
    nodes.iter().cloned().map(Arc::new).collect()
}

/// A network whose node n lets in the nodes `lets_in[n - 1]`.
fn network(nodes: &[Node], lets_in: &[&[u64]]) -> CompiledNetwork {
    let users = [User { id: 1, name: "alice".to_owned(), created: 0 }];
    let records = [Record { name: "chat".to_owned(), node: 1 }];
    let mut compiled = CompiledNetwork::build(
        &Input {
            domain: "maru.home.arpa",
            users: &users,
            nodes: &shared(nodes),
            records: &records,
            names: Arc::default(),
            policy: &acl::Policy::parse("{}").unwrap(),
            policy_revision: 1,
            online: &Arc::new(BTreeSet::from([1])),
            derp: Arc::new(DerpMap::default()),
            now: NOW,
        },
        None,
    );
    for (index, from) in lets_in.iter().enumerate() {
        let id = u64::try_from(index).unwrap() + 1;
        let rule = acl::Rule {
            src_ips: from.iter().map(|id| format!("100.64.0.{id}")).collect(),
            dst_ports: vec![acl::DstPort { ip: "*".to_owned(), first: 0, last: 65535 }],
            ip_proto: Vec::new(),
            cap_grant: Vec::new(),
        };
        let rules = crate::policy::to_wire(&rule);
        let access = Arc::new(Access {
            sources: AddressRanges::sources(&rules),
            answers: AddressRanges::default(),
            router: RouterAccess::of(&rules),
            rules: Arc::new(rules),
        });
        set_access(&mut compiled, id, access);
    }
    compiled
}

fn set_access(compiled: &mut CompiledNetwork, id: u64, access: Arc<Access>) {
    if let Some(entry) = compiled.entries.get(id) {
        let entry = Entry { access, ..Entry::clone(entry) };
        compiled.entries.replace(id, Arc::new(entry));
    }
}

fn peers(view: &View) -> Vec<i64> {
    view.peers.keys().copied().collect()
}

#[test]
fn nodes_see_each_other_if_either_may_talk() {
    let nodes = [
        node(1, Owner::tags(vec!["tag:home".to_owned()])),
        node(2, Owner::User(1)),
        node(3, Owner::User(1)),
    ];

    let compiled = network(&nodes, &[&[2], &[], &[]]);

    assert_eq!(peers(&compiled.view(1).unwrap()), [2]);
    assert_eq!(peers(&compiled.view(2).unwrap()), [1]);
    assert_eq!(peers(&compiled.view(3).unwrap()), [0_i64; 0]);
    assert_eq!(compiled.view(4), None);
}

#[test]
fn an_expired_node_is_in_no_map_and_has_none() {
    let mut expired = node(2, Owner::User(1));
    expired.times.expires = Some(NOW);

    let compiled = network(&[node(1, Owner::User(1)), expired], &[&[2], &[1]]);

    assert_eq!(peers(&compiled.view(1).unwrap()), [0_i64; 0]);
    assert_eq!(compiled.view(2), None);
}

/// A network of alice's devices and of tagged ones under the first policy.
fn under_first_policy(nodes: &[Node], previous: Option<&CompiledNetwork>) -> CompiledNetwork {
    let input = Input {
        domain: "maru.home.arpa",
        users: &[User { id: 1, name: "alice".to_owned(), created: 0 }],
        nodes: &shared(nodes),
        records: &[],
        names: Arc::default(),
        policy: &acl::Policy::parse(&crate::policy::first()).unwrap(),
        policy_revision: 1,
        online: &Arc::default(),
        derp: Arc::new(DerpMap::default()),
        now: NOW,
    };
    CompiledNetwork::build(&input, previous)
}

#[test]
fn an_expired_node_is_nobody_to_the_policy() {
    let home = node(3, Owner::tags(vec!["tag:home".to_owned()]));
    let let_in = |expires| {
        let mut laptop = node(2, Owner::User(1));
        laptop.times.expires = expires;
        // The policy speaks of nodes by their place: an expired one before others must not shift it.
        let nodes = [laptop, home.clone(), node(4, Owner::User(1))];
        let compiled = under_first_policy(&nodes, None);
        assert!(compiled.view(4).unwrap().rules.is_empty(), "nobody reaches a member's device");
        let rules = compiled.view(3).unwrap().rules;
        let sources = rules[0].src_ips.iter().filter(|ip| ip.contains('.'));
        sources.cloned().collect::<Vec<_>>()
    };

    assert_eq!(let_in(None), ["100.64.0.2", "100.64.0.4"]);
    assert_eq!(let_in(Some(NOW)), ["100.64.0.4"]);
}

#[test]
fn a_node_that_comes_is_let_in_where_the_policy_says_so() {
    let nodes = [node(1, Owner::tags(vec!["tag:home".to_owned()])), node(2, Owner::User(1))];

    let alone = under_first_policy(&nodes[..1], None);
    let both = under_first_policy(&nodes, Some(&alone));

    assert!(alone.view(1).unwrap().rules.is_empty());
    assert!(both.view(1).unwrap().rules[0].src_ips.contains(&"100.64.0.2".to_owned()));
}

#[test]
fn peers_learn_of_what_a_device_says_of_itself_only_what_it_is() {
    let mut laptop = node(2, Owner::User(1));
    laptop.claims.hostinfo = Hostinfo {
        hostname: "laptop".to_owned(),
        os: "linux".to_owned(),
        services: vec![Service { proto: "tcp".to_owned(), port: 22, ..Service::default() }],
        net_info: Some(NetInfo { preferred_derp: 1 }),
        ..Hostinfo::default()
    };

    let view = network(&[node(1, Owner::User(1)), laptop], &[&[2], &[]]).view(1).unwrap();

    let told = view.peers[&2].hostinfo.clone().unwrap();
    assert_eq!((told.hostname.as_str(), told.os.as_str()), ("laptop", "linux"));
    assert_eq!((told.services, told.net_info), (Vec::new(), None));
}

#[test]
fn a_record_follows_its_node_and_is_told_to_those_who_see_it() {
    let nodes = [
        node(1, Owner::tags(vec!["tag:home".to_owned()])),
        node(2, Owner::User(1)),
        node(3, Owner::User(1)),
    ];
    let compiled = network(&nodes, &[&[2], &[], &[]]);

    let records = compiled.view(2).unwrap().dns.extra_records;

    assert_eq!(records.len(), 2);
    assert_eq!(
        (records[0].name.as_str(), records[0].value.as_str()),
        ("chat.maru.home.arpa", "100.64.0.1")
    );
    assert_eq!(
        (records[1].r#type.as_str(), records[1].value.as_str()),
        ("AAAA", "fd7a:115c:a1e0::6440:1")
    );
    assert!(compiled.view(3).unwrap().dns.extra_records.is_empty());
}

#[test]
fn a_node_is_written_as_clients_want_it() {
    let nodes = [node(1, Owner::tags(vec!["tag:home".to_owned()])), node(2, Owner::User(1))];
    let compiled = network(&nodes, &[&[2], &[]]);

    let view = compiled.view(2).unwrap();
    let home = &view.peers[&1];

    assert_eq!(home.name, "node-1.maru.home.arpa.");
    assert_eq!(home.user, TAGGED.0);
    assert_eq!(home.tags, ["tag:home"]);
    assert_eq!((home.online, home.last_seen.as_deref()), (Some(true), None));
    assert_eq!(view.node.last_seen.as_deref(), Some("1970-01-01T00:00:00Z"));
    assert_eq!(view.profiles.keys().copied().collect::<Vec<_>>(), [1, TAGGED.0]);
}

#[test]
fn what_did_not_change_is_not_made_again() {
    let nodes = shared(&[node(1, Owner::User(1)), node(2, Owner::User(1))]);
    let users = [User { id: 1, name: "alice".to_owned(), created: 0 }];
    let policy = acl::Policy::parse("{}").unwrap();
    let input = Input {
        domain: "maru.home.arpa",
        users: &users,
        nodes: &nodes,
        records: &[],
        names: Arc::default(),
        policy: &policy,
        policy_revision: 1,
        online: &Arc::default(),
        derp: Arc::new(DerpMap::default()),
        now: NOW,
    };
    let before = CompiledNetwork::build(&input, None);

    let kept = |compiled: &CompiledNetwork| -> Vec<(bool, bool)> {
        let pairs = before.entries.iter().zip(compiled.entries.iter());
        pairs
            .map(|((_, a), (_, b))| {
                (Arc::ptr_eq(&a.access, &b.access), Arc::ptr_eq(&a.wire, &b.wire))
            })
            .collect()
    };
    assert_eq!(kept(&CompiledNetwork::build(&input, Some(&before))), [(true, true), (true, true)]);
    let online = Input { online: &Arc::new(BTreeSet::from([2])), ..input.clone() };
    assert_eq!(
        kept(&CompiledNetwork::build(&online, Some(&before))),
        [(true, true), (true, false)]
    );
    let policy = Input { policy_revision: 2, ..input };
    assert_eq!(
        kept(&CompiledNetwork::build(&policy, Some(&before))),
        [(false, true), (false, true)]
    );
}

#[test]
fn a_change_concerns_those_alone_who_see_the_node() {
    let mut nodes = shared(&[1, 2, 3, 4].map(|id| node(id, Owner::User(1)))).to_vec();
    let (users, policy) = ([], acl::Policy::parse("{}").unwrap());
    let (names, derp) = (Arc::default(), Arc::new(DerpMap::default()));
    let compiled = |nodes: &[Arc<Node>], previous: Option<&CompiledNetwork>, online: &[u64]| {
        let input = Input {
            domain: "maru.home.arpa",
            users: &users,
            nodes: &nodes.into(),
            records: &[],
            names: Arc::clone(&names),
            policy: &policy,
            policy_revision: 1,
            online: &Arc::new(online.iter().copied().collect()),
            derp: Arc::clone(&derp),
            now: NOW,
        };
        CompiledNetwork::build(&input, previous)
    };
    let mut before = compiled(&nodes, None, &[]);
    // The third lets in the first.
    let rules = network(&[1, 2, 3].map(|id| node(id, Owner::User(1))), &[&[], &[], &[1]]);
    set_access(&mut before, 3, Arc::clone(&rules.entries.get(3).unwrap().access));

    let same = compiled(&nodes, Some(&before), &[]);
    assert_eq!(same.audience(&before), Some(BTreeSet::new()));
    let came = compiled(&nodes, Some(&before), &[4]);
    assert_eq!(came.audience(&before), Some([4].into()), "nobody sees it");
    Arc::make_mut(&mut nodes[2]).claims.endpoints = vec![([192, 0, 2, 1], 1).into()];
    let moved = compiled(&nodes, Some(&before), &[]);
    assert_eq!(moved.audience(&before), Some([1, 3].into()));
    assert!(Arc::ptr_eq(moved.entries.get(2).unwrap(), before.entries.get(2).unwrap()));
    Arc::make_mut(&mut nodes[2]).times.expires = Some(NOW + 1);
    assert_eq!(compiled(&nodes, Some(&moved), &[]).audience(&moved), None);
}

proptest! {
    /// What one device calls itself never costs another its map: nothing in it has to be escaped.
    #[test]
    fn pitfall_7_no_device_spoils_anothers_map(hostname in any::<String>(), os in any::<String>()) {
        let mut odd = node(2, Owner::User(1));
        odd.claims.hostinfo.hostname = hostname;
        odd.claims.hostinfo.os = os;
        let view = network(&[node(1, Owner::User(1)), odd], &[&[2], &[]]).view(1).unwrap();

        let json = serde_json::to_string(&MapDeltas::default().next(view, NOW)).unwrap();

        prop_assert!(!json.contains('\\'), "{json}");
    }

    /// Visibility is mutual whatever the rules say, and nobody sees a node that lets nobody in and is let in by nobody.
    #[test]
    fn seeing_is_mutual(edges in prop::collection::vec((1_u64..6, 1_u64..6), 0..12)) {
        let nodes: Vec<Node> = (1..6).map(|id| node(id, Owner::User(1))).collect();
        let lets_in: Vec<Vec<u64>> = (1..6)
            .map(|id| edges.iter().filter(|(to, _)| *to == id).map(|(_, from)| *from).collect())
            .collect();
        let slices: Vec<&[u64]> = lets_in.iter().map(Vec::as_slice).collect();
        let compiled = network(&nodes, &slices);

        for a in 1..6_u64 {
            for b in (1..6_u64).filter(|b| *b != a) {
                let sees = |x: u64, y: u64| compiled.view(x).unwrap().peers.contains_key(&i64::try_from(y).unwrap());
                let may = edges.contains(&(a, b)) || edges.contains(&(b, a));
                prop_assert_eq!(sees(a, b), may);
                prop_assert_eq!(sees(b, a), may);
            }
        }
    }

    /// A client that applies every response holds exactly the view, however the network changed.
    #[test]
    fn deltas_add_up_to_the_view(steps in prop::collection::vec(prop::collection::vec((1_u64..6, 1_u64..6), 0..12), 1..6)) {
        let nodes: Vec<Node> = (1..6).map(|id| node(id, Owner::User(1))).collect();
        let mut deltas = MapDeltas::default();
        let mut held = std::collections::BTreeMap::new();
        for edges in steps {
            let lets_in: Vec<Vec<u64>> = (1..6)
                .map(|id| edges.iter().filter(|(to, _)| *to == id).map(|(_, from)| *from).collect())
                .collect();
            let slices: Vec<&[u64]> = lets_in.iter().map(Vec::as_slice).collect();
            let view = network(&nodes, &slices).view(1).unwrap();

            if let Some(response) = deltas.next(view.clone(), NOW) {
                for peer in response.peers.into_iter().flatten().chain(response.peers_changed) {
                    held.insert(peer.id, peer);
                }
                for id in response.peers_removed {
                    prop_assert!(held.remove(&id).is_some(), "a peer was removed that was never told");
                }
            }

            let told: Vec<_> = view.peers.iter().map(|(id, peer)| (*id, control_protocol::map::Node::clone(peer))).collect();
            prop_assert_eq!(held.clone().into_iter().collect::<Vec<_>>(), told);
            prop_assert_eq!(deltas.next(view, NOW), None, "the same view was told twice");
        }
    }
}

#[test]
fn a_public_certificate_is_for_the_names_that_the_admin_gave_to_the_node() {
    let nodes = [node(1, Owner::tags(vec!["tag:home".to_owned()])), node(2, Owner::User(1))];
    let records =
        [("chat", 1), ("rooms", 1), ("nas", 2)].map(|(name, node)| (name.to_owned(), node));
    let records = records.map(|(name, node)| Record { name, node });
    let certified = ["chat", "rooms"].map(|label| format!("{label}.home.example.org"));
    let names = ExtraDns::default().certifying(certified.clone());
    let input = Input {
        domain: "home.example.org",
        users: &[User { id: 1, name: "alice".to_owned(), created: 0 }],
        nodes: &shared(&nodes),
        records: &records,
        names: Arc::new(names),
        policy: &acl::Policy::parse(&crate::policy::first()).unwrap(),
        policy_revision: 1,
        online: &Arc::default(),
        derp: Arc::new(DerpMap::default()),
        now: NOW,
    };
    let compiled = CompiledNetwork::build(&input, None);

    assert_eq!(compiled.certified_names(1), certified);
    assert_eq!(compiled.view(1).unwrap().dns.cert_domains, certified);
    assert!(compiled.certified_names(2).is_empty(), "its name is no service's");
    assert!(compiled.view(2).unwrap().dns.cert_domains.is_empty());
    let input = Input { names: Arc::default(), ..input };
    assert!(CompiledNetwork::build(&input, None).certified_names(1).is_empty(), "it is off");
}
