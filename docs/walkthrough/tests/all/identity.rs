//! A coordinator that lies about who the gateway is.
//!
//! Fails if `maru chat` sends anything, be it the first packet of a connection, to a gateway of another identity than
//! the one it knows, if it accepts another than the one that was named, or if it does not go on after that. Beside each
//! silence stands a chat that is counted.

use std::{os::unix::net::UnixStream, time::Duration};

use ai_gateway_api::wire::Fixed;
use lab::{Deployment, Instance};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use testkit::blocking::http;

/// How long a change may take to reach a device.
const SPREAD: Duration = Duration::from_secs(30);

/// As `docs/protocols/sealed-chat.md` says.
fn fingerprint(identity: &str) -> String {
    let identity: Fixed<32> = identity.parse().unwrap();
    let hash = Sha256::digest([&b"maru-gateway-identity/1\0"[..], &identity.0].concat());
    let groups: Vec<_> = hash[..16].chunks(2).map(hex::encode).collect();
    groups.join("-")
}

/// Asks the coordinator's admin API at home.
fn admin(deployment: &Deployment, method: &str, path: &str, body: Option<&Value>) -> Value {
    let socket = deployment.home.root.join("run/maru/coordinator/admin.sock");
    let (stream, body) = (UnixStream::connect(socket).unwrap(), body.map(Value::to_string));
    let answer = http::request(stream, method, path, "localhost", &[], body.as_deref()).unwrap();
    assert_eq!(answer.status, 200, "{path}");
    answer.json().unwrap()
}

/// Has the coordinator hand out this identity, and waits until the laptop has it.
fn hand_out(deployment: &Deployment, laptop: &Instance, identity: &str) {
    let devices = admin(deployment, "GET", "/api/v1/devices", None);
    let home = devices.as_array().unwrap().iter().find(|device| device["name"] == "home").unwrap();
    let mut capabilities = home["capabilities"].clone();
    capabilities["maru/gateway-identity"] = json!([identity]);
    let path = format!("/api/v1/devices/{}/capabilities", home["id"]);
    admin(deployment, "PUT", &path, Some(&capabilities));
    let has_it = |text: &str| text.contains(identity).then_some(());
    laptop.wait_until(&["status", "-o", "json"], SPREAD, has_it).unwrap();
}

/// Counts how often the laptop begins a connection to one of the two ports of the gateway: without one it sends nothing,
/// and the end of an earlier one may still be on its way.
fn count(laptop: &Instance) {
    laptop
        .machine
        .sh("nft -f - <<'END'
            table inet watch {
                counter asked {}
                chain out {
                    type filter hook output priority -300;
                    tcp dport { 80, 18789 } tcp flags & (syn | ack) == syn counter name asked
                }
            }\nEND")
        .unwrap();
}

fn counted(laptop: &Instance) -> u64 {
    let text = laptop.machine.sh("nft list counter inet watch asked").unwrap();
    let (_, packets) = text.split_once("packets ").unwrap();
    packets.split(' ').next().unwrap().parse().unwrap()
}

/// `maru chat`: what it printed, or what it said; and how many connections to the gateway it began.
fn chat(laptop: &Instance, args: &[&str]) -> (Result<String, String>, u64) {
    let before = counted(laptop);
    let args = [&["chat", "--max-tokens", "3", "--ask", "Hello!"], args].concat();
    let output = laptop.run(&args).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let said =
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) };
    (said, counted(laptop) - before)
}

#[test]
#[ignore = "needs: root, podman, model"]
fn a_gateway_that_is_not_the_known_one_is_sent_nothing_until_it_is_accepted() {
    let mut deployment = Deployment::start().unwrap();
    let device = deployment.member("laptop", "alice").unwrap();
    let laptop = &device.instance;
    count(laptop);
    let own = laptop.status().unwrap()["gateway"]["identity"].as_str().unwrap().to_owned();
    let other = Fixed::<32>([7; 32]).to_string();
    let (known, lie) = (fingerprint(&own), fingerprint(&other));

    let (said, began) = chat(laptop, &[]);
    assert!(!said.unwrap().trim().is_empty() && began > 0, "a chat is not counted");

    hand_out(&deployment, laptop, &other);
    let (said, began) = chat(laptop, &[]);
    let said = said.expect_err("a gateway that nobody knows was asked");
    for words in [&known, &lie, &format!("maru chat --accept-identity {lie}")] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(began, 0, "{said}");

    // It accepts the one that is offered now, and no other.
    let (said, began) = chat(laptop, &["--accept-identity", &known]);
    assert!(said.unwrap_err().contains("nothing was accepted"));
    assert_eq!(began, 0);
    assert_eq!(chat(laptop, &[]).1, 0, "it was accepted nevertheless");

    // Whom the person accepts is asked for its keys; it cannot show that it is who it says.
    let (said, began) = chat(laptop, &["--accept-identity", &lie]);
    assert!(said.unwrap_err().contains("is not this network's gateway; nothing was sent"));
    assert!(began > 0);

    // And back: a change that was meant.
    hand_out(&deployment, laptop, &own);
    let (said, began) = chat(laptop, &[]);
    assert!(said.unwrap_err().contains(&format!("--accept-identity {known}")));
    assert_eq!(began, 0);
    let (said, _) = chat(laptop, &["--accept-identity", &known]);
    assert!(!said.unwrap().trim().is_empty());
    let (said, _) = chat(laptop, &[]);
    assert!(!said.unwrap().trim().is_empty());

    // Who leaves and joins again knows it still.
    laptop.ok(&["leave"]).unwrap();
    laptop.ask_to_join(&deployment.home, "alice").unwrap();
    deployment.home.approve("laptop").unwrap();
    laptop.wait_for_network().unwrap();
    hand_out(&deployment, laptop, &other);
    let (said, began) = chat(laptop, &[]);
    assert!(said.unwrap_err().contains(&format!("--accept-identity {lie}")));
    assert_eq!(began, 0);
}
