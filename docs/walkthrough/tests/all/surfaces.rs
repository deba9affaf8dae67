//! Every socket and every HTTP endpoint of the house, and for whom it is.
//!
//! An endpoint's declaration says who may call it. Fails if the product has a link or a surface that is not named here, or a
//! surface serves more than is declared for it; if a link answers a user whom its class leaves out; if a running surface
//! answers to a path or a method that its list does not have; or if an endpoint answers somebody of another class.

mod confidential;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
};

use ai_gateway_api::{endpoints, rooms, sealed::path};
use coordinator_api::public;
use endpoint::{Callers as Class, Declaration, Method};
use lab::{Deployment, ROOT, topology::HOME};
use mesh_identity::{Header, LOCAL};
use services::{Link, SERVICES, links};
use telmeet_api::{plugin, rooms::ADMIN as OF_ROOMS};
use testkit::blocking::http;

use super::support::{
    app::{CHAT, OWN, PATIENCE},
    caller::{Caller, NOBODY, header},
};

/// Who may call a link, and what keeps the others out.
enum Callers {
    /// This user; the listener asks the kernel who calls.
    Only(&'static str),
    /// This user; the folder lets nobody else in (but root, who is let in everywhere).
    Folder(&'static str),
    /// Every user of the machine; what changes something is for root.
    Everyone,
}

use Callers::{Everyone, Folder, Only};

/// Every link: a socket below `run/maru/`. Users are named by their service.
const CALLERS: &[(&str, Callers)] = &[
    ("coordinator", Only("root")),
    ("inference", Folder("gateway")),
    ("inference-2", Folder("gateway")),
    ("gateway", Only("agent")),
    ("plugin", Only("telmeet")),
    ("participant", Only("participant")),
    ("metrics", Only("root")),
    ("telmeet", Only("agent")),
    ("rooms", Only("participant")),
    ("rooms-admin", Only("root")),
    ("participant-admin", Only("root")),
    ("agent", Everyone),
];

/// The lists of a surface's endpoints, and who may call them.
type Lists = &'static [(&'static [Declaration], Class)];

/// Every HTTP surface of the house but the engines' (whom their folders let in may call all of it), and what it serves.
const SURFACES: &[(&str, Lists)] = &[
    ("coordinator", &[(public::ENDPOINTS, Class::Anyone)]),
    ("noise", &[(public::CHANNEL, Class::Machine)]),
    ("admin", &[(coordinator_api::endpoints::ENDPOINTS, Class::Root)]),
    ("counters", &[(public::COUNTERS, Class::Root)]),
    ("relay", &[(derp::http::ENDPOINTS, Class::Anyone)]),
    ("up", &[(cli::control::ENDPOINTS, Class::Root)]),
    ("local", &[(node_agent_api::endpoints::ENDPOINTS, Class::Root)]),
    ("trust", &[(node_agent_api::endpoints::TRUST, Class::Member)]),
    (
        "gateway",
        &[
            (endpoints::SEALED, Class::Member),
            (endpoints::DEVICES, Class::Member),
            (endpoints::OPENAI, Class::App),
            (endpoints::OLLAMA, Class::App),
            (endpoints::OLLAMA_MANAGE, Class::App),
            (endpoints::HEALTH, Class::Member),
        ],
    ),
    ("plugin", &[(endpoints::SEALED, Class::Member), (endpoints::HEALTH, Class::Member)]),
    ("participant", &[(endpoints::ROOMS, Class::Participant)]),
    ("metrics", &[(endpoints::ADMIN, Class::Root)]),
    ("participant-admin", &[(telmeet_api::participant::PARTICIPANT, Class::Root)]),
    (
        "telmeet",
        &[
            (endpoints::SEALED, Class::Member),
            (endpoints::ALIASES, Class::Member),
            (endpoints::HEALTH, Class::Member),
        ],
    ),
    ("rooms-admin", &[(OF_ROOMS, Class::Root)]),
];

/// The endpoints that others may call than those of their list.
const OTHERS: &[(&str, &str, Class)] = &[
    ("coordinator", "POST /register/{ticket}", Class::Invited),
    ("coordinator", "ANY /api/v1/{*rest}", Class::ApiKey),
    ("local", "GET /v1/authority", Class::User),
    ("local", "GET /v1/netcheck", Class::User),
    ("local", "GET /v1/status", Class::User),
    ("local", "GET /v1/whois/{node}", Class::User),
    ("local", "POST /v1/ping/{node}", Class::User),
    ("gateway", "POST /maru/v1/chat", Class::Sealed),
    ("plugin", "POST /maru/v1/chat", Class::Sealed),
    ("telmeet", "POST /maru/v1/chat", Class::Sealed),
    ("telmeet", "POST /api/chat", Class::Sealed),
];

/// What each surface of the product serves.
fn of_the_product() -> BTreeMap<&'static str, Vec<Declaration>> {
    let mut found = BTreeMap::from(coordinator::endpoints());
    found.extend(ai_gateway::routes::endpoints());
    found.insert("local", node_agent::endpoints());
    found.insert("trust", node_agent::trust_endpoints());
    found.insert("telmeet", telmeet::endpoints());
    found.insert("rooms-admin", telmeet::admin::endpoints());
    found.insert("participant-admin", maru_participant::endpoints());
    found.insert("up", cli::control::endpoints());
    found.extend(confidential::of_the_product());
    found
}

/// Endpoints as they are displayed.
fn names<'a>(endpoints: impl IntoIterator<Item = &'a Declaration>) -> BTreeSet<String> {
    endpoints.into_iter().map(ToString::to_string).collect()
}

fn uid(name: &str) -> u32 {
    if name == "root" {
        return 0;
    }
    SERVICES.iter().find(|service| service.name == name).expect("a service").uid
}

#[test]
fn every_link_is_classified_and_called_by_whom_its_class_names() {
    let known: Vec<_> = links().map(|link| link.name).collect();
    let classified: Vec<_> = CALLERS.iter().map(|(name, _)| *name).collect();
    assert_eq!(known, classified);
    for (link, (_, callers)) in links().zip(CALLERS) {
        let callers = match callers {
            Only("root") | Everyone => vec![],
            Only(name) | Folder(name) => vec![*name],
        };
        let calling = SERVICES.iter().filter(|service| service.calls.contains(link));
        let calling: Vec<_> = calling.map(|service| service.name).collect();
        assert_eq!(calling, callers, "{}", link.name);
        let listening = SERVICES.iter().filter(|service| service.listens.contains(link));
        assert_eq!(listening.count(), 1, "{}", link.name);
    }
}

/// A dial is a way out, for one user each ([`node_agent::dial`]): only the gateway has a use for them, and only the agent
/// makes them.
#[test]
fn the_folder_of_dials_is_the_agents_to_fill_and_the_gateways_to_use() {
    let sees = |writable| {
        let is_it = move |mount: &services::Mount| {
            mount.path == services::DIALS && mount.is_writable() == writable
        };
        let who = SERVICES.iter().filter(move |service| service.mounts.iter().any(is_it));
        who.map(|service| service.name).collect::<Vec<_>>()
    };
    assert_eq!((sees(true), sees(false)), (vec!["agent"], vec!["gateway"]));
    assert!(links().all(|link| link.directory() != services::DIALS));
}

/// A new surface, or a list that a surface serves besides, is judged here first; so is a class of callers.
#[test]
fn every_surface_serves_the_endpoints_that_are_declared_for_it() {
    let found: BTreeMap<_, _> =
        of_the_product().iter().map(|(surface, endpoints)| (*surface, names(endpoints))).collect();
    let mut declared = BTreeMap::from_iter(confidential::declared());
    let mut others = BTreeSet::new();
    for (surface, lists) in SURFACES {
        declared.insert(*surface, names(lists.iter().flat_map(|(list, _)| *list)));
        for (list, class) in *lists {
            for endpoint in list.iter().filter(|endpoint| endpoint.callers != *class) {
                others.insert((*surface, endpoint.to_string(), endpoint.callers));
            }
        }
    }
    let judged = OTHERS.iter().map(|(surface, name, class)| (*surface, (*name).to_owned(), *class));
    assert_eq!(others, judged.collect());
    assert_eq!(found, declared);
}

/// Its HTTP is not axum's, so it is asked here what the running surfaces are asked below.
#[test]
fn the_relay_answers_to_its_endpoints_and_to_nothing_else() {
    let relay = names(derp::http::ENDPOINTS);
    let all = of_the_product();
    let paths: BTreeSet<_> = all.values().flatten().map(|endpoint| endpoint.path).collect();
    for path in paths.into_iter().chain(["/", "/derp/", "/no-such-path"]) {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PURGE"] {
            let endpoint = format!("{method} {path}");
            let request = format!("{endpoint} HTTP/1.1\r\nUpgrade: DERP\r\n\r\n");
            let (asked, _) = derp::http::parse_request(request.as_bytes()).unwrap().unwrap();
            let is_answered = asked != derp::http::Request::Other;
            assert_eq!(is_answered, relay.contains(&endpoint), "{endpoint}");
        }
    }
}

#[test]
fn every_router_is_built_from_a_list() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let found = Command::new("git")
        .args(["grep", "--untracked", "-l", "-F", "-e", "Router::new()", "--", "*/src/*.rs"])
        .args([":!*/tests.rs", ":!*/tests/*"])
        .current_dir(root)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "chassis/src/endpoint.rs\n");
}

/// A question that the link's callers are answered with 200: its path and Host, and on which mesh port they speak for a
/// device.
fn question(link: &Link) -> (&'static str, &'static str, Option<u16>) {
    match link.name {
        "coordinator" => ("/api/v1/health", "localhost", None),
        "agent" => ("/v1/status", "localhost", None),
        "gateway" => (path::KEYS, OWN, Some(18789)),
        "plugin" => (path::KEYS, plugin::HOST, Some(80)),
        "participant" => (rooms::path::SETTINGS, plugin::HOST, None),
        "metrics" => ("/metrics", "localhost", None),
        "rooms-admin" => ("/maru/v1/totals", "localhost", None),
        "rooms" => ("/_matrix/client/versions", "rooms", None),
        "participant-admin" => ("/healthz", "localhost", None),
        "telmeet" => (path::KEYS, CHAT, Some(80)),
        "inference" | "inference-2" => ("/health", "localhost", None),
        new => panic!("what may be asked at {new}?"),
    }
}

#[test]
#[ignore = "needs: root, podman, model"]
fn each_link_answers_its_callers_and_no_other_user() {
    let mut deployment = Deployment::start().unwrap();
    let alice = deployment.member("laptop", "alice").unwrap();
    let pid = deployment.home.machine.pid();
    let mut users: BTreeSet<(u32, u32)> =
        SERVICES.iter().map(|service| (service.uid, service.gid)).collect();
    users.extend([(0, 0), (NOBODY, NOBODY)]);
    let mut wrong = Vec::new();
    for (link, (_, callers)) in links().zip(CALLERS) {
        let socket = link.path(Path::new(ROOT)).display().to_string();
        let (path, host, port) = question(link);
        let header =
            port.map(|port| header(&deployment, &alice.instance, "alice", port).encode().unwrap());
        let ask = |uid, gid| {
            let preface = header.as_deref().unwrap_or_default();
            let caller = Caller { pid, uid, gid };
            outcome(caller.answer(&socket, preface, ("GET", path, host), None))
        };
        let mut expect = |what: String, found: Outcome, expected: Outcome| {
            if found != expected {
                wrong.push(format!("{}: {what}: {found:?}, not {expected:?}", link.name));
            }
        };
        for &(user, own) in &users {
            match callers {
                Everyone => expect(format!("user {user}"), ask(user, own), ANSWERED),
                Only(name) => {
                    // In the link's group, so that the folder lets it in and the listener has to tell.
                    let is_caller = user == uid(name);
                    let heard = |is_heard| if is_heard { ANSWERED } else { CLOSED };
                    expect(format!("user {user}"), ask(user, link.group), heard(is_caller));
                    if header.is_some() {
                        // Who names no person may ask whether the service is well, if heard at all.
                        let caller = Caller { pid, uid: user, gid: link.group };
                        let local = |path| outcome(caller.locally(&socket, path));
                        let is_heard = is_caller || user == 0;
                        expect(format!("health by {user}"), local("/healthz"), heard(is_heard));
                        let refused = if is_heard { Ok(Some(403)) } else { CLOSED };
                        expect(format!("keys by {user}"), local(path::KEYS), refused);
                    }
                }
                Folder(name) => {
                    // The listener's own user may call itself.
                    let enters = [0, uid(name), link.owner].contains(&user);
                    let expected = if enters { ANSWERED } else { KEPT_OUT };
                    expect(format!("user {user}"), ask(user, own), expected);
                }
            }
            // Nobody enters by the group of another service.
            if own != link.group && !matches!(callers, Everyone) {
                expect(format!("group {own}"), ask(NOBODY, own), KEPT_OUT);
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// The status of an answer, none if the connection was closed without one; or why there was no connection.
type Outcome = Result<Option<u16>, io::ErrorKind>;

const ANSWERED: Outcome = Ok(Some(200));
/// By the listener.
const CLOSED: Outcome = Ok(None);
/// By the folder.
const KEPT_OUT: Outcome = Err(io::ErrorKind::PermissionDenied);

fn outcome(answer: io::Result<Option<http::Response<UnixStream>>>) -> Outcome {
    answer.map(|answer| answer.map(|it| it.status)).map_err(|error| error.kind())
}

/// Status and `Allow` of the answer to a method that nobody serves.
type Answered = (u16, BTreeSet<String>);

fn asked((status, head): (u16, String)) -> Answered {
    let allow = head.lines().find_map(|line| line.strip_prefix("allow:"));
    let methods = allow.unwrap_or_default().split(',').map(|it| it.trim().to_ascii_uppercase());
    (status, methods.filter(|method| !method.is_empty()).collect())
}

/// The methods of each path.
fn of<'a>(
    endpoints: impl IntoIterator<Item = &'a Declaration>,
) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut paths = BTreeMap::<_, BTreeSet<String>>::new();
    for endpoint in endpoints {
        let methods = paths.entry(endpoint.path).or_default();
        methods.insert(endpoint.method.name().to_owned());
        // axum answers HEAD where it answers GET.
        methods.extend((endpoint.method == Method::GET).then(|| "HEAD".to_owned()));
    }
    paths
}

/// A path that `/devices/{device}` stands for.
fn without_placeholders(path: &str) -> String {
    path.replace(['{', '}', '*'], "")
}

/// Requires that a running surface answers to exactly the endpoints of its list, among all that the house has.
fn answers_exactly(surface: &str, ask: impl Fn(&str) -> (u16, String)) {
    let all = of_the_product();
    let own = of(&all[surface]);
    for path in of(all.values().flatten()).into_keys().chain(["/", "/no-such-path"]) {
        let answer = asked(ask(&without_placeholders(path)));
        // What is below a path that ends with a wildcard is answered as that.
        let is_below =
            |own: &str| own.strip_suffix("{*rest}").is_some_and(|it| path.starts_with(it));
        let known = own.get_key_value(path).or_else(|| own.iter().find(|(own, _)| is_below(own)));
        match known.map(|(_, methods)| methods) {
            // Whatever the method: it is there to refuse.
            Some(methods) if methods.contains("ANY") => {
                assert_eq!(answer.0, 403, "{surface}: {path}");
            }
            Some(methods) => assert_eq!(answer, (405, methods.clone()), "{surface}: {path}"),
            None => assert_eq!(answer.0, 404, "{surface}: {path} is not on the list"),
        }
    }
}

#[test]
#[ignore = "needs: root, podman, model"]
fn each_surface_answers_to_its_endpoints_and_to_nothing_else() {
    /// Served by nobody: 405 where a path is, 404 where none is, and nothing is done.
    const METHOD: &str = "PURGE";
    let mut deployment = Deployment::start().unwrap();
    let alice = deployment.member("laptop", "alice").unwrap();
    let laptop = &alice.instance;
    let over = |stream: TcpStream, path: &str, host: &str| {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let answer = http::request(stream, METHOD, path, host, &[], Some("{}")).unwrap();
        (answer.status, answer.head)
    };
    answers_exactly("coordinator", |path| {
        let to = SocketAddr::new(HOME.parse().unwrap(), 8443);
        let stream = laptop.machine.in_network(|| TcpStream::connect_timeout(&to, PATIENCE));
        over(stream.unwrap(), path, "coordinator")
    });
    answers_exactly("gateway", |path| over(laptop.dial(18789).unwrap(), path, OWN));
    answers_exactly("telmeet", |path| over(laptop.dial(80).unwrap(), path, CHAT));
    answers_exactly("trust", |path| over(laptop.dial(443).unwrap(), path, "rooms.maru.home.arpa"));

    let pid = deployment.home.machine.pid();
    let in_alices_name = header(&deployment, laptop, "alice", 80);
    let link = |link: &Link, uid: u32, header: Option<&Header>, method: &str, path: &str| {
        let (_, host, _) = question(link);
        let socket = link.path(Path::new(ROOT)).display().to_string();
        let preface = header.map(|header| header.encode().unwrap()).unwrap_or_default();
        let caller = Caller { pid, uid, gid: link.group };
        let answer = caller.answer(&socket, &preface, (method, path, host), None);
        let answer = answer.expect("it may connect").expect("it is answered");
        (answer.status, answer.head)
    };
    answers_exactly("plugin", |path| {
        link(&services::PLUGIN, uid("telmeet"), Some(&in_alices_name), METHOD, path)
    });
    answers_exactly("participant", |path| {
        link(&services::PARTICIPANT, services::PARTICIPANT_UID, None, METHOD, path)
    });
    answers_exactly("admin", |path| link(&services::ADMIN, 0, None, METHOD, path));
    answers_exactly("metrics", |path| link(&services::METRICS, 0, None, METHOD, path));
    answers_exactly("participant-admin", |path| {
        link(&services::PARTICIPANT_ADMIN, 0, None, METHOD, path)
    });
    answers_exactly("counters", |path| {
        let socket = format!("{ROOT}/run/maru/coordinator/metrics.sock");
        let caller = Caller { pid, uid: 0, gid: 0 };
        let answer = caller.answer(&socket, b"", (METHOD, path, "localhost"), None);
        let answer = answer.expect("it may connect").expect("it is answered");
        (answer.status, answer.head)
    });
    answers_exactly("local", |path| link(&services::LOCAL_API, NOBODY, None, METHOD, path));
    // The supervisor is no service of its own; its folder lets root in alone.
    let up = |uid: u32, path: &str| {
        let socket = format!("{ROOT}/run/maru/up/control.sock");
        let caller = Caller { pid, uid, gid: uid };
        caller.answer(&socket, b"", (METHOD, path, "localhost"), None)
    };
    answers_exactly("up", |path| {
        let answer = up(0, path).expect("it may connect").expect("it is answered");
        (answer.status, answer.head)
    });
    for user in [NOBODY, uid("agent"), uid("gateway")] {
        assert_eq!(outcome(up(user, "/v1/model")), KEPT_OUT, "user {user}");
    }

    others_are_refused(pid);
}

/// Requires that each endpoint, asked with its own method by somebody of another class, is refused. Left out is what
/// everyone may ask, what its folder lets nobody else ask, and what has a test of its own.
fn others_are_refused(pid: u32) {
    let over_link = |link: &Link, uid: u32, preface: &[u8], endpoint: &Declaration| {
        let socket = link.path(Path::new(ROOT)).display().to_string();
        // A node that is there.
        let path = without_placeholders(&endpoint.path.replace("{node}", "laptop"));
        let request = (endpoint.method.name(), path.as_str(), "localhost");
        let body = (endpoint.method != Method::GET).then_some("{}");
        outcome(Caller { pid, uid, gid: link.group }.answer(&socket, preface, request, body))
    };
    let mut wrong = Vec::new();
    for (surface, endpoints) in of_the_product() {
        for endpoint in &endpoints {
            let (link, user, preface) = match surface {
                "admin" => (&services::ADMIN, NOBODY, &[][..]),
                "metrics" => (&services::METRICS, NOBODY, &[][..]),
                "rooms-admin" => (&services::ROOMS_ADMIN, NOBODY, &[][..]),
                "participant-admin" => (&services::PARTICIPANT_ADMIN, NOBODY, &[][..]),
                "local" => (&services::LOCAL_API, NOBODY, &[][..]),
                // Who names no person is no member.
                "gateway" => (&services::GATEWAY_HTTP, uid("agent"), &LOCAL[..]),
                "plugin" => (&services::PLUGIN, uid("telmeet"), &LOCAL[..]),
                "telmeet" => (&services::TELMEET_HTTP, uid("agent"), &LOCAL[..]),
                _ => continue,
            };
            // It may ask whether the service is well.
            let is_health = endpoints::HEALTH.iter().any(|health| health.path == endpoint.path);
            let expected =
                if matches!(surface, "admin" | "metrics" | "rooms-admin" | "participant-admin") {
                    CLOSED
                } else if is_health || endpoint.callers == Class::User {
                    ANSWERED
                } else {
                    // A program of this machine may show the key of an app.
                    Ok(Some(if endpoint.callers == Class::App { 401 } else { 403 }))
                };
            let found = over_link(link, user, preface, endpoint);
            if found != expected {
                wrong.push(format!("{surface}: {endpoint}: {found:?}, not {expected:?}"));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
