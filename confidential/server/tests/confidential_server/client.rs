//! A client: HTTP over TLS, and the envelope's half of OHTTP.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use chassis::{dial, tls};
use confidential_api::{
    bundle::Bundle,
    names::{host, media, path},
    signed::{PublicKey, Signed},
};
use confidential_envelope::{
    Plaintext, ResponseOpener,
    bhttp::{self, Event, RequestHead, ResponseHead, Scheme},
    ohttp::{self, KeyConfig},
};
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    header::{CONTENT_TYPE, HOST},
};
use rustls::{ClientConfig, version::TLS13};
use testkit::http::{Connection, Response};
use tokio::net::{TcpSocket, TcpStream};

/// Longer than any body here, in bytes.
pub(crate) const BODY_MAX: usize = 256 << 20;
/// Longer than any body here takes to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Speaks HTTP over TLS.
#[derive(Clone)]
pub(crate) struct Client(Arc<ClientConfig>);

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What was opened of an answer.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Vec<u8>,
}

impl Answer {
    /// Reads the body of a response that has begun.
    pub(crate) async fn read(response: Response) -> Self {
        let (status, headers) = (response.status, response.headers.clone());
        Self { status, headers, body: response.bytes().await.unwrap() }
    }
}

impl Client {
    pub(crate) fn new(ca: &Path, own: Option<&tls::CertificateFiles>) -> Self {
        Self(tls::client(ca, own, &[&TLS13]).unwrap())
    }

    /// Sends a request as it is.
    pub(crate) async fn send(
        &self,
        address: SocketAddr,
        request: Request<Full<Bytes>>,
    ) -> Response {
        self.try_send(address, request).await.unwrap()
    }

    /// The same, if an answer begins.
    pub(crate) async fn try_send(
        &self,
        address: SocketAddr,
        mut request: Request<Full<Bytes>>,
    ) -> Option<Response> {
        if !request.headers().contains_key(HOST) {
            request.headers_mut().insert(HOST, address.to_string().parse().unwrap());
        }
        self.connect(address).await?.send(request).await
    }

    /// A connection that is kept, if it is taken: an answer came over it.
    pub(crate) async fn hold(&self, address: SocketAddr) -> Option<Connection> {
        self.hold_over(dial::tcp(&address.ip().to_string(), address.port()).await.ok()?).await
    }

    /// The same from another address of this machine, 127.0.0.`last`.
    pub(crate) async fn hold_from(&self, last: u8, address: SocketAddr) -> Option<Connection> {
        self.hold_over(connect_from(last, address).await).await
    }

    async fn hold_over(&self, stream: TcpStream) -> Option<Connection> {
        let address = stream.peer_addr().ok()?;
        let mut connection = self.speak(stream).await?;
        let request = Request::get(path::PING).header(HOST, address.to_string());
        connection.send(request.body(Full::default()).ok()?).await?.bytes().await.ok()?;
        Some(connection)
    }

    async fn connect(&self, address: SocketAddr) -> Option<Connection> {
        self.speak(dial::tcp(&address.ip().to_string(), address.port()).await.ok()?).await
    }

    async fn speak(&self, stream: TcpStream) -> Option<Connection> {
        let trust = (Arc::clone(&self.0), stream.peer_addr().ok()?.ip().into());
        Some(Connection::over(dial::secure(stream, Some(trust)).await.ok()?).await)
    }

    pub(crate) async fn whole(&self, address: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
        Answer::read(self.send(address, request).await).await
    }

    pub(crate) async fn get(&self, address: SocketAddr, path: &str) -> Answer {
        self.whole(address, Request::get(path).body(Full::default()).unwrap()).await
    }

    pub(crate) async fn post(
        &self,
        address: SocketAddr,
        path: &str,
        media: &str,
        body: impl Into<Bytes>,
    ) -> Answer {
        let request = Request::post(path).header(CONTENT_TYPE, media);
        self.whole(address, request.body(Full::new(body.into())).unwrap()).await
    }

    /// The answer's status, if the connection is taken.
    pub(crate) async fn try_post(&self, address: SocketAddr, media: &str) -> Option<StatusCode> {
        let request = Request::post("/").header(CONTENT_TYPE, media).body(Full::default()).ok()?;
        Some(self.try_send(address, request).await?.status)
    }

    /// The gateway's keys, verified.
    pub(crate) async fn bundle(&self, gateway: SocketAddr, identity: &PublicKey) -> Bundle {
        let answer = self.get(gateway, path::BUNDLE).await;
        assert_eq!(answer.status, 200);
        Signed::<Bundle>::parse(&answer.body).unwrap().verify(identity, now()).unwrap()
    }

    /// Asks the router through the chain, whose first one is at `address`.
    pub(crate) async fn ask(
        &self,
        address: SocketAddr,
        config: &KeyConfig,
        request: &(RequestHead, Vec<u8>),
    ) -> Opened {
        let (sealed, opener) = seal(config, request);
        let answer = self.post(address, "/", media::OHTTP_REQUEST, sealed).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        open(opener, &answer)
    }
}

/// A connection from 127.0.0.`last`.
pub(crate) async fn connect_from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, last], 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

/// The key that a bundle says to use.
pub(crate) fn active(bundle: &Bundle) -> KeyConfig {
    KeyConfig::decode(&bundle.active(now()).unwrap().config.0).unwrap()
}

/// What the router is asked.
pub(crate) fn request(
    method: Method,
    path: &str,
    headers: &[(&'static str, &str)],
    content: &[u8],
) -> (RequestHead, Vec<u8>) {
    let headers =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let head = RequestHead {
        method,
        scheme: Scheme::Https,
        authority: host::ROUTER.to_owned(),
        path: path.parse().unwrap(),
        headers: headers.collect(),
    };
    (head, content.to_vec())
}

pub(crate) fn seal(
    config: &KeyConfig,
    (head, content): &(RequestHead, Vec<u8>),
) -> (Vec<u8>, ResponseOpener) {
    ohttp::Request::new(config).unwrap().seal(&bhttp::encode(head, content, 514)).unwrap()
}

pub(crate) fn open(opener: ResponseOpener, answer: &Answer) -> Opened {
    let message = match answer.headers[CONTENT_TYPE].to_str().unwrap() {
        media::OHTTP_RESPONSE => opener.open(&answer.body).unwrap(),
        media::OHTTP_CHUNKED_RESPONSE => {
            let (mut stream, mut message) =
                (opener.chunked(ohttp::RESPONSE_LIMITS), Plaintext::default());
            stream.push(&answer.body, &mut message).unwrap();
            stream.finish(&mut message).unwrap();
            message
        }
        other => panic!("{other}"),
    };
    let (head, content) = bhttp::decode::<ResponseHead>(&message, 64 << 20).unwrap();
    Opened { status: head.status, headers: head.headers, content: content.to_vec() }
}

/// Opens an answer piece by piece, as it comes.
pub(crate) struct ResponseReader {
    response: Response,
    stream: confidential_envelope::ResponseStream,
    decoder: bhttp::Decoder<ResponseHead>,
    pub(crate) head: Option<ResponseHead>,
}

impl ResponseReader {
    pub(crate) fn new(opener: ResponseOpener, response: Response) -> Self {
        assert_eq!(response.status, 200);
        assert_eq!(response.headers[CONTENT_TYPE], media::OHTTP_CHUNKED_RESPONSE);
        let stream = opener.chunked(ohttp::RESPONSE_LIMITS);
        let decoder = bhttp::Decoder::new(64 << 20);
        Self { response, stream, decoder, head: None }
    }

    /// The next content; none at the end. An error says that it was cut.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, &'static str> {
        loop {
            let Some(piece) = self.response.piece().await else { return Ok(None) };
            let data = piece.map_err(|_| "the connection ended")?;
            let mut message = Plaintext::default();
            self.stream.push(&data, &mut message).map_err(|_| "it does not open")?;
            let mut events = Vec::new();
            self.decoder.push(&message, &mut events).map_err(|_| "it is no message")?;
            let mut content = Vec::new();
            for event in events {
                match event {
                    Event::Head(head) => self.head = Some(head),
                    Event::Content(bytes) => content.extend_from_slice(&bytes),
                    _ => {}
                }
            }
            if !content.is_empty() {
                return Ok(Some(content));
            }
        }
    }

    /// Whether it ended as whole.
    pub(crate) fn finish(self) -> bool {
        self.stream.finish(&mut Plaintext::default()).is_ok()
    }
}

#[allow(clippy::disallowed_methods, reason = "the roles read the clock as well")]
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_millis().try_into().unwrap()
}
