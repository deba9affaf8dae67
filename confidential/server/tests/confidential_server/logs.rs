//! What is logged, at every level: no address, no request, no key.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use confidential_api::names::{header, media, path};
use http_body_util::Full;
use hyper::{Method, Request};
use tracing_subscriber::{filter::Targets, fmt::MakeWriter, layer::SubscriberExt as _};

use super::{
    chain::{CANARY, Chain, candidates},
    client::{request, seal},
    node::Node,
};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What is logged on this thread from now on, at every level, until the guard is dropped.
pub(crate) struct Log {
    lines: Lines,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Log {
    pub(crate) fn begin() -> Self {
        let lines = Lines::default();
        let ours = Targets::new().with_targets(
            ["confidential_server", "chassis"].map(|target| (target, tracing::Level::TRACE)),
        );
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(lines.clone());
        let log = tracing_subscriber::registry().with(ours).with(layer);
        Self { lines, _guard: tracing::subscriber::set_default(log) }
    }

    pub(crate) fn said(&self) -> String {
        String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap()
    }
}

/// All of it on one thread, whose log this is.
#[tokio::test]
async fn neither_who_asks_nor_what_is_in_any_line() {
    let log = Log::begin();
    let chain = Chain::start().await;
    let node = Node::start(&chain.world, 1).await;
    node.tell(&chain.world, chain.router, 0).await;
    chain.until(1).await;
    let client = chain.world.client();
    let routing = candidates(&[&node]);
    let headers = [("content-type", media::REQUEST), (header::ROUTING_INFO, routing.as_str())];
    let asked = request(Method::POST, path::ROOT, &headers, CANARY.as_bytes());
    assert_eq!(client.ask(chain.relay, &chain.key, &asked).await.status, 200);

    // And everything that goes wrong.
    let elsewhere = request(Method::POST, &format!("/{CANARY}"), &headers, CANARY.as_bytes());
    assert_eq!(client.ask(chain.relay, &chain.key, &elsewhere).await.status, 403);
    client.post(chain.relay, "/", media::OHTTP_REQUEST, CANARY).await;
    client.post(chain.relay, &format!("/{CANARY}"), CANARY, CANARY).await;
    let (cut, _) = seal(&chain.key, &asked);
    client.post(chain.relay, "/", media::OHTTP_REQUEST, cut[..cut.len() - 1].to_vec()).await;
    let gateway = chain.world.client_as("gateway");
    gateway.post(chain.router, path::ATTEST, media::BINARY, CANARY).await;
    let named = Request::post("/").header("host", CANARY).header("x-forwarded-for", "192.0.2.7");
    client.whole(chain.relay, named.body(Full::default()).unwrap()).await;
    drop(tokio::net::TcpStream::connect(chain.relay).await);
    node.die();
    assert_eq!(client.ask(chain.relay, &chain.key, &asked).await.status, 404);

    let said = log.said();
    for there in ["a new bundle is published", "is unreachable", &node.id.to_string()] {
        assert!(said.contains(there), "{there}: {said}");
    }
    for absent in [CANARY, "192.0.2.7", "127.0.0.1", &routing] {
        assert!(!said.contains(absent), "{absent}: {said}");
    }
}
