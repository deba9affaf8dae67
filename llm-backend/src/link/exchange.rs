//! Sends one request: over an idle connection, or over a new one.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::Full;
use tokio::time::{Instant, timeout};

use super::{
    Answer, Client, Content,
    idle::{ConnectionKey, Trust},
    reason::Failure,
    stream::Connection,
};
use crate::address::Address;

/// If an idle connection closes within this time after a request, the server may not have read the request. If it
/// closes later, the server was working on the request.
const CLOSES: Duration = Duration::from_secs(1);

impl Client {
    pub(super) async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Content>,
    ) -> Result<Answer, Failure> {
        let loaded = self.files.current().map_err(Failure::Files)?;
        let mut request = Request::new(Full::new(Bytes::new()));
        let prefix = match &self.address {
            Address::Unix(_) => "",
            Address::Tcp { prefix, .. } => prefix,
        };
        // Both parts were parsed as parts of a URI before.
        *request.uri_mut() = format!("{prefix}{path}").parse().unwrap_or_default();
        *request.method_mut() = method;
        let headers = request.headers_mut();
        if let Ok(host) = HeaderValue::from_str(&self.address.host()) {
            headers.insert(header::HOST, host);
        }
        if let Some(authorization) = loaded.authorization {
            headers.insert(header::AUTHORIZATION, authorization);
        }
        if let Some((kind, body)) = body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            *request.body_mut() = Full::new(body.into());
        }
        let mut closed = None;
        // The socket is read before connecting: if it is replaced meanwhile, the connection is not reused.
        let key = ConnectionKey { trust: loaded.tls, socket: self.target.socket() };
        if let Some(connection) = self.idle.take(&key) {
            let sent = Instant::now();
            match self.answer(connection, request.clone(), key.clone()).await {
                Err(error) if error.is_canceled() => {}
                Err(error) if !error.is_parse() && sent.elapsed() < CLOSES => closed = Some(error),
                answer => return answer.map_err(Failure::Http),
            }
        }
        // A server may close a connection just when it is used again, so the request is sent once more. If the server
        // is down now, the request may have crashed it, unless it was never sent.
        match (self.connect(key.trust.clone()).await, closed) {
            (Ok(connection), _) => {
                self.answer(connection, request, key).await.map_err(Failure::Http)
            }
            (Err(_), Some(error)) => Err(Failure::Http(error)),
            (Err(failure), None) => Err(failure),
        }
    }

    async fn answer(
        &self,
        mut connection: Connection,
        request: Request<Full<Bytes>>,
        key: ConnectionKey,
    ) -> Result<Answer, hyper::Error> {
        let (head, body) = connection.send(request).await?.into_parts();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            connection: Some(connection),
            key,
            idle: Arc::clone(&self.idle),
        })
    }

    async fn connect(&self, tls: Trust) -> Result<Connection, Failure> {
        let tls = tls.zip(self.server_name.clone());
        let connected = timeout(self.timeouts.connect, self.target.connect(tls)).await;
        let stream = connected
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(Failure::Connect)?;
        Connection::new(stream).await.map_err(Failure::Http)
    }
}
