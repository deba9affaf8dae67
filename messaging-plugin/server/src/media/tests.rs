//! Uploads and downloads through the router, and the files on the disk.

use std::{io, path::PathBuf};

use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use bytes::Bytes;
use futures_util::stream;
use ruma::{CanonicalJsonObject, api::client::room::create_room::v3};
use serde_json::{Value, json};
use store::seal::chunk::SEALED_CHUNK;
use telmeet_core::{
    create::{self, Context, Profile},
    event::{Draft, Event},
    json,
};

use super::folder::Limits;
use crate::{
    homeserver::Homeserver,
    random,
    testing::{NETWORK, TestClient, TestServer},
};

const UPLOAD: &str = "/_matrix/media/v3/upload";

/// Sends bytes of a type and returns status and JSON.
async fn send(
    client: &TestClient,
    (method, path): (Method, &str),
    kind: &str,
    body: impl Into<Body>,
) -> (StatusCode, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, kind)
        .body(body.into())
        .unwrap();
    let response = client.send(request).await;
    let status = response.status();
    let body =
        chassis::body::whole(response.into_body(), 1 << 20, testkit::PATIENCE).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

/// Uploads a file and returns its id.
async fn upload(client: &TestClient, kind: &str, body: impl Into<Body>) -> String {
    let (status, answer) = send(client, (Method::POST, UPLOAD), kind, body).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let uri = answer["content_uri"].as_str().unwrap();
    uri.strip_prefix("mxc://maru.test/").unwrap().to_owned()
}

async fn get(client: &TestClient, path: &str, range: &str) -> (StatusCode, HeaderMap, Bytes) {
    let mut request = Request::builder().uri(format!("/_matrix/client/v1/media/{path}"));
    if !range.is_empty() {
        request = request.header(header::RANGE, range);
    }
    let response = client.send(request.body(Body::empty()).unwrap()).await;
    let (parts, body) = response.into_parts();
    let body = chassis::body::whole(body, 64 << 20, testkit::PATIENCE).await.unwrap();
    (parts.status, parts.headers, body)
}

async fn download(client: &TestClient, id: &str) -> (StatusCode, HeaderMap, Bytes) {
    get(client, &format!("download/{NETWORK}/{id}"), "").await
}

/// The files in the folder.
fn files(server: &TestServer) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(server.folder().join("media")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Bytes that differ from chunk to chunk.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at / 7 + at / 65_536) % 251).unwrap()).collect()
}

#[tokio::test]
async fn a_file_is_uploaded_and_read_by_others() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
        let id = upload(&kim, "image/png", bytes(length)).await;
        let (status, headers, body) = download(&min, &id).await;
        assert_eq!((status, body.len()), (StatusCode::OK, length));
        assert_eq!(body, bytes(length), "{length}");
        assert_eq!(headers[header::CONTENT_LENGTH], length.to_string());
        assert_eq!(headers[header::CONTENT_TYPE], "image/png");
    }
    for path in ["download/maru.test/nothing", "download/elsewhere.test/nothing"] {
        assert_eq!(get(&min, path, "").await.0, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_browser_runs_nothing_of_a_file() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    for (kind, disposition) in
        [("image/png", "inline"), ("text/html", "attachment"), ("image/svg+xml", "attachment")]
    {
        let id = upload(&kim, kind, "<script>").await;
        let (_, headers, _) = get(&kim, &format!("download/maru.test/{id}/a%22b%0A.png"), "").await;
        let shown = headers[header::CONTENT_DISPOSITION].to_str().unwrap();
        assert!(shown.starts_with(disposition) && shown.contains("filename"), "{shown}");
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("sandbox; default-src 'none'; script-src 'none'"));
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(headers["cross-origin-resource-policy"], "cross-origin");
    }
}

#[tokio::test]
async fn a_part_of_a_file_is_read() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let (id, whole) = (upload(&kim, "video/mp4", bytes(200_000)).await, bytes(200_000));
    let path = format!("download/maru.test/{id}");
    for (range, first, last) in [
        ("bytes=0-9", 0, 9),
        ("bytes=65530-65540", 65_530, 65_540),
        ("bytes=131072-", 131_072, 199_999),
        ("bytes=-1", 199_999, 199_999),
    ] {
        let (status, headers, body) = get(&kim, &path, range).await;
        assert_eq!((status, &body[..]), (StatusCode::PARTIAL_CONTENT, &whole[first..=last]));
        assert_eq!(headers[header::CONTENT_RANGE], format!("bytes {first}-{last}/200000"));
    }
    let (status, headers, _) = get(&kim, &path, "bytes=200000-").await;
    assert_eq!(status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(headers[header::CONTENT_RANGE], "bytes */200000");
}

#[tokio::test]
async fn a_file_is_sealed_and_opens_only_as_it_was() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let canary = "canary ".repeat(30_000);
    let id = upload(&kim, "text/plain", canary.clone()).await;
    let path = files(&server).remove(0);
    let sealed = std::fs::read(&path).unwrap();
    assert!(!sealed.windows(6).any(|bytes| bytes == b"canary"));
    let read = async || {
        let response = kim.send(request(&id)).await;
        let body = chassis::body::whole(response.into_body(), 1 << 20, testkit::PATIENCE).await;
        body.is_ok_and(|body| body == canary.as_bytes())
    };
    let mut reordered = sealed.clone();
    reordered.rotate_left(SEALED_CHUNK);
    let mut swapped = sealed.clone();
    let (first, rest) = swapped.split_at_mut(SEALED_CHUNK);
    first.swap_with_slice(&mut rest[..SEALED_CHUNK]);
    let mut changed = sealed.clone();
    changed[70_000] ^= 1;
    for damaged in [&sealed[..SEALED_CHUNK], &sealed[..0], &reordered, &swapped, &changed] {
        std::fs::write(&path, damaged).unwrap();
        assert!(!read().await);
    }
    std::fs::write(&path, &sealed).unwrap();
    assert!(read().await);
}

fn request(id: &str) -> Request<Body> {
    let uri = format!("/_matrix/client/v1/media/download/maru.test/{id}");
    Request::builder().uri(uri).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn uploads_of_a_person_with_the_same_bytes_share_a_file() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let first = upload(&kim, "text/plain", "same").await;
    let second = upload(&kim, "image/png", "same").await;
    upload(&min, "text/plain", "same").await;
    assert_eq!(files(&server).len(), 2);
    assert_ne!(first, second);
    assert_eq!(download(&kim, &second).await.1[header::CONTENT_TYPE], "image/png");
}

#[tokio::test]
async fn an_upload_that_fails_leaves_nothing() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let cut = || {
        let pieces = [Ok(Bytes::from(bytes(100_000))), Err(io::Error::other("cut"))];
        Body::from_stream(stream::iter(pieces))
    };
    let (status, _) = send(&kim, (Method::POST, UPLOAD), "a/b", cut()).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let pieces = (0..1_000).map(|_| Ok::<_, io::Error>(Bytes::from(bytes(65_536))));
    let long = Body::from_stream(stream::iter(pieces));
    let (status, answer) = send(&kim, (Method::POST, UPLOAD), "a/b", long).await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &json!("M_TOO_LARGE"))
    );
    assert!(files(&server).is_empty());
}

#[tokio::test]
async fn an_id_may_be_given_out_before_the_file() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let created = kim.post("/_matrix/media/v1/create", json!({})).await;
    let uri = created["content_uri"].as_str().unwrap();
    let id = uri.strip_prefix("mxc://maru.test/").unwrap();
    let path = format!("{UPLOAD}/maru.test/{id}");
    let early = get(&min, &format!("download/maru.test/{id}?timeout_ms=0"), "").await;
    assert_eq!(early.0, StatusCode::GATEWAY_TIMEOUT);
    let (status, _) = send(&min, (Method::PUT, &path), "a/b", "not yours").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    // A download waits for the upload.
    let (waiting, put) =
        tokio::join!(download(&min, id), send(&kim, (Method::PUT, &path), "a/b", "mine"));
    assert_eq!((put.0, &waiting.2[..]), (StatusCode::OK, &b"mine"[..]));
    let (status, answer) = send(&kim, (Method::PUT, &path), "a/b", "again").await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::CONFLICT, &json!("M_CANNOT_OVERWRITE_MEDIA"))
    );
    assert_eq!(&download(&min, id).await.2[..], b"mine");
}

#[tokio::test]
async fn ids_without_a_file_are_limited() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    for _ in 0..50 {
        kim.post("/_matrix/media/v1/create", json!({})).await;
    }
    let (status, answer) = kim.call(Method::POST, "/_matrix/media/v1/create", json!({})).await;
    assert_eq!(
        (status, &answer["errcode"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("M_LIMIT_EXCEEDED"))
    );
}

#[tokio::test]
async fn a_picture_is_its_own_thumbnail() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let picture = upload(&kim, "image/png", "picture").await;
    let document = upload(&kim, "text/plain", "text").await;
    let path = |id: &str| format!("thumbnail/maru.test/{id}?width=96&height=96&method=crop");
    assert_eq!(&get(&kim, &path(&picture), "").await.2[..], b"picture");
    assert_eq!(get(&kim, &path(&document), "").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(get(&kim, &path("nothing"), "").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_limit_is_told_and_old_paths_do_not_exist() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    for path in ["/_matrix/client/v1/media/config", "/_matrix/media/v3/config"] {
        assert_eq!(kim.get(path).await, json!({"m.upload.size": 52_428_800}));
    }
    let id = upload(&kim, "image/png", "picture").await;
    for path in ["download", "thumbnail"] {
        let path = format!("/_matrix/media/v3/{path}/maru.test/{id}");
        let (status, answer) = kim.call(Method::GET, &path, Value::Null).await;
        assert_eq!((status, &answer["errcode"]), (StatusCode::NOT_FOUND, &json!("M_UNRECOGNIZED")));
    }
}

#[tokio::test]
async fn a_token_is_needed() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let id = upload(&kim, "image/png", "picture").await;
    let mut stranger = kim;
    stranger.token = "other".to_owned();
    assert_eq!(download(&stranger, &id).await.0, StatusCode::UNAUTHORIZED);
    let (status, _) = send(&stranger, (Method::POST, UPLOAD), "a/b", "text").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn quotas_are_for_each_person_and_for_all() {
    let limits = Limits { upload: 60, person: 100, total: 150 };
    let server = TestServer::start_with(limits).await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    upload(&kim, "a/b", bytes(60)).await;
    for (client, length, expected) in
        [(&kim, 41, 507), (&kim, 61, 413), (&kim, 40, 200), (&min, 51, 507), (&min, 50, 200)]
    {
        let (status, answer) = send(client, (Method::POST, UPLOAD), "a/b", bytes(length)).await;
        assert_eq!(status, expected, "{length} {answer}");
    }
    // Without a length it is found out later.
    let pieces = Body::from_stream(stream::iter([Ok::<_, io::Error>(Bytes::from("x"))]));
    let (status, answer) = send(&min, (Method::POST, UPLOAD), "a/b", pieces).await;
    assert_eq!((status.as_u16(), &answer["errcode"]), (507, &json!("M_TOO_LARGE")));
    assert_eq!(files(&server).len(), 3);
}

#[tokio::test]
async fn uploads_that_were_interrupted_are_settled_at_the_start() {
    let server = TestServer::start().await;
    let kim = server.member("kim", "PHONE").await;
    let id = upload(&kim, "image/png", "picture").await;
    let file = files(&server).remove(0);
    std::fs::rename(&file, file.with_extension("new")).unwrap();
    std::fs::write(server.folder().join("media/interrupted.new"), "half").unwrap();
    assert_eq!(&download(&kim, &id).await.2[..], b"picture");
    let server = server.restart().await;
    assert_eq!(files(&server), [file]);
    let kim = server.member("kim", "LAPTOP").await;
    assert_eq!(&download(&kim, &id).await.2[..], b"picture");
}

/// A room of Kim, and an event in it with this content; returns the event.
async fn event(
    homeserver: &Homeserver,
    client: &TestClient,
    content: Value,
) -> std::sync::Arc<Event> {
    let room_id = random::room_id(NETWORK).unwrap();
    let sender = client.user.clone();
    let write = homeserver.write(move |tx| {
        Box::pin(async move {
            let context =
                Context { room_id: room_id.clone(), creator: sender.clone(), time: tx.now() };
            let creation =
                create::create(&v3::Request::new(), &context, |_| Some(Profile::default()))?;
            tx.create(&creation).await?;
            let content: CanonicalJsonObject = json::content(content.to_string().as_bytes())?;
            let (kind, state_key, time) = ("m.room.message".into(), None, tx.now());
            tx.append(Draft { room_id, sender, kind, state_key, content, time }, None).await
        })
    });
    write.await.unwrap()
}

async fn redact(homeserver: &Homeserver, event: &std::sync::Arc<Event>) {
    let event = std::sync::Arc::clone(event);
    let write = homeserver.write(move |tx| {
        Box::pin(async move {
            let position = tx.position();
            tx.redact(&event, Some(position)).await
        })
    });
    write.await.unwrap();
}

#[tokio::test]
async fn a_file_is_deleted_with_the_last_event_that_names_it() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let homeserver = &server.homeserver;
    let id = upload(&kim, "image/png", "picture").await;
    let content = json!({"body": "picture", "url": format!("mxc://maru.test/{id}")});
    let first = event(homeserver, &kim, content.clone()).await;
    let second = event(homeserver, &min, content).await;
    redact(homeserver, &first).await;
    assert_eq!(download(&min, &id).await.0, StatusCode::OK, "another event names it");
    redact(homeserver, &second).await;
    assert_eq!(download(&min, &id).await.0, StatusCode::NOT_FOUND);
    let removed = async || {
        while !files(&server).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(testkit::PATIENCE, removed()).await.unwrap();
}

#[tokio::test]
async fn nobody_deletes_a_file_that_its_owner_never_named() {
    let server = TestServer::start().await;
    let (kim, min) = (server.member("kim", "PHONE").await, server.member("min", "PHONE").await);
    let id = upload(&kim, "application/octet-stream", "encrypted").await;
    let content = json!({"body": "x", "url": format!("mxc://maru.test/{id}")});
    let event = event(&server.homeserver, &min, content).await;
    redact(&server.homeserver, &event).await;
    assert_eq!(download(&kim, &id).await.0, StatusCode::OK);
}
