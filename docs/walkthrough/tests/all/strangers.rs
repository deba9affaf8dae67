//! Those who are near, but are not members: websites, local processes, the LAN.
//!
//! Fails if any of them can send, read or stream in a member's name, or pass as a member. Each
//! refusal stands beside the same thing without what it is refused for, which is answered.

use std::{
    fs::{self, Permissions},
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    thread,
    time::Duration,
};

use ai_gateway_api::sealed::path;
use lab::{Deployment, Instance, Machine, dial::dial_from, inside::as_process};
use testkit::blocking::http::{self, Response};

use super::support::{
    app::{self, App, CHAT, OWN},
    caller::{Caller, telmeet},
};

const ASK: &str = r#"{"model":"default","max_tokens":3,"stream":true,
    "messages":[{"role":"user","content":"hi"}]}"#;
const ASK_OLLAMA: &str = r#"{"model":"default","options":{"num_predict":3},
    "messages":[{"role":"user","content":"hi"}]}"#;
const EVIL: (&str, &str) = ("Origin", "http://evil.example");

/// One port, as its callers see it.
struct Port<'a> {
    port: u16,
    host: &'a str,
    reads: &'a [&'a str],
    /// Path and body.
    writes: &'a [(&'a str, &'a str)],
}

/// Checks that a guard refused it, for this reason, and invites no other site. Ollama's shape has no place for the reason.
fn refused(answer: Response<TcpStream>, what: &str, (status, kind): (u16, &str)) {
    assert_eq!(answer.status, status, "{what}: {}", answer.head);
    assert!(!answer.head.contains("access-control-"), "{what}: {}", answer.head);
    let problem = answer.json().unwrap();
    let error = &problem["error"];
    if error.is_null() {
        assert_eq!(problem["type"], format!("urn:maru:problem:{kind}"), "{what}");
    } else {
        assert!(error.is_string() || error["code"] == kind, "{what}: {problem}");
    }
}

impl Port<'_> {
    /// All that a page can make a browser send.
    fn is_closed_to_websites(&self, instance: &Instance) {
        let send = |method: &str, path: &str, host: &str, headers: &[_], body: Option<&str>| {
            http::request(instance.dial(self.port).unwrap(), method, path, host, headers, body)
                .unwrap()
        };
        let evil_host = format!("evil.example:{}", self.port);
        let (origin, host) = ((403, "origin"), (421, "host"));
        let marks = [
            ("a foreign origin", self.host, Some(EVIL), origin),
            ("a sandboxed page", self.host, Some(("Origin", "null")), origin),
            ("a page's image", self.host, Some(("Sec-Fetch-Site", "cross-site")), origin),
            ("a rebound name", "evil.example", None, host),
            ("a rebound name with the port", &evil_host, None, host),
        ];
        for (what, named, header, why) in marks {
            let headers = header.as_slice();
            for path in self.reads {
                let what = format!("{what} reads {path} on {}", self.port);
                refused(send("GET", path, named, headers, None), &what, why);
            }
            for (path, body) in self.writes {
                let what = format!("{what} writes {path} on {}", self.port);
                refused(send("POST", path, named, headers, Some(body)), &what, why);
            }
        }
        for (path, body) in self.writes {
            for kind in ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"] {
                let answer = send("POST", path, self.host, &[("Content-Type", kind)], Some(body));
                refused(answer, &format!("{kind} at {path}"), (415, "content-type"));
            }
            // A page that would send JSON has to ask first.
            let preflight = [
                EVIL,
                ("Access-Control-Request-Method", "POST"),
                ("Access-Control-Request-Headers", "content-type"),
            ];
            let answer = send("OPTIONS", path, self.host, &preflight, None);
            refused(answer, &format!("a preflight for {path}"), origin);
        }
    }

    /// The same without a website's marks.
    fn answers(&self, instance: &Instance) {
        for path in self.reads {
            let stream = instance.dial(self.port).unwrap();
            let answer = http::request(stream, "GET", path, self.host, &[], None).unwrap();
            assert_eq!(answer.status, 200, "{path}");
        }
        for (path, body) in self.writes {
            let stream = instance.dial(self.port).unwrap();
            let answer = http::request(stream, "POST", path, self.host, &[], Some(body)).unwrap();
            assert_eq!(answer.status, 200, "{path}");
        }
    }
}

#[test]
#[ignore = "needs: root, podman, model"]
fn a_website_open_on_a_members_laptop_speaks_for_nobody() {
    let mut deployment = Deployment::start().unwrap();
    let device = deployment.member("laptop", "alice").unwrap();
    let laptop = &device.instance;
    let app = App::bound(laptop, 1);
    let check = |port: &Port<'_>| {
        port.is_closed_to_websites(laptop);
        port.answers(laptop);
    };
    // A sealed request is opened once: that it is answered in the end shows that no refusal came after opening it.
    let (sealed, proof) = (app::text(&app.seal()), app.proof());
    check(&Port {
        port: 18789,
        host: OWN,
        reads: &["/v1/models", "/api/tags", path::KEYS, path::DEVICES],
        writes: &[
            ("/v1/chat/completions", ASK),
            ("/api/chat", ASK_OLLAMA),
            (path::CHAT, &sealed),
            (path::DEVICES, &proof),
        ],
    });
    let sealed = [(); 2].map(|()| app::text(&app.seal()));
    check(&Port {
        port: 80,
        host: CHAT,
        reads: &[path::KEYS, path::KEYS_ALIAS],
        writes: &[(path::CHAT, &sealed[0]), (path::CHAT_ALIAS, &sealed[1])],
    });
}

/// Puts a listener in the place of telmeet's, as whoever took over its process could.
fn take_over(telmeet: Caller) -> UnixListener {
    let socket = "/run/maru/telmeet/http.sock";
    let taken = as_process(telmeet.pid, telmeet.uid, telmeet.gid, || {
        fs::remove_file(socket)?;
        let listener = UnixListener::bind(socket)?;
        fs::set_permissions(socket, Permissions::from_mode(0o666))?;
        Ok::<_, std::io::Error>(listener)
    });
    taken.unwrap().unwrap()
}

/// Length of the signature of the header with which the agent begins a connection, in bytes (PROXY protocol, section 2.2).
const PROXY_SIGNATURE: usize = 12;

/// What a member's browser gets at `home` of this answer of a telmeet that somebody took over; `None` if nothing.
fn got(
    listener: &UnixListener,
    laptop: &Instance,
    home: SocketAddr,
    answer: &str,
) -> Option<(String, String)> {
    thread::scope(|threads| {
        threads.spawn(|| {
            let (mut agent, _) = listener.accept().unwrap();
            // All of the request, or closing would cut the answer. The agent's header comes first, and begins with an
            // empty line itself.
            let (mut read, mut piece) = (Vec::<u8>::new(), [0_u8; 4096]);
            while !read.ends_with(b"\r\n\r\n") || read.len() <= PROXY_SIGNATURE {
                match agent.read(&mut piece) {
                    Ok(length) if length > 0 => read.extend_from_slice(&piece[..length]),
                    _ => break,
                }
            }
            let _ = agent.write_all(answer.as_bytes());
        });
        let dial = || TcpStream::connect_timeout(&home, app::PATIENCE);
        let stream = laptop.machine.in_network(dial).unwrap();
        stream.set_read_timeout(Some(app::PATIENCE)).unwrap();
        let answer = http::request(stream, "GET", "/", CHAT, &[], None).ok()?;
        Some((answer.head.clone(), answer.body().unwrap()))
    })
}

/// What the script of a page of `origin` sends, and what its browser adds: it binds a key of its own, looks at what is
/// bound, asks a model as the member, and asks under the seal for the member's session.
fn script_gets_nothing(laptop: &Instance, origin: &str, own: &App) {
    let send = |method: &str, path: &str, marks: &[(&str, &str)], body: Option<&str>| {
        http::request(laptop.dial(18789).unwrap(), method, path, OWN, marks, body).unwrap()
    };
    let proof = own.proof();
    let kinds: [&[(&str, &str)]; 3] = [
        &[("Origin", origin)],
        &[("Origin", origin), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")],
        &[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Mode", "cors")],
    ];
    for marks in kinds {
        for (method, path, body) in [
            ("OPTIONS", path::DEVICES, None),
            ("POST", path::DEVICES, Some(proof.as_str())),
            ("GET", path::DEVICES, None),
            ("POST", "/v1/chat/completions", Some(ASK)),
            ("POST", "/api/chat", Some(ASK_OLLAMA)),
        ] {
            let what = format!("{method} {path} of {origin} with {marks:?}");
            refused(send(method, path, marks, body), &what, (403, "origin"));
        }
    }
    let (history, _) = own.seal_operation(&app::history("main"));
    let answer = own.send(&history, &[]);
    let (status, problem) = (answer.status, answer.json().unwrap());
    assert_eq!((status, &problem["type"]), (403, &"urn:maru:problem:device".into()), "{origin}");
}

/// Both serve a page of the name `chat.<network>`: a telmeet that somebody took over, and a Wi-Fi that answered for that
/// name, or for the gateway's port, before the agent was up and whose page is still open.
#[test]
#[ignore = "needs: root, podman, model"]
fn neither_a_hostile_telmeet_nor_the_wifi_of_before_binds_a_key_or_reads_a_session() {
    let mut deployment = Deployment::start().unwrap();
    let device = deployment.member("laptop", "alice").unwrap();
    let laptop = &device.instance;
    let alices = App::bound(laptop, 1);
    alices.ask(&app::say("main", "Hello!"));
    let kept = alices.ask(&app::history("main"));
    assert_eq!(kept.len(), 2, "{kept:?}");

    let own = App::new(laptop, 9);
    for origin in [
        "http://chat.maru.home.arpa",
        "https://chat.maru.home.arpa",
        "http://chat.maru.home.arpa:18789",
        "http://home.maru.home.arpa:18789",
    ] {
        script_gets_nothing(laptop, origin, &own);
    }

    // Found out first: this asks telmeet, too.
    let home = SocketAddr::new(laptop.gateway().unwrap(), 80);
    let listener = take_over(telmeet(&deployment));
    let json = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let (head, body) = got(&listener, laptop, home, json).expect("what is no page is passed on");
    assert!(body == "{}" && head.contains("connection: close"), "{head}{body}");
    for page in [
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 8\r\n\r\n<script>",
        "HTTP/1.1 200 OK\r\nContent-Type: image/svg+xml\r\n\r\n<svg>",
        "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n<script>",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        "<html><script>",
    ] {
        assert_eq!(got(&listener, laptop, home, page), None, "{page}");
    }

    let stream = laptop.dial(18789).unwrap();
    let bound =
        http::request(stream, "GET", path::DEVICES, OWN, &[], None).unwrap().json().unwrap();
    assert_eq!(bound["devices"].as_array().unwrap().len(), 1, "something was bound: {bound}");
    assert_eq!(alices.ask(&app::history("main")), kept, "her own app reads it, as before");
}

/// What the gateway answers there when asked for its models; `None` if it closes without a word.
fn models(stream: TcpStream) -> Option<u16> {
    stream.set_read_timeout(Some(app::PATIENCE)).unwrap();
    Some(http::request(stream, "GET", "/v1/models", OWN, &[], None).ok()?.status)
}

/// How many packets the rules of a machine have dropped.
fn dropped(machine: &Machine) -> u64 {
    let rules = machine.sh("nft list ruleset").unwrap();
    let drops = rules.lines().filter(|line| line.trim_end().ends_with("drop"));
    let counts = drops.filter_map(|line| line.split("counter packets ").nth(1)?.split(' ').next());
    counts.map(|count| count.parse::<u64>().unwrap()).sum()
}

/// A machine from which a member's address shall not be used, and how it would be.
struct Impostor<'a> {
    what: &'a str,
    machine: &'a Machine,
    source: IpAddr,
}

impl Impostor<'_> {
    fn dial(&self, home: IpAddr) -> std::io::Result<TcpStream> {
        let to = SocketAddr::new(home, 18789);
        self.machine.in_network(|| dial_from(self.source, to, Duration::from_secs(3)))
    }
}

#[test]
#[ignore = "needs: root, podman, model"]
fn a_process_at_home_and_a_packet_from_the_lan_do_not_pass_as_members() {
    let mut deployment = Deployment::start().unwrap();
    let device = deployment.member("laptop", "alice").unwrap();
    let addresses = |instance: &Instance| -> [IpAddr; 2] {
        let status = instance.status().unwrap();
        let all = status["node"]["addresses"].as_array().unwrap().clone();
        let all: Vec<IpAddr> = all.iter().map(|a| a.as_str().unwrap().parse().unwrap()).collect();
        let family = |v4: bool| *all.iter().find(|address| address.is_ipv4() == v4).unwrap();
        [family(true), family(false)]
    };
    let ([home, home6], [member, member6]) =
        (addresses(&deployment.home), addresses(&device.instance));
    let (machine, router) = (&*deployment.home.machine, &*deployment.topology.router);
    assert_eq!(models(device.instance.dial(18789).unwrap()), Some(200), "the member itself");

    // The member's addresses on the router, which sends them as they are, past the tunnel; and the
    // way back, so that nothing but a rule stands between.
    machine
        .sh(&format!(
            "ip addr add fd00:77::2/64 dev eth0 nodad
            ip route replace {member}/32 via 10.77.1.1
            ip route replace {member6}/128 via fd00:77::1"
        ))
        .unwrap();
    router
        .sh(&format!(
            "nft delete table ip nat
            ip addr add fd00:77::1/64 dev home0 nodad
            ip addr add {member}/32 dev lo; ip addr add {member6}/128 dev lo
            ip route add {home}/32 via 10.77.1.2; ip route add {home6}/128 via fd00:77::2"
        ))
        .unwrap();
    let lan = |what, source: IpAddr| Impostor { what, machine: router, source };
    let members = [lan("IPv4", member), lan("IPv6", member6)];
    let own = [
        lan("the LAN's IPv4", "10.77.1.1".parse().unwrap()),
        lan("the LAN's IPv6", "fd00:77::1".parse().unwrap()),
    ];
    let to = |impostor: &Impostor<'_>| if impostor.source.is_ipv4() { home } else { home6 };
    for impostor in members.iter().chain(&own) {
        let before = dropped(machine);
        assert!(impostor.dial(to(impostor)).is_err(), "{} reaches the gateway", impostor.what);
        assert!(dropped(machine) > before, "{} was not stopped by a rule", impostor.what);
    }

    // A process at home: as itself it may connect and is told nothing; as a member it may not.
    let local = Impostor { what: "a local process", machine, source: member };
    let itself = Impostor { what: "the home node", machine, source: home };
    assert_eq!(models(itself.dial(home).unwrap()), None, "the home node passes as a member");
    machine.sh(&format!("ip addr add {member}/32 dev lo")).unwrap();
    let before = dropped(machine);
    assert!(local.dial(home).is_err(), "a local process passes as a member");
    assert!(dropped(machine) > before, "a local process was not stopped by a rule");

    // Without the table they would pass: it was the table that stopped them.
    machine.flush_nftables_for_good().unwrap();
    assert_eq!(models(local.dial(home).unwrap()), Some(200), "control: {}", local.what);
    machine.sh(&format!("ip addr del {member}/32 dev lo")).unwrap();
    for impostor in &members {
        let answer = models(impostor.dial(to(impostor)).unwrap());
        assert_eq!(answer, Some(200), "control: {}", impostor.what);
    }
    // Who is no peer gets no answer even so.
    for impostor in own.iter().chain([&itself]) {
        let answer = models(impostor.dial(to(impostor)).unwrap());
        assert_eq!(answer, None, "{}", impostor.what);
    }
}
