//! HTTP over the sockets of the daemons.

use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, anyhow, bail};
use chassis::{body, unix::Connector};
use common::problem::Problem;
use coordinator_api::{Health, Secret, endpoints::HEALTH, invitation::ServerUrl};
use endpoint::{Body, Content, Declaration, Endpoint};
use messages::{Message, message};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use serde::{Serialize, de::DeserializeOwned};
use supervisor::local::LocalClient;

use crate::up::control;

/// The version of `maru` itself.
const VERSION: &str = env!("CARGO_PKG_VERSION");

const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest answer, in bytes: a thousand devices with all that is known of them are a tenth of it.
const ANSWER_MAX: usize = 32 * 1024 * 1024;
/// How long changing both engines may take.
const CHANGING: Duration = Duration::from_secs(2 * 60 * 60);

/// Reads an answer, and decodes it.
async fn decoded<A: DeserializeOwned>(response: reqwest::Response) -> anyhow::Result<A> {
    let response = axum::http::Response::<reqwest::Body>::from(response);
    let body = body::whole(response.into_body(), ANSWER_MAX, CHANGING).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// A daemon behind a UNIX socket, or a coordinator over HTTPS.
#[derive(Debug)]
pub(crate) struct Client {
    peer: Peer,
}

#[derive(Debug)]
enum Peer {
    Socket(Connector, Daemon),
    Server(reqwest::Client, ServerUrl),
}

/// A coordinator over HTTPS.
pub(crate) struct Remote {
    /// Its address.
    pub(crate) server: ServerUrl,
    /// Its API key.
    pub(crate) key: Secret,
    /// Authorities that may have issued its certificate; `None`: those that this machine trusts.
    pub(crate) authorities: Option<Vec<reqwest::Certificate>>,
}

#[derive(Clone, Copy, Debug)]
enum Daemon {
    Coordinator,
    Agent,
    Gateway,
    Telmeet,
    Participant,
    Supervisor,
}

impl Daemon {
    fn away_text(self) -> Message {
        match self {
            Self::Coordinator => {
                message!("coordinator-away")
            }
            Self::Agent => {
                message!("agent-away")
            }
            Self::Gateway => {
                message!("gateway-away")
            }
            Self::Telmeet => message!("telmeet-away"),
            Self::Participant => message!("participant-away"),
            Self::Supervisor => message!("up-away"),
        }
    }

    /// How long an answer may take.
    fn patience(self) -> Duration {
        match self {
            Self::Coordinator | Self::Agent | Self::Gateway | Self::Telmeet | Self::Participant => {
                TIMEOUT
            }
            // It waits for running replies, and reads the model.
            Self::Supervisor => CHANGING,
        }
    }
}

/// The daemon refused the request (4xx).
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub(crate) struct Refused {
    /// One sentence in the current language.
    pub(crate) why: String,
    /// What it answered.
    pub(crate) problem: Box<Problem>,
}

impl Client {
    /// The coordinator's admin API.
    pub(crate) fn coordinator(root: &Path) -> Self {
        Self::new(root, &services::ADMIN.path(root), Daemon::Coordinator)
    }

    /// The agent's local API.
    pub(crate) fn agent(root: &Path) -> Self {
        Self::new(root, Path::new(node_agent_api::SOCKET), Daemon::Agent)
    }

    /// The gateway's socket for root.
    pub(crate) fn gateway(root: &Path) -> Self {
        Self::new(root, &services::METRICS.path(root), Daemon::Gateway)
    }

    /// telmeet's socket for root.
    pub(crate) fn telmeet(root: &Path) -> Self {
        Self::new(root, &services::ROOMS_ADMIN.path(root), Daemon::Telmeet)
    }

    /// The participant's socket for root.
    pub(crate) fn participant(root: &Path) -> Self {
        Self::new(root, &services::PARTICIPANT_ADMIN.path(root), Daemon::Participant)
    }

    /// A running `maru up`; `None` if none runs, or it is not ready yet.
    pub(crate) async fn supervisor(root: &Path) -> Option<Self> {
        let socket = Path::new(control::SOCKET);
        match Connector::new(root, socket).connect().await {
            Err(error) if is_away(error.kind()) => None,
            Ok(_) | Err(_) => Some(Self::new(root, socket, Daemon::Supervisor)),
        }
    }

    /// The owner of the socket's folder must listen; `maru doctor` checks who owns it.
    fn new(root: &Path, socket: &Path, daemon: Daemon) -> Self {
        Self { peer: Peer::Socket(Connector::new(root, socket), daemon) }
    }

    /// A coordinator's admin API over HTTPS, and nothing else: no redirection is followed.
    pub(crate) fn over_https(remote: Remote) -> anyhow::Result<Self> {
        let mut key = HeaderValue::from_str(&format!("Bearer {}", remote.key.reveal()))
            .context(message!("api-key-unsendable"))?;
        key.set_sensitive(true);
        let mut http = reqwest::Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, key)]))
            .timeout(TIMEOUT);
        if let Some(authorities) = remote.authorities {
            http = http.tls_certs_only(authorities);
        }
        let http = http.build().context(message!("no-https-client"))?;
        Ok(Self { peer: Peer::Server(http, remote.server) })
    }

    /// Calls an endpoint; `parameters` fill its path in their order.
    pub(crate) async fn call<Q, A>(
        &self,
        endpoint: &Endpoint<Q, A>,
        parameters: &[&str],
        request: &Q::Value,
    ) -> anyhow::Result<A::Value>
    where
        Q: Body<Value: Serialize> + ?Sized,
        A: Body<Value: DeserializeOwned> + ?Sized,
    {
        let declaration = endpoint.declaration;
        let response = self.send(&declaration, &endpoint.path(parameters), request).await?;
        if matches!(declaration.response, Content::Empty) {
            return Ok(serde_json::from_value(serde_json::Value::Null)?);
        }
        match decoded(response).await {
            Ok(answer) => Ok(answer),
            Err(error) => Err(error).context(self.other_version().await),
        }
    }

    async fn send(
        &self,
        declaration: &Declaration,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<reqwest::Response> {
        let local;
        let http = match &self.peer {
            Peer::Socket(socket, daemon) => {
                local = open(socket, *daemon).await?;
                &local.http
            }
            Peer::Server(http, _) => http,
        };
        let method = declaration.method.name().parse::<reqwest::Method>()?;
        let request = http.request(method, self.peer.url(path));
        let request = match declaration.request {
            Content::Json(_) => request.json(body),
            Content::Query(_) => request.query(body),
            Content::Empty
            | Content::Events
            | Content::Bytes { .. }
            | Content::WebSocket
            | Content::Raw => request,
        };
        let response = request.send().await.map_err(|error| self.peer.unreached(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let wait = wait(&response);
        let problem = match decoded::<Problem>(response).await {
            Ok(problem) => problem,
            Err(_) => bail!(message!(
                "strange-answer",
                daemon = self.peer,
                status,
                advice = self.peer.advice()
            )),
        };
        let is_remote = matches!(self.peer, Peer::Server(..));
        if is_remote && (problem.is("path") || problem.is("method")) {
            bail!(self.other_version().await);
        }
        let why = match wait {
            Some(seconds) => {
                let problem = messages::problem(&Problem { detail: None, ..problem.clone() });
                message!("try-again-in", problem, seconds).to_string()
            }
            None => messages::problem(&problem),
        };
        let why = common::foreign::line(&why);
        if status.is_client_error() {
            return Err(Refused { why, problem: Box::new(problem) }.into());
        }
        bail!(why)
    }

    /// The error for an answer that cannot be decoded.
    async fn other_version(&self) -> Message {
        let Peer::Server(http, server) = &self.peer else { return message!("other-version") };
        let request = http.get(self.peer.url(&HEALTH.path(&[])));
        let health = async { decoded::<Health>(request.send().await.ok()?).await.ok() };
        match health.await {
            Some(health) if health.version != VERSION => message!(
                "coordinator-version",
                server,
                other = common::foreign::line(&health.version),
                version = VERSION
            ),
            Some(_) => message!("other-version"),
            None => message!("not-a-coordinator", server, advice = self.peer.advice()),
        }
    }
}

impl Peer {
    fn url(&self, path: &str) -> String {
        match self {
            Self::Socket(..) => format!("http://localhost{path}"),
            Self::Server(_, server) => format!("{server}{path}"),
        }
    }

    fn advice(&self) -> Message {
        match self {
            Self::Socket(..) => message!("restart-daemon"),
            Self::Server(..) => message!("check-server-address"),
        }
    }

    /// The error where no answer came.
    fn unreached(&self, error: reqwest::Error) -> anyhow::Error {
        let error = anyhow!(error.without_url());
        let Self::Server(_, server) = self else {
            return error.context(message!("no-answer-at", daemon = self));
        };
        match tls_error(&error) {
            Some(tls @ rustls::Error::InvalidCertificate(_)) => {
                anyhow!(message!("certificate-untrusted", server, tls))
            }
            Some(tls) => anyhow!(message!("no-https-there", server, tls)),
            None => anyhow!(message!("cannot-reach", server, cause = error.root_cause())),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(socket, _) => socket.path().display().fmt(f),
            Self::Server(_, server) => server.fmt(f),
        }
    }
}

/// Seconds to wait, in an answer to too many requests.
fn wait(response: &reqwest::Response) -> Option<u64> {
    let is_limit = response.status() == reqwest::StatusCode::TOO_MANY_REQUESTS;
    let after = response.headers().get(RETRY_AFTER).filter(|_| is_limit)?;
    after.to_str().ok()?.parse().ok()
}

/// The TLS error among the causes, or inside an I/O error, which shows the causes of what it holds as its own.
fn tls_error(error: &anyhow::Error) -> Option<&rustls::Error> {
    error.chain().find_map(|cause| {
        let mut cause: &(dyn Error + 'static) = cause;
        while let Some(inner) = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            cause = inner;
        }
        cause.downcast_ref()
    })
}

/// Opens the socket; an error says what to do.
async fn open(socket: &Connector, daemon: Daemon) -> anyhow::Result<LocalClient> {
    LocalClient::open(socket, daemon.patience()).await.map_err(|error| {
        if error.kind() == ErrorKind::PermissionDenied {
            anyhow!(message!("root-only"))
        } else if is_away(error.kind()) {
            anyhow!(daemon.away_text())
        } else {
            error.into()
        }
    })
}

/// Whether nothing listens.
fn is_away(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use coordinator_api::endpoints;

    use super::{Client, Daemon};

    #[tokio::test]
    async fn who_asks_too_often_is_told_how_long_to_wait() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let problem = r#"{"type":"urn:maru:problem:limit","title":"too many","detail":"wait"}"#;
        let answer = format!(
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nConnection: close\r\n\
             Content-Type: application/problem+json\r\nContent-Length: {}\r\n\r\n{problem}",
            problem.len()
        );
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut head = [0; 1024];
                    if stream.read(&mut head).await.is_ok_and(|count| count > 0) {
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        let client = Client::new(folder.path(), &socket, Daemon::Coordinator);

        let error = client.call(&endpoints::LIST_USERS, &[], &()).await.unwrap_err();

        assert_eq!(error.to_string(), "too many; try again in 7 s");
    }

    #[tokio::test]
    async fn a_link_in_the_place_of_the_daemons_socket_is_refused_with_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("run/maru/coordinator");
        std::fs::create_dir_all(&folder).unwrap();
        let other = tokio::net::UnixListener::bind(root.path().join("other.sock")).unwrap();
        std::os::unix::fs::symlink(root.path().join("other.sock"), folder.join("admin.sock"))
            .unwrap();

        let client = Client::coordinator(root.path());
        let error = client.call(&endpoints::LIST_USERS, &[], &()).await.unwrap_err();

        assert!(error.to_string().contains("admin.sock is a link or no socket"), "{error:#}");
        let quiet = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(quiet, other.accept()).await.is_err(), "nobody called");
    }

    #[tokio::test]
    async fn a_daemon_that_does_not_run_is_named_with_what_to_do() {
        let root = tempfile::tempdir().unwrap();

        let error =
            Client::coordinator(root.path()).call(&endpoints::HEALTH, &[], &()).await.unwrap_err();

        assert!(error.to_string().contains("sudo maru up"), "{error}");
    }
}
