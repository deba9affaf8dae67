//! Every socket and every HTTP endpoint of the house, and for whom it is.
//!
//! Fails if the product has a link or an endpoint that is not classified here (so that a new one is judged before it is
//! used), or lacks one; if a link answers a user whom its class leaves out; or if a running surface answers to a path or
//! a method that its list does not have. Each refusal stands beside the caller who is answered.

mod confidential;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    process::Command,
};

use ai_gateway_api::sealed::path;
use lab::{Deployment, ROOT, http, topology::HOME};
use mesh_identity::Header;
use services::{Link, SERVICES, links};
use telmeet_api::plugin;

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
    ("metrics", Only("root")),
    ("telmeet", Only("agent")),
    ("agent", Everyone),
];

/// For whom an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    /// Whoever reaches the port: it tells nothing that is secret and changes nothing.
    Anyone,
    /// Whoever has an invitation, for the device whose ticket is in the path.
    Invited,
    /// A device that has proved its machine key, approved or not.
    Machine,
    /// The members of the network whom the policy lets in; what they say is sealed to the gateway.
    Sealed,
    /// The members of the network whom the policy lets in; protected by WireGuard alone.
    Member,
    /// The same, and programs of the home machine that have the key of an app.
    App,
    /// Whoever shows an API key that may do it, over HTTPS; behind it is the admin API.
    ApiKey,
    /// Every user of this machine.
    User,
    /// The superuser of this machine.
    Root,
}

use For::{Anyone, ApiKey, App, Invited, Machine, Member, Root, Sealed, User as AnyUser};

type Endpoints = &'static [(&'static str, For)];

/// Every HTTP surface of the house but the engines' (theirs is judged in `maru-llm`).
const ENDPOINTS: &[(&str, Endpoints)] = &[
    (
        "coordinator",
        &[
            ("GET /key", Anyone),
            ("POST /ts2021", Anyone),
            ("GET /join", Anyone),
            ("GET /register/{ticket}", Anyone),
            ("POST /register/{ticket}", Invited),
            ("ANY /api/v1/{*rest}", ApiKey),
            ("POST /verify", Anyone),
        ],
    ),
    (
        "noise",
        &[
            ("POST /machine/register", Machine),
            ("POST /machine/map", Machine),
            ("ANY /machine/{*rest}", Machine),
        ],
    ),
    (
        "admin",
        &[
            ("GET /api/v1/users", Root),
            ("POST /api/v1/users", Root),
            ("POST /api/v1/users/{name}/rename", Root),
            ("DELETE /api/v1/users/{name}", Root),
            ("GET /api/v1/keys", Root),
            ("POST /api/v1/keys", Root),
            ("POST /api/v1/keys/{id}/expire", Root),
            ("DELETE /api/v1/keys/{id}", Root),
            ("GET /api/v1/api-keys", Root),
            ("POST /api/v1/api-keys", Root),
            ("DELETE /api/v1/api-keys/{key}", Root),
            ("POST /api/v1/invitations", Root),
            ("GET /api/v1/devices", Root),
            ("GET /api/v1/devices/{device}", Root),
            ("DELETE /api/v1/devices/{device}", Root),
            ("POST /api/v1/devices/{device}/approve", Root),
            ("POST /api/v1/devices/{device}/reject", Root),
            ("POST /api/v1/devices/{device}/expire", Root),
            ("POST /api/v1/devices/{device}/extend", Root),
            ("POST /api/v1/devices/{device}/rename", Root),
            ("POST /api/v1/devices/{device}/tags", Root),
            ("PUT /api/v1/devices/{device}/capabilities", Root),
            ("GET /api/v1/records", Root),
            ("PUT /api/v1/records/{name}", Root),
            ("DELETE /api/v1/records/{name}", Root),
            ("GET /api/v1/routes", Root),
            ("POST /api/v1/devices/{device}/routes/approve", Root),
            ("POST /api/v1/devices/{device}/routes/reject", Root),
            ("GET /api/v1/policy", Root),
            ("PUT /api/v1/policy", Root),
            ("POST /api/v1/policy/check", Root),
            ("POST /api/v1/policy/diff", Root),
            ("POST /api/v1/policy/test", Root),
            ("POST /api/v1/policy/explain", Root),
            ("GET /api/v1/log", Root),
            ("GET /api/v1/network", Root),
            ("GET /api/v1/health", Root),
            ("GET /api/v1/openapi.json", Root),
        ],
    ),
    ("counters", &[("GET /metrics", Root)]),
    (
        "relay",
        &[
            ("GET /derp", Anyone),
            ("POST /derp", Anyone),
            ("GET /derp/probe", Anyone),
            ("GET /derp/latency-check", Anyone),
            ("GET /generate_204", Anyone),
        ],
    ),
    ("up", &[("POST /v1/model", Root)]),
    ("local", &[("GET /v1/status", AnyUser), ("POST /v1/join", Root), ("POST /v1/leave", Root)]),
    (
        "gateway",
        &[
            ("POST /maru/v1/chat", Sealed),
            ("GET /maru/v1/keys", Member),
            ("GET /maru/v1/devices", Member),
            ("POST /maru/v1/devices", Member),
            ("DELETE /maru/v1/devices/{key}", Member),
            ("POST /v1/chat/completions", App),
            ("POST /v1/completions", App),
            ("POST /v1/embeddings", App),
            ("GET /v1/models", App),
            ("GET /v1/models/{*model}", App),
            ("GET /", App),
            ("GET /api/version", App),
            ("GET /api/tags", App),
            ("GET /api/ps", App),
            ("POST /api/show", App),
            ("POST /api/chat", App),
            ("POST /api/generate", App),
            ("POST /api/embed", App),
            ("POST /api/embeddings", App),
            ("ANY /api/pull", App),
            ("ANY /api/push", App),
            ("ANY /api/create", App),
            ("ANY /api/copy", App),
            ("ANY /api/delete", App),
            ("ANY /api/blobs/{digest}", App),
            ("GET /healthz", Member),
            ("GET /readyz", Member),
        ],
    ),
    (
        "plugin",
        &[
            ("POST /maru/v1/chat", Sealed),
            ("GET /maru/v1/keys", Member),
            ("GET /healthz", Member),
            ("GET /readyz", Member),
        ],
    ),
    (
        "metrics",
        &[
            ("GET /metrics", Root),
            ("GET /maru/v1/usage", Root),
            ("GET /maru/v1/apps", Root),
            ("POST /maru/v1/apps", Root),
            ("DELETE /maru/v1/apps/{name}", Root),
            ("GET /maru/v1/providers", Root),
        ],
    ),
    (
        "telmeet",
        &[
            ("POST /maru/v1/chat", Sealed),
            ("POST /api/chat", Sealed),
            ("GET /maru/v1/keys", Member),
            ("GET /api/pubkey", Member),
            ("GET /healthz", Member),
            ("GET /readyz", Member),
        ],
    ),
];

/// What each surface of the product has.
fn of_the_product() -> BTreeMap<&'static str, Vec<String>> {
    let mut found = BTreeMap::from(coordinator::endpoints());
    found.extend(ai_gateway::routes::endpoints());
    found.insert("local", node_agent::endpoints());
    found.insert("telmeet", telmeet::endpoints());
    found.extend([cli::control_endpoints()]);
    found.extend(confidential::of_the_product());
    found
}

/// Of a list of endpoints, as the product displays them.
fn names<T>(endpoints: &[(&str, T)]) -> Vec<String> {
    endpoints.iter().map(|(endpoint, _)| (*endpoint).to_owned()).collect()
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

#[test]
fn every_endpoint_is_classified() {
    let found = of_the_product();
    let mut classified: BTreeMap<_, _> =
        ENDPOINTS.iter().map(|(surface, endpoints)| (*surface, names(endpoints))).collect();
    classified.extend(confidential::classified());
    assert_eq!(found, classified);
}

/// Its HTTP is not axum's, so it is asked here what the running surfaces are asked below.
#[test]
fn the_relay_answers_to_its_endpoints_and_to_nothing_else() {
    let relay = derp::http::endpoints();
    let paths = ENDPOINTS.iter().flat_map(|(_, endpoints)| endpoints.iter());
    let paths: BTreeSet<_> =
        paths.map(|(endpoint, _)| endpoint.split_once(' ').unwrap().1).collect();
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
        "metrics" => ("/metrics", "localhost", None),
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

fn outcome(answer: io::Result<Option<http::Answer<UnixStream>>>) -> Outcome {
    answer.map(|answer| answer.map(|it| it.status)).map_err(|error| error.kind())
}

/// Status and `Allow` of the answer to a method that nobody serves.
type Asked = (u16, BTreeSet<String>);

fn asked((status, head): (u16, String)) -> Asked {
    let allow = head.lines().find_map(|line| line.strip_prefix("allow:"));
    let methods = allow.unwrap_or_default().split(',').map(|it| it.trim().to_ascii_uppercase());
    (status, methods.filter(|method| !method.is_empty()).collect())
}

/// The methods of each path.
fn of<T>(endpoints: &[(&'static str, T)]) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut paths = BTreeMap::<_, BTreeSet<String>>::new();
    for (endpoint, _) in endpoints {
        let (method, path) = endpoint.split_once(' ').unwrap();
        let methods = paths.entry(path).or_default();
        methods.insert(method.to_owned());
        // axum answers HEAD where it answers GET.
        methods.extend((method == "GET").then(|| "HEAD".to_owned()));
    }
    paths
}

/// A path that `/devices/{device}` stands for.
fn without_placeholders(path: &str) -> String {
    path.replace(['{', '}', '*'], "")
}

/// Requires that a running surface answers to exactly the endpoints of its list, among all that the house has.
fn answers_exactly(surface: &str, ask: impl Fn(&str) -> (u16, String)) {
    let (_, own) = ENDPOINTS.iter().find(|(name, _)| *name == surface).unwrap();
    let (own, all) = (of(own), ENDPOINTS.iter().flat_map(|(_, endpoints)| of(endpoints)));
    for path in all.map(|(path, _)| path).chain(["/", "/no-such-path"]) {
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
    answers_exactly("admin", |path| link(&services::ADMIN, 0, None, METHOD, path));
    answers_exactly("metrics", |path| link(&services::METRICS, 0, None, METHOD, path));
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

    // What every user may reach is for every user only if its class says so.
    let (_, local) = ENDPOINTS.iter().find(|(name, _)| *name == "local").unwrap();
    for (endpoint, class) in *local {
        let (method, path) = endpoint.split_once(' ').unwrap();
        let (status, _) = link(&services::LOCAL_API, NOBODY, None, method, path);
        assert_eq!(status, if *class == Root { 403 } else { 200 }, "{endpoint} by anyone");
    }
}
