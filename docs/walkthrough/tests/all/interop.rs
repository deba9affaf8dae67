//! A client that we did not write joins our coordinator and talks to our agent.
//!
//! The crates `tailscale` and `ts_control`, from `interop/`. They reach a relay with a certificate of
//! its own only where the relay map says `InsecureForTests`, which our coordinator never writes: the
//! test gives it a map to serve as it stands. Our agent honours the map's pin and ignores the flag.
//! Fails if the stock client is not let in, if UDP or TCP with our agent breaks, or if our agent
//! talks to a relay with another certificate than the pinned one.

use std::{fs, process::Stdio, time::Duration};

use lab::{Deployment, Instance, ROOT, topology::HOME};
use serde_json::{Value, json};
use testkit::blocking::eventually_within;

/// Open between members: `tailscale` 0.6 does not let replies in that no rule allows.
const OPEN: &str = r#"{
  "tagOwners": { "tag:home": [] },
  "acls": [{ "action": "accept", "src": ["autogroup:member"],
             "dst": ["tag:home:80,18789", "autogroup:member:*"] }],
}"#;

const ECHO: &str = r"
import socket, threading
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('0.0.0.0', 7777))
tcp = socket.create_server(('0.0.0.0', 7777))
def datagrams():
    while True:
        data, peer = udp.recvfrom(65536)
        udp.sendto(data, peer)
def stream(connection):
    while data := connection.recv(65536):
        connection.sendall(data)
    connection.close()
threading.Thread(target=datagrams, daemon=True).start()
while True:
    threading.Thread(target=stream, args=(tcp.accept()[0],), daemon=True).start()
";

/// The relay map with the flag; `pin` is the SHA-256 of the relay's certificate, in hex.
fn relay_map(pin: &str) -> Value {
    json!({ "Regions": { "1": {
        "RegionID": 1, "RegionCode": "home", "RegionName": "Home",
        "Nodes": [{
            "Name": "1", "RegionID": 1, "HostName": HOME, "IPv4": HOME,
            "DERPPort": 8444, "STUNPort": 3478,
            "CertName": format!("sha256-raw:{pin}"), "InsecureForTests": true,
        }],
    }}})
}

fn serve_relay_map(deployment: &Deployment, pin: &str) {
    let root = &deployment.home.root;
    fs::write(root.join("relay-map.json"), relay_map(pin).to_string()).unwrap();
    let settings = root.join("etc/maru/coordinator.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let keys = "derp_map_file = \"relay-map.json\"\nderp_map_only = true\n\n[relay]";
    let text = text.replacen("[relay]", keys, 1);
    assert!(text.contains("derp_map_file"), "{text}");
    fs::write(settings, text).unwrap();
    deployment.crash("maru-coordinator", "serve").unwrap();
    deployment
        .home
        .wait_until(&["device", "list", "-o", "json"], Duration::from_secs(60), |text| {
            text.contains("home").then_some(())
        })
        .unwrap();
}

fn certificate_pin(deployment: &Deployment) -> String {
    let folder = deployment.home.root.join("var/lib/maru/relay");
    let mut files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_it = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"certificate-"))
    };
    let file = files.find(is_it).unwrap();
    let script = "import ssl,hashlib,sys\n\
        text = open(sys.argv[1]).read()\n\
        start = text.index('-----BEGIN CERTIFICATE')\n\
        der = ssl.PEM_cert_to_DER_cert(text[start:text.index('-----END CERTIFICATE') + 25])\n\
        print(hashlib.sha256(der).hexdigest())";
    let out = std::process::Command::new("python3").args(["-c", script]).arg(file).output();
    let pin = String::from_utf8(out.unwrap().stdout).unwrap().trim().to_owned();
    assert_eq!(pin.len(), 64, "the relay's certificate is not where it was looked for");
    pin
}

/// Whether the agent connects to the relay within half a minute.
fn relay_connects(instance: &Instance) -> bool {
    let connected = |text: &str| {
        let status: Value = serde_json::from_str(text).ok()?;
        (status["home_relay"]["connected"] == true).then_some(())
    };
    instance.wait_until(&["status", "-o", "json"], Duration::from_secs(30), connected).is_ok()
}

/// Waits until the agent has refused the relay's certificate so many times, connected to no relay in between.
fn refuses(instance: &Instance, times: usize) {
    let count = || {
        let log = fs::read_to_string(instance.root.join("agent.log")).unwrap();
        log.matches("not the one that the map pins").count()
    };
    let before = count();
    eventually_within(Duration::from_secs(120), "the agent refuses the relay", || {
        // Before the status, which takes a while to be told.
        let refused = count() - before;
        let relay = instance.status().unwrap()["home_relay"].clone();
        assert!(
            refused == 0 || relay["connected"] == false,
            "connected to another than the pinned relay"
        );
        refused >= times
    });
}

#[test]
#[ignore = "needs: root, podman, model, stock"]
fn a_stock_client_joins_and_exchanges_udp_and_tcp_with_our_agent() {
    let client = std::env::var("MARU_STOCK_CLIENT").expect("`cargo xtask test` sets it");
    let mut deployment = Deployment::start().unwrap();
    let pin = certificate_pin(&deployment);
    serve_relay_map(&deployment, &pin);
    let laptop = deployment.member("laptop", "alice").unwrap();
    fs::write(deployment.home.root.join("policy.json"), OPEN).unwrap();
    deployment.home.ok(&["policy", "set", &format!("{ROOT}/policy.json")]).unwrap();

    let echo =
        laptop.instance.machine.command("python3").args(["-c", ECHO]).stdin(Stdio::null()).spawn();
    let mut echo = echo.unwrap();
    let status = laptop.instance.status().unwrap();
    let to = format!("{}:7777", status["node"]["addresses"][0].as_str().unwrap());
    assert!(
        relay_connects(&laptop.instance),
        "our agent does not accept the pin: {}\n{}",
        laptop.instance.status().unwrap(),
        fs::read_to_string(laptop.instance.root.join("agent.log")).unwrap()
    );

    let stock = deployment.topology.add("stock").unwrap();
    let run = |command: &[&str]| {
        let invitation = deployment
            .home
            .ok(&["invite", "carol", "--approved", "--force", "-o", "json"])
            .unwrap();
        let invitation: Value = serde_json::from_str(&invitation).unwrap();
        let key = invitation["url"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
        let out = stock
            .command(&client)
            .args(["--control", &format!("http://{HOME}:8443"), "--authkey", &key])
            .args(["--state", "/run/stock-state", "--timeout", "60"])
            .args(command)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (said, log) =
            (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert!(out.status.success(), "{command:?}: {said}\n{log}");
    };
    stock.sh("mkdir -p /run/stock-state").unwrap();
    run(&["udp-echo", &to]);
    run(&["tcp-echo", &to]);
    echo.kill().unwrap();
    echo.wait().unwrap();

    // A map whose pin is another's is refused by our agent, whatever the flag says, while the relay
    // goes on as before.
    let wrong = "00".repeat(32);
    fs::write(deployment.home.root.join("relay-map.json"), relay_map(&wrong).to_string()).unwrap();
    deployment.crash("maru-coordinator", "serve").unwrap();
    refuses(&laptop.instance, 3);
    // The control: with its own pin in the map, the same relay is connected to and seen to be.
    fs::write(deployment.home.root.join("relay-map.json"), relay_map(&pin).to_string()).unwrap();
    deployment.crash("maru-coordinator", "serve").unwrap();
    assert!(relay_connects(&laptop.instance), "the control run");
}
