use std::{fs, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Parser as _;
use control_protocol::key::NodePrivate;
use testkit::server::{Request, Server, read_request, response};
use tokio::{io::AsyncWriteExt as _, sync::Mutex};

use super::*;

/// Arguments of `add`, as typed.
#[derive(clap::Parser)]
struct Typed {
    #[command(flatten)]
    args: AddArgs,
}

/// Runs `add` with these arguments against a coordinator that grants all; returns its result, and what was asked.
async fn typed(arguments: &[&str]) -> (NewConfiguration, Request) {
    let root = tempfile::tempdir().unwrap();
    let socket = services::ADMIN.path(root.path());
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let asked = Arc::<Mutex<Request>>::default();
    let seen = Arc::clone(&asked);
    let _coordinator = Server::unix(&socket, move |mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            let request = read_request(&mut stream).await.unwrap();
            let (asked, own) = (request.json(), coordinator_api::Device::default());
            let device = serde_json::json!({
                "device": own, "public_key": asked["public_key"], "router": "home",
                "router_key": asked["public_key"], "endpoint": "home.example.org:51820", "allowed_ips": [],
                "dns": [], "full_tunnel": false, "keepalive_s": null, "problem": null,
            });
            *seen.lock().await = request;
            let answer = response("201 Created", "application/json", &device.to_string());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let Typed { args } = Typed::try_parse_from([&["add"], arguments].concat()).unwrap();
    let made = add(args, &Client::coordinator(root.path()), root.path()).await.unwrap();
    let request = asked.lock().await.clone();
    (made, request)
}

#[tokio::test]
async fn a_private_key_is_in_the_configuration_and_nowhere_else() {
    let (made, asked) = typed(&["phone"]).await;

    let private = made.private_key.as_ref().unwrap().reveal();
    let bytes: [u8; 32] = STANDARD.decode(private).unwrap().try_into().unwrap();
    let key = NodePrivate::from_bytes(bytes);
    assert_eq!(WireguardKey(key.public()).to_string(), asked.json()["public_key"]);
    let sent = format!("{}{}", asked.head, String::from_utf8(asked.body).unwrap());
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(!sent.contains(private) && !sent.contains(&hex), "the coordinator got it");
    assert!(!format!("{made:?}").contains(private), "a log would have it");
    assert_eq!(made.configuration.reveal().matches(private).count(), 1);
    let text = next_step(&made).to_string();
    assert!(text.contains("through home"), "whom it trusts: {text}");
    let other = typed(&["phone"]).await.0;
    assert_ne!(other.private_key.unwrap().reveal(), private);
}

#[tokio::test]
async fn a_device_that_made_its_key_itself_is_added_by_the_public_one() {
    let public = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";
    let (made, asked) =
        typed(&["tv", "--public-key", public, "--tag", "tag:tv", "--expires", "1h"]).await;

    assert!(made.private_key.is_none());
    let asked = asked.json();
    assert_eq!((&asked["public_key"], &asked["tags"][0]), (&public.into(), &"tag:tv".into()));
    assert_eq!(asked["expires_in_s"], 3600);
    assert!(Typed::try_parse_from(["add", "tv", "--public-key", "abc"]).is_err());
}
