//! An Ollama on a machine with the stock Tailscale app, found by `maru up --ollama` and asked by a gateway that has no network.
//!
//! Fails if: an Ollama that the policy keeps away changes a file; the policy line that is printed is not what is needed;
//! what is written leads the gateway elsewhere or lets another user through; the admin's own lines are lost; a reply
//! that nobody waits for goes on at the other node; `maru model … --ollama` does not reach it, or the chosen model does not
//! answer. Blind to Ollama itself, which is scripted here.

use std::{
    fs, io,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::mpsc,
    thread,
    time::Duration,
};

use lab::{Deployment, Member, ROOT, STOP, nat::Nat, stock::StockNode};
use serde_json::Value;
use services::{DIALS, GATEWAY, TELMEET};
use testkit::blocking::{eventually_within, http};

use super::support::caller::Caller;

const PORT: u16 = 11434;
const PATIENCE: Duration = Duration::from_secs(60);
const HOST: &str = "chat.maru.home.arpa:18789";
const AGENT: &str = "etc/maru/agent.toml";
const OPENCLAW: &str = "var/lib/maru/gateway/config/openclaw.json";
/// What an admin wrote, and what nobody may take away.
const OWN_PROVIDER: &str = "      // Mine.\n      pc: {\n        \
    baseUrl: \"unix:///run/maru/dial/ollama/http.sock\",\n        models: [{ id: \"scripted\" }],\n      },\n";

/// What Ollama answers; a chat begins and then says nothing, until whoever asked is gone.
fn answer(mut stream: TcpStream, cancelled: &mpsc::Sender<()>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        let lower = line.to_ascii_lowercase();
        length =
            lower.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let whole = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let path = first.split(' ').nth(1).unwrap_or_default();
    let text = match path {
        "/api/tags" => whole(r#"{"models":[{"name":"llama3.2:3b"},{"name":"big:cloud"}]}"#),
        "/api/show" => whole(r#"{"model_info":{"llama.context_length":4096}}"#),
        "/api/chat" => {
            let asked: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(
                (&asked["model"], &asked["options"]["num_ctx"]),
                (&"llama3.2:3b".into(), &4096.into())
            );
            stream.write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n\
                {\"message\":{\"role\":\"assistant\",\"content\":\"from the mac\"},\"done\":false}\n",
            )?;
            let _ = reader.read(&mut [0; 1]);
            cancelled.send(()).unwrap();
            return Ok(());
        }
        _ => whole("{}"),
    };
    stream.write_all(text.as_bytes())
}

/// Listens on a device; tells of each chat that was begun and ended by its caller.
fn ollama(device: &StockNode, address: IpAddr) -> mpsc::Receiver<()> {
    let listener = device.machine.in_network(|| TcpListener::bind((address, PORT))).unwrap();
    let (sender, cancelled) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let sender = sender.clone();
            thread::spawn(move || answer(stream.unwrap(), &sender));
        }
    });
    cancelled
}

/// Stops `maru up` and starts it with this Ollama; what it says until it is ready and has said `last`: what it notes comes
/// through another pipe than that it is ready.
fn again(deployment: &mut Deployment, place: SocketAddr, last: &str) -> String {
    let status = deployment.up.stop(STOP).unwrap();
    assert!(status.success(), "{status}");
    let mut said = String::new();
    let line = |line: &str| said += &format!("{line}\n");
    let url = format!("http://{place}");
    let (up, lines) = deployment.home.up(&["--ollama", &url], line, || Ok(())).unwrap();
    deployment.up = up;
    while !said.contains(last) {
        let line = lines.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|error| panic!("{last} was not said ({error}): {said}"));
        said += &format!("{line}\n");
    }
    said
}

fn read(deployment: &Deployment, path: &str) -> String {
    fs::read_to_string(deployment.home.root.join(path)).unwrap()
}

/// By name, where the dial leads; the chosen model answers whoever names none.
fn is_chosen_by_name(deployment: &Deployment, laptop: &Member) {
    let listed = deployment.home.ok(&["model", "list", "--ollama", "-o", "json"]).unwrap();
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed[0]["name"], listed.as_array().unwrap().len()), (&"llama3.2:3b".into(), 1));
    deployment.home.ok(&["model", "use", "llama3.2", "--ollama"]).unwrap();
    let openclaw = read(deployment, OPENCLAW);
    assert!(
        openclaw.contains(OWN_PROVIDER) && openclaw.contains("ollama/llama3.2:3b"),
        "{openclaw}"
    );
    let body = r#"{"model":"maru","messages":[{"role":"user","content":"Hi"}]}"#;
    // The gateway reads its file within seconds; until then the engine answers.
    eventually_within(PATIENCE, "the chosen model answers", || is_answered(laptop, body));
}

/// Whether the other node answers this chat; an error is a line of the reply, too.
fn is_answered(laptop: &Member, body: &str) -> bool {
    let stream = laptop.instance.dial(18789).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reply = http::request(stream, "POST", "/api/chat", HOST, &[], Some(body)).unwrap();
    let mut lines = std::iter::from_fn(|| reply.line().unwrap());
    lines.any(|line| line.contains("from the mac"))
}

#[test]
#[ignore = "needs: root, podman, model, go"]
fn an_ollama_in_the_mesh_serves_a_gateway_that_has_no_network() {
    let mut deployment = Deployment::start().unwrap();
    let mut site = deployment.topology.site(Nat::PortRestricted).unwrap();
    let mac = StockNode::start(&site.add("mac").unwrap()).unwrap();
    deployment.home.ok(&["user", "create", "juno"]).unwrap();
    let key = deployment.key(&["--user", "juno"]).unwrap();
    mac.join(&deployment.server_url().unwrap(), &key, &[]).unwrap();
    let address: IpAddr = mac.address().unwrap().into();
    let place = SocketAddr::new(address, PORT);
    let cancelled = ollama(&mac, address);
    let openclaw = read(&deployment, OPENCLAW)
        .replace("providers: {\n", &format!("providers: {{\n{OWN_PROVIDER}"));
    fs::write(deployment.home.root.join(OPENCLAW), openclaw).unwrap();

    // Nobody reaches a member's device unless the policy says so.
    let before = [AGENT, OPENCLAW].map(|path| read(&deployment, path));
    let said = again(&mut deployment, place, "\"action\"");
    assert!(said.contains(&format!("no Ollama answers at http://{place}")), "{said}");
    assert_eq!([AGENT, OPENCLAW].map(|path| read(&deployment, path)), before);

    let line = said.lines().find(|line| line.contains("\"action\"")).unwrap().trim();
    let policy = deployment.home.ok(&["policy", "get"]).unwrap();
    let policy = policy.replace("\"acls\": [\n", &format!("\"acls\": [\n    {line}\n"));
    fs::write(deployment.home.root.join("policy.json"), policy).unwrap();
    deployment.home.ok(&["policy", "set", &format!("{ROOT}/policy.json")]).unwrap();

    let said = again(&mut deployment, place, "Starting again");
    assert!(said.contains("ollama/llama3.2:3b") && said.contains("left out: 1"), "{said}");
    assert!(said.contains("Starting again"), "{said}");
    let [agent, openclaw] = [AGENT, OPENCLAW].map(|path| read(&deployment, path));
    assert!(
        agent.starts_with(before[0].trim_end()) && agent.contains(&format!("to = \"{place}\"")),
        "{agent}"
    );
    assert!(openclaw.contains(OWN_PROVIDER) && openclaw.contains("\"llama3.2:3b\""), "{openclaw}");

    // The gateway's user is let through, and no other.
    let socket = Path::new(ROOT).join(DIALS).join("ollama/http.sock").display().to_string();
    let tags = |uid, gid| {
        let caller = Caller { pid: deployment.home.machine.pid(), uid, gid };
        caller.send(&socket, b"", ("GET", "/api/tags", "localhost"), None)
    };
    // The stock app finds coordinator and relay again some seconds after they were started again.
    eventually_within(PATIENCE, "the other node answers", || {
        let answer = tags(GATEWAY, GATEWAY).unwrap();
        answer.is_some_and(|(status, body)| status == 200 && body.contains("llama3.2:3b"))
    });
    assert_eq!(tags(0, 0).unwrap(), None, "root");
    assert_eq!(tags(TELMEET, GATEWAY).unwrap(), None, "in the group");
    let outside = tags(TELMEET, TELMEET).unwrap_err();
    assert_eq!(outside.kind(), io::ErrorKind::PermissionDenied);

    // A member's question goes over the gateway, which has no network, to the other node; and so does its end.
    let laptop = deployment.member("laptop", "mina").unwrap();
    let body = r#"{"model":"ollama/llama3.2:3b","messages":[{"role":"user","content":"Hi"}]}"#;
    eventually_within(PATIENCE, "the named model answers", || is_answered(&laptop, body));
    cancelled.recv_timeout(PATIENCE).expect("the end of the caller reaches the other node");

    is_chosen_by_name(&deployment, &laptop);
}
