//! What coordinator, relay and agent log when they are told to log everything, and what the audit log keeps: none of the
//! secrets that they hold or are told.
//!
//! A laptop joins with an invitation, a stock node with a key, and another by pasting an invitation into its page; then
//! somebody administers with an API key. Fails if a log then holds a key that anybody was given, or a private key of theirs:
//! as text, or as bytes in a form in which programs print them. Fails also if the logs are not of all these steps, or if the
//! search does not find what is there. Blind to secrets that are in no file and were never printed, such as those of a Noise
//! or TLS session.

use std::{collections::BTreeMap, fs, path::Path};

use base64::{Engine as _, engine::general_purpose};
use lab::{
    Instance, STOP,
    nat::Nat,
    search::{Search, forms},
    site::Site,
    stock::StockNode,
    topology::Topology,
};

use super::support::{
    authority::{self, Authority, NAME, TLS},
    control::Control,
};

/// How private keys begin in files of ours; 64 digits follow.
const PRIVATE: &str = "privkey:";
/// How much of a secret is enough to betray it, in bytes. Eight are still too many for chance.
const PART: usize = 8;

/// One secret, and the search for it: whole, its beginning and its end.
#[derive(Debug)]
struct Secret {
    bytes: Vec<u8>,
    search: Search,
}

/// Secrets, by what each is.
#[derive(Debug, Default)]
pub(super) struct Secrets(BTreeMap<String, Secret>);

impl Secrets {
    fn add(&mut self, what: String, bytes: Vec<u8>) {
        let ends = [&bytes[..PART], &bytes[bytes.len() - PART..], &bytes];
        let search = Search::new(ends).unwrap();
        self.0.insert(what, Secret { bytes, search });
    }

    /// One that is a text, such as a key that a person is shown; only what is random in it counts.
    pub(super) fn add_text(&mut self, what: &str, text: &str) {
        let random = text.rsplit(['-', '.', '/', ':']).next().unwrap();
        let bytes = hex::decode(random).expect("it is written in hex");
        assert!(bytes.len() >= 2 * PART, "{what} is too short to be told apart");
        self.add(what.to_owned(), bytes);
    }

    /// Every private key in the files below a folder.
    pub(super) fn add_files(&mut self, folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                self.add_files(&path);
            } else if let (true, Ok(text)) = (meta.is_file(), fs::read_to_string(&path)) {
                self.add_keys(&path.display().to_string(), &text);
            }
        }
    }

    fn add_keys(&mut self, file: &str, text: &str) {
        for (number, (at, _)) in text.match_indices(PRIVATE).enumerate() {
            let digits = &text[at + PRIVATE.len()..][..64];
            self.add(format!("{file} {number}"), hex::decode(digits).unwrap());
        }
        if let Some((_, rest)) = text.split_once("-----BEGIN PRIVATE KEY-----") {
            let (body, _) = rest.split_once("-----END").unwrap();
            let body: String = body.split_whitespace().collect();
            let key = general_purpose::STANDARD.decode(body).unwrap();
            // The number itself; before it are type and curve, the same in all (RFC 5208, RFC 5915).
            self.add(file.to_owned(), key[36..68].to_vec());
        }
    }

    /// What of these is in a log.
    pub(super) fn found_in(&self, log: &[u8]) -> Vec<&String> {
        let is_there = |secret: &Secret| secret.search.finds_in(log);
        self.0.iter().filter(|(_, secret)| is_there(secret)).map(|(what, _)| what).collect()
    }
}

/// The machines.
struct Network {
    authority: Authority,
    control: Control,
    laptop: Instance,
    site: Site,
    _agent: lab::Process,
    _state: tempfile::TempDir,
    _topology: Topology,
}

impl Network {
    /// Coordinator, relay and a laptop's agent, which log everything.
    fn start() -> Self {
        let all = ["--log", "trace"];
        let mut topology = Topology::new(&["laptop"]).unwrap();
        let mut authority = None;
        let settings = |root: &Path| {
            authority = Some(Authority::issue(root));
            format!("listen = \"0.0.0.0:443\"\nserver_url = \"https://{NAME}\"\n{TLS}")
        };
        let control = Control::start_with(&topology, settings, &all);
        let authority = authority.unwrap();
        let state = tempfile::tempdir().unwrap();
        let laptop = Instance::new(&topology.laptops[0], state.path()).unwrap();
        authority.tell(&laptop.machine);
        let agent = laptop.agent_with(&all).unwrap();
        let site = topology.site(Nat::PortRestricted).unwrap();
        Self { authority, control, laptop, site, _agent: agent, _state: state, _topology: topology }
    }

    fn invitation(&self, args: &[&str]) -> String {
        let made = self.control.json(&[&["invite", "alice"], args].concat());
        made["url"].as_str().unwrap().to_owned()
    }

    fn stock(&mut self, name: &str) -> StockNode {
        let machine = self.site.add(name).unwrap();
        self.authority.tell(&machine);
        StockNode::start_with(&machine, &[("SSL_CERT_FILE", authority::FILE)]).unwrap()
    }

    /// Everything that was logged, by whom.
    fn logs(&self) -> BTreeMap<&str, Vec<u8>> {
        let home = &self.control.home.root;
        let files = [
            ("coordinator", home.join("serve")),
            ("relay", home.join("relay")),
            ("agent", self.laptop.root.join("agent.log")),
        ];
        files.map(|(who, path)| (who, fs::read(path).unwrap())).into()
    }

    /// The audit log, for programs and for people.
    fn audit(&self) -> [(&'static str, String); 2] {
        let table = self.control.home.ok(&["log"]).unwrap();
        [("json", self.control.json(&["log"]).to_string()), ("table", table)]
    }
}

/// Pastes an invitation into the page of a device that waits, as a person with a browser would.
fn paste(stock: &StockNode, page: &str, invitation: &str) {
    let mut curl = stock.machine.command("curl");
    curl.args(["--silent", "--show-error", "--cacert", authority::FILE]);
    curl.args(["--data-urlencode", &format!("invitation={invitation}"), page]);
    let out = curl.output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(said.contains("The device has joined"), "{said}{out:?}");
}

#[test]
#[ignore = "needs: root, go"]
fn nobody_logs_a_secret_however_much_is_logged() {
    let mut network = Network::start();
    let mut secrets = Secrets::default();
    let server = format!("https://{NAME}");

    let invitation = network.invitation(&[]);
    secrets.add_text("the laptop's invitation", &invitation);
    let ca = network.authority.lend(&network.laptop.root);
    network.laptop.ok(&["join", &invitation, "--hostname", "laptop", "--ca", &ca]).unwrap();
    network.control.home.approve("laptop").unwrap();
    let runs = |text: &str| text.contains("\"running\"").then_some(());
    network.laptop.wait_until(&["status", "-o", "json"], STOP, runs).unwrap();

    let key = network.control.key(&["--user", "alice"]);
    secrets.add_text("the printer's key", &key);
    network.stock("printer").join(&server, &key, &[]).unwrap();

    let invitation = network.invitation(&["--approved"]);
    secrets.add_text("the phone's invitation", &invitation);
    let phone = network.stock("phone");
    let mut asking = phone.ask_to_join(&server, &[]).unwrap();
    let page = phone.status().unwrap()["AuthURL"].as_str().unwrap().to_owned();
    secrets.add_text("the address of the phone's page", &page);
    paste(&phone, &page, &invitation);
    let status = asking.wait_for(STOP).unwrap();
    assert!(status.is_some_and(|status| status.success()), "`tailscale up` ended: {status:?}");

    let made = network.control.json(&["api-key", "create", "ann", "--admin"]);
    let key = made["key"].as_str().unwrap();
    secrets.add_text("the API key", key);
    let home = &network.control.home;
    network.authority.tell(&home.machine);
    // Else `maru` asks resolvers, of which the lab has none, for the name's IPv6 address.
    home.machine.sh(&format!("echo '::1 {NAME}' >> /etc/hosts")).unwrap();
    let ca = network.authority.lend(&home.root);
    let mut list = home.maru(&["device", "list", "--server", &server, "--ca", &ca]);
    let listed = list.env("MARU_API_KEY", key).output().unwrap();
    assert!(listed.status.success(), "{listed:?}");

    secrets.add_files(&network.control.home.root.join("var/lib/maru"));
    secrets.add_files(&network.control.home.root.join("etc/maru"));
    secrets.add_files(&network.laptop.root.join("var/lib/maru"));
    // Noise, relay (DERP and TLS), HTTPS; the laptop's machine, node and discovery keys; and those above.
    assert!(secrets.0.len() >= 4 + 3 + 5, "{:?}", secrets.0.keys());
    for (who, log) in network.logs() {
        let said = String::from_utf8_lossy(&log);
        // The relay has nothing to say at the last level.
        let is_whole = ["TRACE", "DEBUG"].iter().any(|level| said.contains(level));
        assert!(is_whole, "{who} does not log everything: {said}");
        if who == "coordinator" {
            was_there(&said);
        }
        assert_eq!(secrets.found_in(&log), Vec::<&String>::new(), "in the log of {who}");
        finds_what_is_there(&secrets, &log);
    }
    for (form, log) in network.audit() {
        is_of_these_steps(form, &log);
        assert_eq!(secrets.found_in(log.as_bytes()), Vec::<&String>::new(), "in the audit log");
        finds_what_is_there(&secrets, log.as_bytes());
    }
}

/// The log is of the laptop that was approved, and of the two that brought keys.
fn was_there(log: &str) {
    for (words, count) in [("device approved", 1), ("node added", 2)] {
        assert_eq!(log.matches(words).count(), count, "{words}");
    }
}

/// The audit log is of each step: two invitations, a key, a device approved, two that brought keys, and an API key.
fn is_of_these_steps(form: &str, log: &str) {
    for (action, count) in [
        ("invitation.create", 2),
        ("key.create", 1),
        ("device.approve", 1),
        ("device.join", 2),
        ("api-key.create", 1),
    ] {
        let words = log.split(|it: char| it.is_whitespace() || it == '"');
        assert_eq!(words.filter(|word| *word == action).count(), count, "{action}, {form}: {log}");
    }
}

/// The same search finds each secret, in each form, within such a log.
pub(super) fn finds_what_is_there(secrets: &Secrets, log: &[u8]) {
    let tail = &log[log.len() - log.len().min(4096)..];
    for (what, secret) in &secrets.0 {
        let bytes = &secret.bytes;
        for form in forms(bytes).into_iter().chain(forms(&bytes[..PART])) {
            let with_it = [tail, b" key=", &form, b"\n"].concat();
            assert_eq!(secrets.found_in(&with_it), [what], "{what} as {form:?}");
        }
    }
}
