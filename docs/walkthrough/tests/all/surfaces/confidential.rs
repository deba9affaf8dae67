//! The endpoints of the confidential chain, and for which machine each is.
//!
//! Fails if a running server answers to a path or a method that its list does not have, or
//! if it does anything for a machine of another role than the endpoint is for. Each refusal stands beside the machine that
//! is let in.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use confidential_api::endpoints::{auth, gateway, node, relay, router};
use endpoint::{Callers, Declaration};
use lab::{
    confidential::{Chain, Holder, Host, Measurement},
    topology::Topology,
};

use super::{Answered, asked, names, of, without_placeholders};

/// Every surface of the chain but the engine's and that of a node's parts among themselves, which no machine reaches; who
/// may call it, and the endpoints that others may call.
type Judged = (&'static str, &'static [Declaration], Callers, &'static [&'static str]);
const SURFACES: [Judged; 5] = [
    ("confidential relay", relay::ENDPOINTS, Callers::Anyone, &[]),
    ("confidential gateway", gateway::ENDPOINTS, Callers::Anyone, &[]),
    (
        "confidential router",
        router::ENDPOINTS,
        Callers::Role("gateway"),
        &["POST /node-events", "GET /ping", "GET /_health"],
    ),
    ("confidential auth", auth::ENDPOINTS, Callers::Anyone, &[]),
    ("confidential node", node::ENDPOINTS, Callers::Role("router"), &[]),
];

#[test]
fn every_endpoint_of_the_chain_is_for_the_machines_that_its_server_is_for() {
    for (surface, endpoints, class, others) in SURFACES {
        let found = endpoints.iter().filter(|endpoint| endpoint.callers != class);
        assert_eq!(names(found), others.iter().map(ToString::to_string).collect(), "{surface}");
    }
    assert_eq!(router::NODE_EVENTS.declaration.callers, Callers::Role("node"));
    assert_eq!(router::PING.declaration.callers, Callers::Certified);
    assert_eq!(router::HEALTH.declaration.callers, Callers::Certified);
}

/// The endpoints of each surface, as they are declared.
pub(super) fn declared() -> impl Iterator<Item = (&'static str, BTreeSet<String>)> {
    SURFACES.into_iter().map(|(surface, endpoints, ..)| (surface, names(endpoints)))
}

/// What the servers of the chain have.
pub(super) fn of_the_product() -> [(&'static str, Vec<Declaration>); 5] {
    [
        ("confidential relay", confidential_server::relay::list()),
        ("confidential gateway", confidential_server::gateway::list()),
        ("confidential router", confidential_server::router::list()),
        ("confidential auth", confidential_server::auth::list()),
        ("confidential node", maru_compute::router_com::list()),
    ]
}

/// A certificate of the deployment, of a role or of none; `None` shows no certificate.
type Shown<'a> = Option<(&'a Host, &'static str)>;

/// Asks with what Debian has for this, from a machine of the chain; none if it was not let in as far as HTTP.
fn ask(
    from: &Host,
    authority: &Path,
    shown: Shown<'_>,
    method: &str,
    url: &str,
) -> Option<Answered> {
    let mut curl = from.instance.machine.command("curl");
    curl.args(["--silent", "--include", "--max-time", "60", "--http1.1", "--path-as-is"]);
    curl.arg("--cacert").arg(authority).args(["--request", method]);
    if method != "GET" {
        curl.args(["--data-binary", ""]);
    }
    if let Some((host, name)) = shown {
        let file = |kind: &str| host.path(&format!("etc/maru/confidential/{name}.{kind}"));
        curl.arg("--cert").arg(file("crt")).arg("--key").arg(file("key"));
    }
    let out = curl.arg(url).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    // Beside what a refused handshake ends with, nothing may go wrong: 35 at once, 56 when reading (TLS 1.3).
    let code = out.status.code().unwrap();
    assert!([0, 35, 56].contains(&code), "curl {method} {url}: {code}");
    let (head, _) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some(asked((status, head.to_ascii_lowercase())))
}

/// A running surface: its name, where it is, and with which certificate all of it can be asked.
struct Surface<'a> {
    name: &'static str,
    url: String,
    insider: Shown<'a>,
}

fn surfaces(chain: &Chain) -> [Surface<'_>; 5] {
    let url = |host: &Host, port: u16| format!("https://{}:{port}", host.address);
    let node = &chain.nodes[0].host;
    let gateway = Some((&chain.gateway, "gateway"));
    let router = Some((&chain.gateway, "router"));
    [
        ("confidential relay", url(&chain.relay, 3100), None),
        ("confidential gateway", url(&chain.gateway, 3200), None),
        ("confidential router", url(&chain.gateway, 3600), gateway),
        ("confidential auth", url(&chain.auth, 8080), None),
        ("confidential node", url(node, 8081), router),
    ]
    .map(|(name, url, insider)| Surface { name, url, insider })
}

/// Whether somebody who shows this may use an endpoint of this class.
fn is_for(class: Callers, shown: Shown<'_>) -> bool {
    let role = shown.map(|(_, name)| name);
    let is_role = |role| class == Callers::Role(role);
    class == Callers::Anyone
        || role.is_some_and(|role| class == Callers::Certified || is_role(role))
}

#[test]
#[ignore = "needs: root, model, swtpm"]
fn each_server_of_the_chain_answers_to_its_endpoints_and_to_their_callers_alone() {
    let state = tempfile::tempdir().unwrap();
    let model = PathBuf::from(std::env::var_os("MARU_TEST_MODEL").expect("a model"));
    let mut topology = Topology::new(&[]).unwrap();
    let nodes = [(Holder::Enclave, Measurement::TheImage)];
    let chain = Chain::start(&mut topology, state.path(), &model, &nodes).unwrap();
    let (from, authority) = (&chain.auth, chain.authority());
    let callers: [Shown<'_>; 5] = [
        None,
        Some((&chain.relay, "relay")),
        Some((&chain.gateway, "gateway")),
        Some((&chain.gateway, "router")),
        Some((&chain.nodes[0].host, "node")),
    ];
    let all: BTreeSet<_> =
        SURFACES.iter().flat_map(|(_, endpoints, ..)| of(*endpoints).into_keys()).collect();
    for Surface { name, url, insider } in surfaces(&chain) {
        let (_, endpoints, ..) = SURFACES.iter().find(|(known, ..)| *known == name).unwrap();
        let own: BTreeMap<&str, BTreeSet<String>> = of(*endpoints);
        for path in all.iter().copied().chain(["/no-such-path"]) {
            let url = format!("{url}{}", without_placeholders(path));
            let (status, allowed) = ask(from, authority, insider, "PURGE", &url).unwrap();
            match own.get(path) {
                Some(methods) => assert_eq!((status, &allowed), (405, methods), "{name}: {path}"),
                None => assert_eq!(status, 404, "{name}: {path} is not on the list"),
            }
        }
        for endpoint in *endpoints {
            let (method, path) = (endpoint.method.name(), endpoint.path);
            for shown in callers {
                let answer = ask(from, authority, shown, method, &format!("{url}{path}"));
                let is_refused = answer.as_ref().is_none_or(|(status, _)| *status == 403);
                let who = shown.map_or("nobody", |(_, name)| name);
                assert_eq!(
                    is_refused,
                    !is_for(endpoint.callers, shown),
                    "{name}: {endpoint} by {who}: {answer:?}"
                );
            }
        }
    }
}
