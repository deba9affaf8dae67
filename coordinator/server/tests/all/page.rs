//! The page of a device that waits: it takes an invitation, once, and tells nobody why it took none.

use std::net::SocketAddr;

use control_protocol::{CAPABILITY_VERSION, register::RegisterRequest};
use coordinator_api::settings::{Proxy, Settings};
use futures_util::{FutureExt as _, future::join_all};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::{eventually, postgres::Postgres};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    time::timeout,
};

use crate::{
    device::{Channel, Device},
    harness::{Coordinator, PATIENCE, configured, settings},
    http::{get, post_form, raw, request_with_form},
};

/// How often one address may try at once.
const TRIES: usize = 10;

/// Behind a proxy that speaks HTTPS, as whom the tests call.
pub(crate) fn over_https() -> coordinator::config::Config {
    behind(Some("127.0.0.0/8"))
}

fn behind(proxy: Option<&str>) -> coordinator::config::Config {
    let server_url = Some("https://coordinator.test".to_owned());
    let proxy = proxy.map(|trusted| Proxy { trusted: vec![trusted.to_owned()] });
    configured(Settings { server_url, proxy, ..settings() })
}

async fn start() -> Coordinator {
    Coordinator::with(over_https(), None).await
}

/// An invitation for a device of alice.
pub(crate) async fn invitation(coordinator: &Coordinator, pre_approved: bool) -> String {
    let wanted = json!({ "user": "alice", "pre_approved": pre_approved });
    let made = coordinator.ok(Method::POST, "/invitations", wanted).await;
    made["url"].as_str().unwrap().to_owned()
}

pub(crate) fn form(text: &str) -> String {
    let escaped: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
    format!("invitation={escaped}")
}

/// A device that waits: its channel, and the path of its page.
pub(crate) async fn waiting(coordinator: &Coordinator, device: &Device) -> (Channel, String) {
    let mut channel = device.connect(coordinator.address).await;
    let waiting = channel.register(&device.request()).await;
    let path = waiting.auth_url.strip_prefix("https://coordinator.test").unwrap().to_owned();
    (channel, path)
}

async fn state(coordinator: &Coordinator) -> [Value; 2] {
    let devices = coordinator.ok(Method::GET, "/devices", Value::Null).await;
    [devices, coordinator.ok(Method::GET, "/keys", Value::Null).await]
}

#[tokio::test]
async fn an_invitation_lets_the_device_in_as_if_it_had_brought_it() {
    let coordinator = start().await;
    let device = Device::new("phone");
    let (mut channel, path) = waiting(&coordinator, &device).await;
    let id = coordinator.devices().await[0]["id"].clone();
    let followup =
        RegisterRequest { followup: format!("https://coordinator.test{path}"), ..device.request() };
    let mut second = channel.clone();
    let mut held = Box::pin(second.register(&followup));
    assert!((&mut held).now_or_never().is_none(), "it is asked");

    let link = invitation(&coordinator, true).await;
    let (status, page) = post_form(coordinator.address, &path, &form(&link)).await;

    assert_eq!(status, 200);
    assert!(page.contains("The device has joined") && page.contains("참여했습니다"), "{page}");
    let joined = timeout(PATIENCE, held).await.expect("no longer held");
    assert!(joined.machine_authorized && joined.auth_url.is_empty(), "{joined:?}");
    assert_eq!(joined.login.login_name, "alice");
    let node = channel.stream().await.next().await.unwrap().node.unwrap();
    assert_eq!(json!(node.id), id, "the number under which it waited");
    assert_eq!(node.cap, CAPABILITY_VERSION, "known from its first request");
    assert_eq!(get(coordinator.address, &path).await.0, 404, "nobody waits there any more");
    let keys = coordinator.ok(Method::GET, "/keys", Value::Null).await;
    assert_eq!((&keys[0]["state"], &keys[0]["uses"]), (&json!("used"), &json!(1)));
}

#[tokio::test]
async fn an_invitation_that_needs_approval_says_whose_the_device_is() {
    let coordinator = start().await;
    let device = Device::new("phone");
    let (mut channel, path) = waiting(&coordinator, &device).await;
    let link = invitation(&coordinator, false).await;
    let key = link.rsplit('.').next().unwrap();
    let code = coordinator.devices().await[0]["code"].as_str().unwrap().to_owned();

    for _ in 0..2 {
        let (status, page) = post_form(coordinator.address, &path, &form(key)).await;
        assert_eq!(status, 200, "the key alone is enough, and sending it again is harmless");
        assert!(page.contains(&format!("maru device approve {code}")), "{page}");
    }

    let listed = coordinator.devices().await.remove(0);
    assert_eq!((&listed["state"], &listed["user"]), (&json!("pending"), &json!("alice")));
    assert_eq!(channel.try_stream("").await.err(), Some(StatusCode::NOT_FOUND));
    let approve = format!("/devices/{}/approve", code.to_lowercase());
    let approved = coordinator.ok(Method::POST, &approve, Value::Null).await;
    assert_eq!((&approved["user"], &approved["state"]), (&json!("alice"), &json!("approved")));
    assert!(channel.register(&device.request()).await.machine_authorized);
}

#[tokio::test]
async fn whatever_is_wrong_the_refusal_is_the_same_and_nothing_changes() {
    let (coordinator, other) = (start().await, start().await);
    let (_, path) = waiting(&coordinator, &Device::new("phone")).await;
    let good = invitation(&coordinator, true).await;
    let [used, ended] =
        [invitation(&coordinator, true).await, invitation(&coordinator, true).await];
    let user = Device::new("laptop");
    let key = |link: &str| link.rsplit('.').next().unwrap().to_owned();
    user.join(&coordinator, &key(&used)).await;
    let keys = coordinator.ok(Method::GET, "/keys", Value::Null).await;
    coordinator.ok(Method::POST, &format!("/keys/{}/expire", keys[2]["id"]), Value::Null).await;
    let elsewhere = invitation(&other, true).await;
    let before = state(&coordinator).await;

    let nobody = format!("/register/{}", "0".repeat(32));
    let mut answers = Vec::new();
    for (path, form) in [
        (nobody.as_str(), form(&good)),
        (&path, form(&used)),
        (&path, form(&ended)),
        (&path, form(&elsewhere)),
        (&path, form(&good[..good.len() - 1])),
        (&path, form(&format!("marukey-{}", "5a".repeat(24)))),
        (&path, "invitation=".to_owned()),
    ] {
        answers.push(post_form(coordinator.address, path, &form).await);
    }

    assert_eq!(answers[0].0, 403);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(state(&coordinator).await, before);
    assert_eq!(post_form(coordinator.address, &path, &form(&good)).await.0, 200);
}

#[tokio::test]
async fn one_address_tries_ten_times_and_then_waits_and_others_do_not() {
    let coordinator = start().await;
    let (_, path) = waiting(&coordinator, &Device::new("phone")).await;
    let good = form(&invitation(&coordinator, true).await);
    let wrong = form(&format!("marukey-{}", "5a".repeat(24)));
    for _ in 0..TRIES {
        assert_eq!(post_form(coordinator.address, &path, &wrong).await.0, 403);
    }

    let (status, page) = post_form(coordinator.address, &path, &good).await;

    assert_eq!(status, 429);
    assert!(page.contains("Wait a minute") && page.contains("1분"), "{page}");
    assert_eq!(coordinator.devices().await[0]["state"], "pending");
    assert_eq!(get(coordinator.address, &path).await.0, 200, "the page itself is shown");
    let request = request_with_form(&path, &good);
    let answer = from_another_address(coordinator.address, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Sends a request from 127.0.0.2.
async fn from_another_address(to: SocketAddr, request: &str) -> String {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

/// Eight pages and two devices use one invitation at the same moment.
async fn race(coordinator: &Coordinator) {
    let link = invitation(coordinator, true).await;
    let mut pages = Vec::new();
    for number in 0..8 {
        let (_, path) = waiting(coordinator, &Device::new(&format!("phone-{number}"))).await;
        pages.push(path);
    }
    let key = link.rsplit('.').next().unwrap();
    let filled = form(&link);
    let by_page = join_all(pages.iter().map(|path| post_form(coordinator.address, path, &filled)));
    let devices = [Device::new("laptop"), Device::new("desktop")];
    let by_device = join_all(devices.iter().map(|device| async move {
        device.connect(coordinator.address).await.register(&device.with_key(key)).await
    }));

    let (by_page, by_device) = tokio::join!(by_page, by_device);

    let joined = by_page.iter().filter(|(status, _)| *status == 200).count()
        + by_device.iter().filter(|response| response.machine_authorized).count();
    assert_eq!(joined, 1, "{by_page:?} {by_device:?}");
    let devices = coordinator.devices().await;
    let nodes = devices.iter().filter(|device| device["state"] == "approved").count();
    assert_eq!(
        (nodes, devices.len()),
        (1, if by_device.iter().any(|r| r.machine_authorized) { 9 } else { 8 })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_invitation_raced_by_pages_and_devices_admits_exactly_one() {
    race(&start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs: postgres"]
async fn one_invitation_raced_by_pages_and_devices_admits_exactly_one_on_postgres() {
    race(&Coordinator::with(over_https(), Some(Postgres::start())).await).await;
}

#[tokio::test]
async fn over_plain_http_the_page_takes_no_invitation() {
    let coordinator = Coordinator::start().await;
    let device = Device::new("phone");
    let waiting = device.connect(coordinator.address).await.register(&device.request()).await;
    let path = waiting.auth_url.strip_prefix("http://coordinator.test:8443").unwrap();
    let key = coordinator.key(json!({ "user": "alice", "pre_approved": true })).await;

    let (status, page) = get(coordinator.address, path).await;
    assert!(status == 200 && !page.contains("<form") && page.contains("plain HTTP"), "{page}");
    assert_eq!(post_form(coordinator.address, path, &form(&key)).await.0, 403);

    assert_eq!(coordinator.devices().await[0]["state"], "pending");
    device.join(&coordinator, &key).await;
}

/// Whether the page of a device that waits has its form, and takes an invitation, when requests come with `header`.
async fn takes(coordinator: &Coordinator, header: &str) -> bool {
    let device = Device::new("phone");
    let (_, path) = waiting(coordinator, &device).await;
    let with_header = |request: &str| request.replacen('\n', &format!("\n{header}"), 1);
    let ask = format!("GET {path} HTTP/1.1\nHost: coordinator.test\nConnection: close\n\n");
    let (status, page) = raw(coordinator.address, &with_header(&ask)).await;
    assert!(status == 200 && page.contains("<form") != page.contains("plain HTTP"), "{page}");
    let join = ask.replacen(&path, "/join", 1);
    let (_, joining) = raw(coordinator.address, &with_header(&join)).await;
    assert_eq!(joining.contains("<script"), page.contains("<form"), "{joining}");
    let filled = form(&invitation(coordinator, true).await);
    let post = with_header(&request_with_form(&path, &filled));
    let (status, _) = raw(coordinator.address, &post).await;
    assert_eq!(status, if page.contains("<form") { 200 } else { 403 }, "{header:?}");
    status == 200
}

#[tokio::test]
async fn what_came_over_plain_http_takes_no_invitation_whatever_the_url_says() {
    let trusting = start().await;
    let elsewhere = Coordinator::with(behind(Some("192.0.2.1")), None).await;
    let bare = Coordinator::with(behind(None), None).await;
    for (header, by_proxy) in [
        ("", true),
        ("X-Forwarded-Proto: https\n", true),
        ("X-Forwarded-Proto: http\n", false),
        ("X-Forwarded-Proto: https\nX-Forwarded-Proto: http\n", false),
    ] {
        assert_eq!(takes(&trusting, header).await, by_proxy, "{header:?}");
        assert!(!takes(&elsewhere, header).await, "who calls the port directly: {header:?}");
    }
    assert!(!takes(&bare, "X-Forwarded-Proto: https\n").await, "no proxy is known");
}

#[tokio::test]
async fn an_invitation_that_began_to_be_taken_is_taken_although_the_person_hung_up() {
    let coordinator = start().await;
    let (_, path) = waiting(&coordinator, &Device::new("phone")).await;
    let request = request_with_form(&path, &form(&invitation(&coordinator, true).await));
    let mut stream = tokio::net::TcpStream::connect(coordinator.address).await.unwrap();

    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    drop(stream);

    let is_in = async || coordinator.devices().await[0]["state"] == "approved";
    eventually("it is a node", is_in).await;
}
