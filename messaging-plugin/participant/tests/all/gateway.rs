//! The gateway, scripted: what it is asked, and what it answers.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use testkit::server::{Server, chunk, chunked, read_request, response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What it was asked, and which connections its client closed.
#[derive(Clone, Default)]
pub(crate) struct Gateway {
    asked: Arc<Mutex<Vec<Value>>>,
    closed: Arc<Mutex<Vec<String>>>,
}

impl Gateway {
    /// Listens below `root`.
    pub(crate) fn start(root: &Path) -> (Self, Server) {
        let gateway = Self::default();
        let path = root.join(services::PARTICIPANT.socket);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let own = gateway.clone();
        let server = Server::unix(&path, move |stream| own.clone().serve(stream));
        (gateway, server)
    }

    /// The messages that it was asked to answer.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }

    /// The texts of the messages whose connections were closed before the end.
    pub(crate) fn closed(&self) -> Vec<String> {
        self.closed.lock().unwrap().clone()
    }

    async fn serve(self, mut stream: tokio::net::UnixStream) {
        let Ok(request) = read_request(&mut stream).await else { return };
        if request.path() == "/maru/v1/rooms/settings" {
            let settings = json!({
                "version": 1, "directPolicy": "open", "groupPolicy": "open", "groups": {},
                "assistantName": "Maru",
            });
            let response = response("200 OK", "application/json", &settings.to_string());
            stream.write_all(response.as_bytes()).await.unwrap();
            return;
        }
        let message = request.json();
        let text = message["text"].as_str().unwrap().to_owned();
        let attempt = message["attempt"].clone();
        self.asked.lock().unwrap().push(message);
        if text == "busy" {
            let response = response("503 Service Unavailable", "application/problem+json", "{}");
            stream.write_all(response.as_bytes()).await.unwrap();
            return;
        }
        let head = chunked("200 OK", "text/event-stream");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut send = async |event: &str, data: Value| {
            let event = format!("event: {event}\ndata: {data}\n\n");
            stream.write_all(&chunk(event)).await
        };
        let _ = send("delta", json!({ "text": "You said " })).await;
        if text.contains("slow") {
            // Until the client closes.
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            self.closed.lock().unwrap().push(text);
            return;
        }
        let whole = format!("You said {text:?} (attempt {attempt})");
        let _ = send("final", json!({ "text": whole, "finish": "stop" })).await;
        let _ = stream.write_all(&chunk("")).await;
    }
}
