//! Auth: the same signed bytes for everyone, an epoch that never goes back, and no secret in answers or in the log.

use std::fmt::Write as _;

use common::wire::Fixed;
use confidential_api::{
    config::{Config, KeySource},
    names::{header, media, path},
    settings::{auth::Settings, gateway},
    signed::Signed,
};
use confidential_envelope::ohttp::KeyConfig;
use http_body_util::Full;
use hyper::{Method, Request};
use lab::search::Search;
use sha2::{Digest as _, Sha256};

use super::{
    client::{Answer, now, request},
    gateway::hex,
    logs::Log,
    world::TestDeployment,
};

fn read(world: &TestDeployment, answer: &Answer) -> Config {
    let text = |name| answer.headers[name].to_str().unwrap();
    let certificate = Signed::from_header(text(header::CERTIFICATE)).unwrap();
    let body = String::from_utf8(answer.body.to_vec()).unwrap();
    let signature = text(header::SIGNATURE).parse().unwrap();
    let signed = Signed::<Config>::from_parts(body, signature, Some(certificate));
    signed.verify(&world.identity, now()).unwrap()
}

#[tokio::test]
async fn everyone_gets_the_same_signed_bytes() {
    let world = TestDeployment::new();
    let router = world.router().await;
    let gateway = world.gateway(world.gateway_settings(router)).await;
    let (auth, _) = world.auth(world.auth_settings(gateway)).await;
    let mut first = world.config(auth).await;
    first.headers.remove("date");
    let client = world.client();

    for (name, value) in [
        ("user-agent", "another"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "192.0.2.7"),
        ("accept-language", "ko"),
        ("if-none-match", "*"),
    ] {
        let sent = Request::get(format!("{}?me=1", path::CONFIG)).header(name, value);
        let mut answer = client.whole(auth, sent.body(Full::default()).unwrap()).await;
        answer.headers.remove("date");
        assert_eq!(answer, first, "{name}");
    }
    let config = read(&world, &first);
    assert!(config.features.ohttp && config.features.real_attestation);
    assert_eq!(config.key_source, KeySource::Gateway);
    let bundle = config.bundle.unwrap().verify(&world.identity, now()).unwrap();
    assert_eq!(bundle, client.bundle(gateway, &world.identity).await);
    let list = KeyConfig::decode_list(&config.ohttp_key_configs_bundle).unwrap();
    assert_eq!(list[0].encode(), bundle.keys[0].config.0);
    assert_eq!(config.ohttp_key_rotation_periods[0].active_until, bundle.keys[0].active_until);
    let policy = config.attestation.allowed_images.verify(&world.identity, now()).unwrap();
    assert_eq!(policy.policy_id, "2026-11");
    assert_eq!(client.get(auth, path::HEALTHZ).await.body, "ok");
}

#[tokio::test]
async fn the_epoch_rises_with_each_change_and_never_goes_back() {
    let world = TestDeployment::new();
    let router = world.router().await;
    let gateway = world.gateway(world.gateway_settings(router)).await;
    let epoch_of = async || {
        let (auth, stop) = world.auth(world.auth_settings(gateway)).await;
        let answer = world.config(auth).await;
        stop.cancel();
        (read(&world, &answer).epoch, answer.body)
    };

    let first = epoch_of().await;
    assert_eq!(epoch_of().await, first, "the same document after a restart");
    world.policy("2026-12", 2);
    let second = epoch_of().await;
    assert_eq!(second.0, first.0 + 1);
    world.policy("2026-11", 1);
    let third = epoch_of().await;
    assert_eq!(third.0, second.0 + 1, "also if it says what an earlier one said");
    assert_ne!(third.1, first.1);
}

#[tokio::test]
async fn without_the_gateway_there_is_nothing_to_serve_yet() {
    let world = TestDeployment::new();
    let (auth, _) = world.auth(world.auth_settings(([127, 0, 0, 1], 1).into())).await;
    let answer = world.client().get(auth, path::CONFIG).await;
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
    assert_eq!(world.client().get(auth, path::HEALTHZ).await.status, 200);
}

#[tokio::test]
async fn keys_of_seeds_are_the_gateways_and_no_secret_is_in_any_answer_or_line() {
    let log = Log::begin();
    let world = TestDeployment::new();
    let seed = [0x5e; 40];
    let seeds = format!(
        r#"[{{"key_id":"0x0a","seed_hex":"{}","active_from":"2020-01-01T00:00:00Z","active_until":"2090-01-01T00:00:00Z"}}]"#,
        hex(&seed)
    );
    world.secret("seeds.json", &seeds);
    let file = Some("etc/maru/confidential/seeds.json".into());
    let router = world.router().await;
    let keys =
        gateway::Keys { source: KeySource::Seeds, seeds_file: file.clone(), ..Default::default() };
    let gateway = world.gateway(gateway::Settings { keys, ..world.gateway_settings(router) }).await;
    let settings =
        Settings { key_source: KeySource::Seeds, seeds_file: file, ..world.auth_settings(gateway) };
    let (auth, _) = world.auth(settings).await;
    // What the router is asked with; the others ask for none.
    let client = world.client_as("gateway");

    let answer = world.config(auth).await;
    let config = read(&world, &answer);
    assert_eq!((config.key_source, &config.bundle), (KeySource::Seeds, &None));
    let key = KeyConfig::decode_list(&config.ohttp_key_configs_bundle).unwrap().remove(0);
    assert_eq!((key.key_id(), config.ohttp_key_rotation_periods[0].key_id), (10, 10));
    let ping = request(Method::GET, path::PING, &[], b"");
    assert_eq!(client.ask(gateway, &key, &ping).await.content, b"pong");

    let mut said = String::new();
    let paths = [
        path::CONFIG,
        path::HEALTHZ,
        path::BUNDLE,
        path::PING,
        path::HEALTH,
        "/",
        "/seeds",
        "/keys",
    ];
    for address in [auth, gateway, router] {
        for path in paths {
            let get = client.get(address, path).await;
            let post = client.post(address, path, media::OHTTP_REQUEST, "x").await;
            for answer in [get, post] {
                write!(said, "{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body))
                    .unwrap();
            }
        }
    }
    assert!(said.contains("\"epoch\":"), "the configuration is among it");
    let logged = log.said();
    let secrets = secrets(&world, &seed);
    assert!(!secrets.finds_in(&said), "a secret in an answer");
    assert!(!secrets.finds_in(logged), "a secret in a line of the log");
    // The log is heard, and a seed in it would be found.
    tracing::trace!(target: "confidential_server", seed = hex(&seed));
    assert!(secrets.finds_in(log.said()));
}

/// The search for the secrets of a deployment.
fn secrets(world: &TestDeployment, seed: &[u8]) -> Search {
    // Of a longer seed the private key is its hash.
    let mut secrets = vec![seed.to_vec(), Sha256::digest(seed).to_vec()];
    for file in
        [world.file("bundle.key"), world.file("config.key"), world.own().join("identity.key")]
    {
        let Fixed(key): Fixed<32> = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
        secrets.push(key.to_vec());
    }
    secrets.push(b"PRIVATE KEY".to_vec());
    Search::new(secrets).unwrap()
}
