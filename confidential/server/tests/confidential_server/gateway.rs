//! The gateway: what it opens, what it refuses and how alike that looks, and how its keys follow one another.

use std::{net::SocketAddr, time::Duration};

use confidential_api::{
    config::KeySource,
    names::{OHTTP_KEY_PROBLEM, media, path},
    settings::gateway::{Keys, Settings},
};
use confidential_envelope::{
    Kem, PrivateKey, bhttp,
    ohttp::{KeyConfig, Request as Sealing},
};
use http_body_util::Full;
use hyper::{Method, Request};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{
    client::{Answer, Client, active, open, request, seal},
    world::TestDeployment,
};

async fn start(world: &TestDeployment) -> (SocketAddr, SocketAddr) {
    let router = world.router().await;
    (world.gateway(world.gateway_settings(router)).await, router)
}

async fn sealed(client: &Client, gateway: SocketAddr, body: Vec<u8>) -> Answer {
    client.post(gateway, "/", media::OHTTP_REQUEST, body).await
}

/// The answer without what differs from one moment to the next.
fn outside(mut answer: Answer) -> Answer {
    answer.headers.remove("date");
    answer
}

/// Requests that do not open, and what is wrong with each.
fn failures(key: &KeyConfig, ping: &(bhttp::RequestHead, Vec<u8>)) -> Vec<(&'static str, Vec<u8>)> {
    let good = || seal(key, ping).0;
    let (id, head) = (key.key_id(), 7);
    let mut failures = vec![
        ("nothing", vec![]),
        ("the id alone", vec![id]),
        ("a head alone", good()[..head].to_vec()),
        ("cut in the key", good()[..500].to_vec()),
        ("cut in the seal", good()[..good().len() - 1].to_vec()),
        ("more behind it", [good(), vec![0]].concat()),
    ];
    for (what, at) in [
        ("another KEM", 2),
        ("another KDF", 4),
        ("another cipher", 6),
        ("a changed key", 40),
        ("a changed seal", 1300),
    ] {
        let mut changed = good();
        changed[at] ^= 1;
        failures.push((what, changed));
    }
    let other = KeyConfig::new(
        id,
        PrivateKey::generate(Kem::XWing).unwrap().public(),
        key.aeads().to_vec(),
    );
    failures.push(("sealed to another key of this id", seal(&other.unwrap(), ping).0));
    let no_message = Sealing::new(key).unwrap().seal(&b"\x09no message".to_vec().into()).unwrap().0;
    failures.push(("something else inside", no_message));
    let response = bhttp::encode(
        &bhttp::ResponseHead { status: 200.try_into().unwrap(), headers: Default::default() },
        b"",
        1,
    );
    failures.push(("a response inside", Sealing::new(key).unwrap().seal(&response).unwrap().0));
    failures
}

#[tokio::test]
async fn every_failure_to_open_looks_alike_but_an_unknown_key() {
    let world = TestDeployment::new();
    let (gateway, _) = start(&world).await;
    let client = world.client();
    let key = active(&client.bundle(gateway, &world.identity).await);
    let ping = request(Method::GET, path::PING, &[], b"");
    let good = || seal(&key, &ping).0;
    assert_eq!(sealed(&client, gateway, good()).await.status, 200);

    let id = key.key_id();
    let failures = failures(&key, &ping);
    let mut looks = Vec::new();
    for (what, body) in failures {
        let answer = outside(sealed(&client, gateway, body).await);
        assert_eq!((answer.status.as_u16(), answer.body.len()), (400, 0), "{what}");
        looks.push(answer);
    }
    // The same of a chunked request, and of a whole one that says that it is chunked.
    for body in [good(), b"".to_vec(), good()[..100].to_vec()] {
        looks.push(outside(client.post(gateway, "/", media::OHTTP_CHUNKED_REQUEST, body).await));
    }
    assert!(looks.windows(2).all(|pair| pair[0] == pair[1]), "{looks:?}");

    let mut unknown = good();
    unknown[0] = id.wrapping_add(99);
    let answer = sealed(&client, gateway, unknown).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.headers["content-type"], media::PROBLEM);
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["type"], OHTTP_KEY_PROBLEM);
}

#[tokio::test]
async fn requests_in_chunks_are_opened() {
    let world = TestDeployment::new();
    let (gateway, _) = start(&world).await;
    let client = world.client();
    let key = active(&client.bundle(gateway, &world.identity).await);
    let (head, _) = request(Method::GET, path::PING, &[], b"");
    let (encoder, first) = bhttp::Encoder::new(&head, 514);
    let (mut sealer, opener) = Sealing::new(&key).unwrap().chunked().unwrap();
    let mut body = sealer.write(&first).unwrap();
    body.extend(sealer.finish(&encoder.finish()).unwrap());

    let cut = client
        .post(gateway, "/", media::OHTTP_CHUNKED_REQUEST, body[..body.len() - 1].to_vec())
        .await;
    assert_eq!(cut.status, 400);
    let answer = client.post(gateway, "/", media::OHTTP_CHUNKED_REQUEST, body).await;
    assert_eq!(open(opener, &answer).content, b"pong");
}

#[tokio::test]
async fn nothing_but_the_router_is_asked_and_who_misses_is_told_inside_the_seal() {
    let world = TestDeployment::new();
    let (gateway, _) = start(&world).await;
    let client = world.client();
    let key = active(&client.bundle(gateway, &world.identity).await);

    let of = |method, path: &str| request(method, path, &[], b"");
    let mut elsewhere = of(Method::GET, path::PING);
    elsewhere.0.authority = "confsec-bank.invalid".to_owned();
    let mut home = of(Method::GET, path::PING);
    home.0.authority = "127.0.0.1".to_owned();
    let refused = [
        elsewhere,
        home,
        of(Method::POST, path::PING),
        of(Method::GET, "/"),
        of(Method::GET, path::HEALTH),
        of(Method::POST, path::NODE_EVENTS),
        of(Method::POST, "//"),
        of(Method::POST, "/attest/"),
        of(Method::POST, "/?a"),
        of(Method::PUT, path::ATTEST),
    ];
    for request in refused {
        let opened = client.ask(gateway, &key, &request).await;
        assert_eq!(opened.status, 403, "{} {}", request.0.method, request.0.path);
    }

    let (body, _) = seal(&key, &of(Method::GET, path::PING));
    for (host, status) in [
        ("127.0.0.1", 200),
        ("127.0.0.1:3200", 200),
        ("localhost", 421),
        ("evil.example:3200", 421),
        ("127.0.0.1:", 200),
    ] {
        let sent =
            Request::post("/").header("host", host).header("content-type", media::OHTTP_REQUEST);
        let answer =
            client.whole(gateway, sent.body(Full::new(body.clone().into())).unwrap()).await;
        assert_eq!(answer.status, status, "{host}");
    }
    assert_eq!(client.post(gateway, "/", "application/json", "x").await.status, 415);
    let long = vec![0; (2 << 20) + 1];
    assert_eq!(client.post(gateway, "/", media::OHTTP_REQUEST, long).await.status, 413);
}

#[tokio::test]
async fn an_absent_router_is_told_inside_the_seal() {
    let world = TestDeployment::new();
    let gateway = world.gateway(world.gateway_settings(([127, 0, 0, 1], 1).into())).await;
    let client = world.client();
    let key = active(&client.bundle(gateway, &world.identity).await);

    let opened = client.ask(gateway, &key, &request(Method::GET, path::PING, &[], b"")).await;

    assert_eq!(opened.status, 502);
    assert!(!String::from_utf8_lossy(&opened.content).contains("127.0.0.1"));
}

#[tokio::test]
async fn keys_rotate_under_load_and_no_request_is_lost() {
    let world = TestDeployment::new();
    let router = world.router().await;
    let keys = Keys { active_s: 4, overlap_s: 2, ahead_s: 1, ..Keys::default() };
    let gateway = world.gateway(Settings { keys, ..world.gateway_settings(router) }).await;
    let client = world.client();
    let ping = request(Method::GET, path::PING, &[], b"");
    let mut used = std::collections::BTreeSet::new();
    let mut epochs = Vec::new();

    // Until a third key is in use; each client follows the bundle and uses the newest key that is active.
    let mut bundle = client.bundle(gateway, &world.identity).await;
    let mut fetched = Instant::now();
    while used.len() < 3 {
        if fetched.elapsed() > Duration::from_millis(300) {
            bundle = client.bundle(gateway, &world.identity).await;
            fetched = Instant::now();
        }
        epochs.push(bundle.epoch);
        let key = active(&bundle);
        used.insert(key.key_id());
        let asks = (0..4).map(|_| client.ask(gateway, &key, &ping));
        for opened in futures_util::future::join_all(asks).await {
            assert_eq!(opened.content, b"pong");
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert!(epochs.is_sorted() && epochs.first() < epochs.last());
}

#[tokio::test]
async fn a_new_gateway_uses_no_id_or_epoch_again() {
    let world = TestDeployment::new();
    let router = world.router().await;
    let stop = CancellationToken::new();
    let first = world.gateway_until(world.gateway_settings(router), stop.clone()).await;
    let client = world.client();
    let before = client.bundle(first, &world.identity).await;
    let old = active(&before);
    stop.cancel();

    let second = world.gateway(world.gateway_settings(router)).await;
    let after = client.bundle(second, &world.identity).await;

    assert!(after.epoch > before.epoch);
    assert_ne!(active(&after).key_id(), old.key_id());
    // So that a client which knows the old key is told to fetch the new one.
    let (body, _) = seal(&old, &request(Method::GET, path::PING, &[], b""));
    let answer = sealed(&client, second, body).await;
    assert!(String::from_utf8_lossy(&answer.body).contains(OHTTP_KEY_PROBLEM));
}

#[tokio::test]
async fn keys_of_seeds_are_accepted_while_they_are_active() {
    let world = TestDeployment::new();
    let router = world.router().await;
    let seeds = [
        (1, "2020-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
        (2, "2020-01-01T00:00:00Z", "2090-01-01T00:00:00Z"),
        (3, "2089-01-01T00:00:00Z", "2090-01-01T00:00:00Z"),
    ];
    let seeds: Vec<_> = seeds.iter().map(|(id, from, until)| {
        let seed = hex(&[*id; 32]);
        format!(r#"{{"key_id":"{id}","seed_hex":"{seed}","active_from":"{from}","active_until":"{until}"}}"#)
    }).collect();
    world.secret("seeds.json", &format!(r#"{{"OHTTP_KEYS":[{}]}}"#, seeds.join(",")));
    let keys = Keys {
        source: KeySource::Seeds,
        seeds_file: Some("etc/maru/confidential/seeds.json".into()),
        ..Keys::default()
    };
    let gateway = world.gateway(Settings { keys, ..world.gateway_settings(router) }).await;
    let client = world.client();

    assert_eq!(client.get(gateway, path::BUNDLE).await.status, 404);
    for (id, taken) in [(1, false), (2, true), (3, false), (4, false)] {
        let private = PrivateKey::derive(Kem::XWing, &Zeroizing::new([id; 32]));
        let config =
            KeyConfig::new(id, private.public(), vec![confidential_envelope::Aead::Aes128Gcm])
                .unwrap();
        let (body, opener) = seal(&config, &request(Method::GET, path::PING, &[], b""));
        let answer = sealed(&client, gateway, body).await;
        if taken {
            assert_eq!(open(opener, &answer).content, b"pong");
        } else {
            assert!(String::from_utf8_lossy(&answer.body).contains(OHTTP_KEY_PROBLEM), "{id}");
        }
    }
}

#[tokio::test]
async fn a_relay_on_the_same_machine_may_come_without_tls() {
    let world = TestDeployment::new();
    let router = world.router().await;
    let plain = Some(([127, 0, 0, 1], 0).into());
    let settings = Settings { listen_plain: plain, ..world.gateway_settings(router) };
    let (secure, plain) = world.gateway_both(settings).await;
    let client = world.client();
    let key = active(&client.bundle(secure, &world.identity).await);
    let relay = world.relay_to(&format!("http://{plain}")).await;

    let opened = client.ask(relay, &key, &request(Method::GET, path::PING, &[], b"")).await;

    assert_eq!(opened.content, b"pong");
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
