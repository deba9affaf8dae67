//! Asks an Ollama.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};
use messages::message;
use reqwest::{RequestBuilder, Response};
use serde_json::json;
use supervisor::local;

use crate::ollama::{
    address::is_mesh,
    answer::{self, Description, Models, PullReader, Step},
    name,
};

/// Connect timeout; in the mesh the tunnel may have to be established first.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);
/// How long a pull may be silent: Ollama is while it checks a large file.
const SILENCE: Duration = Duration::from_secs(600);
/// Largest answer, in bytes. A model's licence is part of one.
const ANSWER_MAX: usize = 8 << 20;
/// Largest error, in bytes.
const ERROR_MAX: usize = 64 << 10;

/// A client of one Ollama.
#[derive(Debug)]
pub(crate) struct Ollama {
    /// Where it is.
    pub(crate) at: SocketAddr,
    http: reqwest::Client,
}

impl Ollama {
    /// A client for the one at `at`. An address of the mesh is reached through the agent's `interface` and no other way:
    /// without the tunnel such an address is somebody else's.
    ///
    /// # Errors
    ///
    /// No client can be made.
    pub(crate) fn new(at: SocketAddr, interface: &str) -> anyhow::Result<Self> {
        let mut http = local::plain()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        if is_mesh(at) {
            http = http.interface(interface);
        }
        Ok(Self { at, http: http.build().context(message!("no-http-client"))? })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    /// Its models.
    ///
    /// # Errors
    ///
    /// Nothing answers there, or it is no Ollama.
    pub(crate) async fn models(&self) -> anyhow::Result<Models> {
        let asked = self.http.get(self.url("/api/tags")).timeout(ANSWER);
        let response = asked.send().await.and_then(Response::error_for_status);
        // The cause says nothing that the sentence does not.
        let Ok(response) = response else { bail!(self.away()) };
        let models = body(response, ANSWER_MAX).await.and_then(|body| answer::models(&body));
        models.with_context(|| message!("not-ollama", at = self.at))
    }

    fn away(&self) -> messages::Message {
        if is_mesh(self.at) {
            message!("ollama-away-in-mesh", at = self.at)
        } else {
            message!("ollama-away", at = self.at)
        }
    }

    /// Describes a model.
    ///
    /// # Errors
    ///
    /// It does not answer, or refuses.
    pub(crate) async fn describe(&self, model: &str) -> anyhow::Result<Description> {
        let asked = self.http.post(self.url("/api/show")).json(&json!({ "model": model }));
        let body = self.ask(asked).await?;
        answer::description(&body).with_context(|| message!("not-ollama", at = self.at))
    }

    /// Gives a model another name, beside its own.
    ///
    /// # Errors
    ///
    /// As [`Ollama::describe`].
    pub(crate) async fn copy(&self, from: &str, to: &str) -> anyhow::Result<()> {
        let names = json!({ "source": from, "destination": to });
        self.ask(self.http.post(self.url("/api/copy")).json(&names)).await.map(drop)
    }

    /// Removes a model.
    ///
    /// # Errors
    ///
    /// As [`Ollama::describe`].
    pub(crate) async fn remove(&self, model: &str) -> anyhow::Result<()> {
        let asked = self.http.delete(self.url("/api/delete")).json(&json!({ "model": model }));
        self.ask(asked).await.map(drop)
    }

    /// Lets it fetch a model, and says each step to `heard`. It keeps what it has if this ends before: the same goes on from there.
    ///
    /// # Errors
    ///
    /// It does not answer, refuses, fails, or ends early.
    pub(crate) async fn pull(
        &self,
        model: &str,
        mut heard: impl FnMut(&str, Option<(u64, u64)>),
    ) -> anyhow::Result<()> {
        name::check(model)?;
        let asked = json!({ "model": model, "insecure": false, "stream": true });
        let response = self.http.post(self.url("/api/pull")).json(&asked).send().await;
        let mut response = self.accepted(response.with_context(|| self.away())?).await?;
        let cut = || message!("ollama-pull-cut", at = self.at);
        let mut reader = PullReader::default();
        loop {
            let piece = response.chunk().await.with_context(cut)?;
            let steps = reader.add(piece.as_deref());
            for step in steps.with_context(|| message!("not-ollama", at = self.at))? {
                match step {
                    Step::Done => return Ok(()),
                    Step::Failed(reason) => bail!(self.refused(&reason)),
                    Step::Going(what, bytes) => heard(&what, bytes),
                }
            }
            if piece.is_none() {
                bail!(cut());
            }
        }
    }

    async fn ask(&self, asked: RequestBuilder) -> anyhow::Result<Vec<u8>> {
        let response = asked.timeout(ANSWER).send().await.with_context(|| self.away())?;
        let response = self.accepted(response).await?;
        body(response, ANSWER_MAX).await.with_context(|| message!("not-ollama", at = self.at))
    }

    /// The response, unless it is an error, whose reason is shown.
    async fn accepted(&self, response: Response) -> anyhow::Result<Response> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let told = body(response, ERROR_MAX).await.and_then(|body| answer::reason(&body));
        bail!(self.refused(&told.unwrap_or_else(|| status.to_string())))
    }

    fn refused(&self, reason: &str) -> messages::Message {
        message!("ollama-refused", at = self.at, reason)
    }
}

/// The body, unless it is longer than `max` or cut.
async fn body(mut response: Response, max: usize) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.ok()? {
        body.extend_from_slice(&piece);
        if body.len() > max {
            return None;
        }
    }
    Some(body)
}
