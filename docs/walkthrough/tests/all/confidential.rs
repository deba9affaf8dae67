//! The trip of `confidential.md`: a laptop's question goes through relay, gateway, router and a node of somebody else, and
//! comes back; and what happens where a node does not prove what it should.
//!
//! Fails if: a prompt leaves home although no node has proved itself; a changed `maru-compute` or one of which nothing was
//! measured is asked, in an enclave or with a TPM; one request is not for nodes of both kinds; a deployment answers who did not name it; prompt or reply can be read on any link of the chain; the
//! home's address goes beyond relay and auth; the gateway at home gets a network. Blind to what the model says, and to
//! processes' memory, which `confidential_secrecy.rs` looks into. The nodes' evidence is SIMULATED, which every reply says.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use lab::{
    Machine, STOP,
    confidential::{Chain, Holder, Host, Measurement, users},
    topology::HOME,
};
use serde_json::Value;
use services::{INFERENCE, SERVERS};
use testkit::blocking::{eventually_within, http};

use super::support::{
    chain_house::ConfidentialDeployment,
    recording::{Recording, packets},
    search::{holds, long_piece},
};

/// How the laptop names the model.
const MODEL: &str = "confidential/smollm2";
/// Where the OpenAI-compatible interface is.
const HOST: &str = "chat.maru.home.arpa:18789";
/// In every prompt of the chain.
const CANARY: &str = "persimmon-7741-canary";
/// Bytes of a prompt that cannot hide among questions for evidence, which take a few kilobytes.
const LARGE: usize = 200_000;

/// The lab starts servers by itself; each must be the user of its unit.
#[test]
fn the_labs_servers_run_as_the_users_of_their_units() {
    let of = |name: &str| SERVERS.iter().find(|server| server.name == name).unwrap().uid;
    assert_eq!(of("confidential-relay"), users::RELAY);
    assert_eq!(of("confidential-gateway"), users::GATEWAY);
    assert_eq!(of("confidential-router"), users::ROUTER);
    assert_eq!(of("confidential-auth"), users::AUTH);
    assert_eq!(of("compute-boot"), users::BOOT);
    assert_eq!(of("compute-router-com"), users::ROUTER_COM);
    assert_eq!(of("compute-engine"), users::ENGINE);
}

/// The nodes, and why one is refused.
const NODES: [(Holder, Measurement, Option<&str>); 6] = [
    (Holder::Enclave, Measurement::OneChangedByte, Some("image-unknown")),
    (Holder::Enclave, Measurement::Zeros, Some("debug-enclave")),
    (Holder::Tpm, Measurement::OneChangedByte, Some("image-unknown")),
    (Holder::Tpm, Measurement::Zeros, Some("not-measured")),
    (Holder::Enclave, Measurement::TheImage, None),
    (Holder::Tpm, Measurement::TheImage, None),
];
/// The node in an enclave that is what the policy names.
const ENCLAVE: usize = 4;
/// The node with a TPM that is what the policy names.
const TPM: usize = 5;

/// The nodes that are not what the policy names.
fn refused() -> impl Iterator<Item = (usize, &'static str)> {
    NODES.iter().enumerate().filter_map(|(at, (.., code))| Some((at, (*code)?)))
}

/// What `/v1` answered.
struct Answer {
    status: u16,
    /// `maru-evidence`, if it is there.
    evidence: Option<String>,
    body: String,
}

impl ConfidentialDeployment {
    /// Where no node is there yet.
    fn empty() -> Self {
        let leave = |chain: &mut Chain| (0..NODES.len()).for_each(|at| chain.leave(at).unwrap());
        Self::new(&NODES.map(|(holder, shows, _)| (holder, shows)), leave, |text| text)
    }

    /// Asks a model from the laptop, in the clear inside the tunnel.
    fn ask(&self, model: &str, prompt: &str) -> Answer {
        let body = serde_json::json!({
            "model": model, "max_tokens": 16, "messages": [{ "role": "user", "content": prompt }],
        });
        let connection = self.laptop.instance.dial(18789).unwrap();
        let (body, path) = (body.to_string(), "/v1/chat/completions");
        let answer = http::request(connection, "POST", path, HOST, &[], Some(&body)).unwrap();
        let evidence = answer.head.lines().find_map(|line| line.strip_prefix("maru-evidence: "));
        let evidence = evidence.map(|value| value.trim().to_owned());
        Answer { status: answer.status, evidence, body: answer.body().unwrap() }
    }

    /// Records the cable of a machine of the chain.
    fn record<'a>(router: &'a Machine, of: &Host) -> (Recording<'a>, SocketAddr) {
        let name = format!("server{}", of.address.octets()[2]);
        let recording = Recording::begin(router, &name, &name);
        (recording, SocketAddr::from((of.address, 9)))
    }

    /// The bytes that home sends to the relay while it asks this.
    fn sent_for(&self, prompt: &str) -> (Answer, u64) {
        let router = &self.deployment.topology.router;
        let (recording, relay) = Self::record(router, &self.chain.relay);
        let answer = self.ask(MODEL, prompt);
        let (file, _) = recording.finish(relay);
        let to_relay =
            packets(router, &file, &format!("tcp and src host {HOME} and dst port 3100"));
        assert!(!to_relay.is_empty(), "home asked nobody: {}", answer.body);
        let bytes = |line: &String| {
            let (_, length) = line.rsplit_once("length ").expect("tcpdump tells lengths");
            length.parse::<u64>().unwrap()
        };
        (answer, to_relay.iter().map(bytes).sum())
    }
}

/// Before any node proves itself no prompt leaves home, and the reason is said.
fn nobody_is_asked_who_did_not_prove_itself(house: &mut ConfidentialDeployment) {
    let prompt = CANARY.repeat(LARGE / CANARY.len());
    let is_refused = |house: &ConfidentialDeployment, codes: &[&str]| {
        let (answer, sent) = house.sent_for(&prompt);
        assert_eq!((answer.status, &answer.evidence), (502, &None), "{}", answer.body);
        let named = codes.iter().any(|code| answer.body.contains(code));
        assert!(named, "none of {codes:?}: {}", answer.body);
        assert!(sent < LARGE as u64 / 4, "{sent} bytes left home for a prompt of {LARGE}");
    };

    for (at, code) in refused() {
        house.chain.come_back(at).unwrap();
        is_refused(house, &[code]);
        house.chain.leave(at).unwrap();
    }
    for (at, _) in refused() {
        house.chain.come_back(at).unwrap();
    }
    let codes: Vec<_> = refused().map(|(_, code)| code).collect();
    is_refused(house, &codes);

    // In sealed chat as well, in one sentence.
    let out = house.laptop.instance.run(&["chat", "--model", MODEL, "--ask", CANARY]).unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && out.stdout.is_empty(), "{out:?}");
    assert!(codes.iter().any(|code| said.contains(code)), "{said}");

    // The same look sees a prompt that does leave: to a node that has proved itself.
    for at in [ENCLAVE, TPM] {
        house.chain.come_back(at).unwrap();
    }
    let (answer, sent) = house.sent_for(&prompt);
    assert!(sent > LARGE as u64, "{sent} bytes left home: {}", answer.body);
}

/// A request is sealed to all nodes that proved themselves at once, whatever holds their keys: whichever the router picks
/// answers.
fn nodes_of_both_kinds_answer_one_request(house: &ConfidentialDeployment) {
    let images = ["maru-compute of the lab\"", "maru-compute of the lab, with a tpm\""];
    let mut seen = [false; 2];
    let deadline = Instant::now() + Duration::from_secs(60);
    while seen != [true; 2] {
        assert!(Instant::now() < deadline, "only some of {images:?} answered: {seen:?}");
        let answer = house.ask(MODEL, CANARY);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let evidence = answer.evidence.expect("the reply says what stood behind it");
        for (seen, image) in seen.iter_mut().zip(images) {
            *seen |= evidence.contains(image);
        }
    }
}

/// The whole trip, seen from every cable of the chain: who is on it, and that it can be read on none.
fn the_answer_comes_back_and_nobody_on_the_way_reads_it(house: &ConfidentialDeployment) {
    let chain = &house.chain;
    let router = &house.deployment.topology.router;
    let hosts = [
        &chain.relay,
        &chain.gateway,
        &chain.auth,
        &chain.nodes[ENCLAVE].host,
        &chain.nodes[TPM].host,
    ];
    let recordings = hosts.map(|host| ConfidentialDeployment::record(router, host));
    // Gateway and router share a machine; what they say to each other stays on it.
    let between = Recording::begin(&chain.gateway.instance.machine, "lo", "between");

    let mut replies = Vec::new();
    for _ in 0..3 {
        let answer = house.ask(MODEL, CANARY);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let evidence = answer.evidence.expect("the reply says what stood behind it");
        // The lab reads heads in small letters.
        assert!(evidence.contains("simulated"), "{evidence}");
        assert!(evidence.contains("maru-compute of the lab"), "{evidence}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        replies.push(body["choices"][0]["message"]["content"].as_str().unwrap().to_owned());
    }
    let ask = ["chat", "--model", MODEL, "--max-tokens", "16", "--ask", CANARY];
    let sealed = house.laptop.instance.run(&ask).unwrap();
    let said = String::from_utf8_lossy(&sealed.stderr);
    assert!(sealed.status.success() && said.contains("SIMULATED"), "{said}");
    replies.push(String::from_utf8(sealed.stdout).unwrap());

    let texts: Vec<_> = replies.iter().filter_map(|reply| long_piece(reply)).collect();
    assert!(!texts.is_empty(), "too short to search for: {replies:?}");
    let mut files = vec![between.finish(SocketAddr::from(([127, 0, 0, 1], 9)))];
    files.extend(recordings.into_iter().map(|(recording, by)| recording.finish(by)));
    for (at, (file, path)) in files.iter().enumerate() {
        // Auth need not be asked just now.
        let is_used = fs::metadata(path).unwrap().len() > 2000;
        assert!(is_used || at == 3, "nothing went over {file}");
        for text in texts.iter().chain([&CANARY]) {
            assert!(!holds(path, text), "{text:?} can be read in {file}");
        }
    }
    // Who knows the home's address: relay and auth, which it dials, and nobody behind them.
    let sees_home =
        |(file, _): &(String, PathBuf)| !packets(router, file, &format!("host {HOME}")).is_empty();
    let [_, relay, gateway, _auth, enclave, tpm] = &files[..] else { panic!("six recordings") };
    assert_eq!([relay, gateway, enclave, tpm].map(sees_home), [true, false, false, false]);
}

/// The reply comes as it is made, and who hangs up is no longer answered.
fn the_reply_streams_and_ends_with_who_asked(house: &ConfidentialDeployment) {
    let mut chat = house.laptop.instance.long_chat_with(&["--model", MODEL]).unwrap();
    let busy = || {
        [ENCLAVE, TPM]
            .map(|at| house.chain.nodes[at].busy_slots().unwrap())
            .into_iter()
            .sum::<usize>()
    };
    assert_eq!(busy(), 1);
    chat.stop(STOP).unwrap();
    eventually_within(Duration::from_secs(30), "the engine stops", || busy() == 0);
}

/// Who names no model of the chain is answered at home or not at all.
fn it_answers_who_named_it_alone(house: &ConfidentialDeployment) {
    let usual = house.ask("default", CANARY);
    assert_eq!((usual.status, usual.evidence), (200, None), "{}", usual.body);
    let root = &house.deployment.home.root;
    let engine = [INFERENCE.path(root), root.join("run/maru/inference/away.sock")];
    fs::rename(&engine[0], &engine[1]).unwrap();
    let unanswered = house.ask("default", CANARY);
    assert!(unanswered.status >= 500, "{}: {}", unanswered.status, unanswered.body);

    fs::rename(&engine[1], &engine[0]).unwrap();
}

/// Two dials lead out, and are named; the gateway itself has no network, as before.
fn the_gateway_has_no_network_and_the_audit_names_both_dials(house: &ConfidentialDeployment) {
    let home = &house.deployment.home;
    let audit = String::from_utf8(home.run(&["audit"]).unwrap().stdout).unwrap();
    for host in [&house.chain.relay, &house.chain.auth] {
        assert!(audit.contains(&host.address.to_string()), "{audit}");
    }
    assert!(audit.contains("SIMULATED"), "{audit}");
    let [gateway] = house.deployment.processes("maru-gateway", "").unwrap()[..] else {
        panic!("one gateway runs")
    };
    let devices = fs::read_to_string(format!("/proc/{gateway}/net/dev")).unwrap();
    let devices: Vec<_> = devices.lines().filter_map(|line| line.split_once(':')).collect();
    assert!(matches!(devices[..], [(name, _)] if name.trim() == "lo"), "{devices:?}");
}

#[test]
#[ignore = "needs: root, podman, model, swtpm"]
fn a_prompt_reaches_proved_nodes_alone_and_is_read_by_nobody_on_the_way() {
    let mut house = ConfidentialDeployment::empty();
    nobody_is_asked_who_did_not_prove_itself(&mut house);
    nodes_of_both_kinds_answer_one_request(&house);
    the_answer_comes_back_and_nobody_on_the_way_reads_it(&house);
    the_reply_streams_and_ends_with_who_asked(&house);
    the_gateway_has_no_network_and_the_audit_names_both_dials(&house);
    it_answers_who_named_it_alone(&house);
}
