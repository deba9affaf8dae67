//! An engine that says each piece when it is told to.

use std::{
    convert::Infallible,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    response::Response,
    routing::post,
};
use futures_util::stream;
use tokio::{net::UnixListener, sync::Semaphore};

/// What it says.
pub(super) const PIECES: [&str; 3] = ["one", " two", " three"];

/// An engine of OpenAI's interface.
#[derive(Clone)]
pub(super) struct Engine {
    asked: Arc<Mutex<Vec<String>>>,
    due: Arc<Semaphore>,
}

impl Default for Engine {
    fn default() -> Self {
        Self { asked: Arc::default(), due: Arc::new(Semaphore::new(0)) }
    }
}

impl Engine {
    /// Lets the next piece out, and after the last one the end.
    pub(super) fn say_next(&self) {
        self.due.add_permits(1);
    }

    /// Every question.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Answers on a socket.
    pub(super) fn listen(&self, socket: &Path) {
        let engine = self.clone();
        let answer = async move |body: Bytes| {
            engine.asked.lock().unwrap().push(String::from_utf8_lossy(&body).into_owned());
            let events = stream::unfold((0, engine.due), |(step, due)| async move {
                if step > PIECES.len() {
                    return None;
                }
                due.acquire().await.unwrap().forget();
                let event = match PIECES.get(step) {
                    Some(piece) => format!(
                        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{piece}\"}}}}]}}\n\n"
                    ),
                    None => "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
                             data: [DONE]\n\n"
                        .to_owned(),
                };
                Some((Ok::<_, Infallible>(Bytes::from(event)), (step + 1, due)))
            });
            let response = Response::builder().header("content-type", "text/event-stream");
            response.body(Body::from_stream(events)).unwrap()
        };
        let listener = UnixListener::bind(socket).unwrap();
        let router = Router::new().route("/v1/chat/completions", post(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
    }
}
