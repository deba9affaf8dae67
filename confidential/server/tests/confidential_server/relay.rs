//! The relay alone, in front of a gateway that notes what it is told.

use confidential_api::names::media;
use http_body_util::Full;
use hyper::Request;

use super::{node::Node, world::TestDeployment};

#[tokio::test]
async fn only_sealed_requests_pass_and_nothing_of_their_head_but_the_content_type() {
    let world = TestDeployment::new();
    let gateway = Node::start_as_gateway(&world).await;
    let relay = world.relay(gateway.address).await;
    let client = world.client();

    let sent = Request::post("/?who=me")
        .header("content-type", media::OHTTP_CHUNKED_REQUEST)
        .header("x-forwarded-for", "192.0.2.7")
        .header("forwarded", "for=192.0.2.7")
        .header("user-agent", "me")
        .header("cookie", "me=1")
        .header("x-routing-info", "me");
    let answer = client.whole(relay, sent.body(Full::new("sealed".into())).unwrap()).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("x-more"), "of the answer's head neither");
    assert_eq!(answer.headers["content-type"], media::CHUNKED_RESPONSE);

    let (headers, body) = gateway.seen.lock().unwrap().pop().unwrap();
    assert_eq!(body, "sealed");
    let mut names: Vec<_> = headers.keys().map(|name| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["content-length", "content-type", "host"]);
    assert_eq!(headers["host"], gateway.address.to_string());

    for media in ["application/json", "message/ohttp-res", "application/confsec-req", ""] {
        assert_eq!(client.post(relay, "/", media, "x").await.status, 415, "{media}");
    }
    assert_eq!(client.get(relay, "/").await.status, 405);
    assert_eq!(client.post(relay, "/bundle", media::OHTTP_REQUEST, "x").await.status, 404);
    let long = vec![0; (2 << 20) + 1];
    assert_eq!(client.post(relay, "/", media::OHTTP_REQUEST, long).await.status, 413);
    assert!(gateway.seen.lock().unwrap().is_empty());

    gateway.die();
    let answer = client.post(relay, "/", media::OHTTP_REQUEST, "x").await;
    assert_eq!(answer.status, 502);
    let said = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(!said.contains("127.0.0.1"), "{said}");
}

#[tokio::test]
async fn one_address_holds_a_part_of_the_connections() {
    let world = TestDeployment::new();
    let gateway = Node::start_as_gateway(&world).await;
    let settings = confidential_api::settings::relay::Settings {
        connections_per_address: 2,
        ..world.relay_settings(&format!("https://{}", gateway.address))
    };
    let relay = world.relay_with(settings).await;
    let client = world.client();
    let hold = async || client.hold(relay).await;
    let held = [hold().await, hold().await];
    assert!(held.iter().all(Option::is_some));

    assert!(hold().await.is_none(), "a third one is turned away");

    drop(held);
    testkit::eventually("their end is noticed", hold).await;
}
