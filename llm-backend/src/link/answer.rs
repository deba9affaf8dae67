//! A backend's answer: its head, and a body that is read as it arrives.

use std::{mem, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream, stream::BoxStream};
use http::{HeaderMap, StatusCode, header};
use hyper::body::Incoming;

use super::{
    idle::{ConnectionKey, IdlePool},
    stream::Connection,
};

/// A backend's answer. Dropping it before its end closes the connection.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(super) body: Incoming,
    /// `None` once the body has ended.
    pub(super) connection: Option<Connection>,
    pub(super) key: ConnectionKey,
    pub(super) idle: Arc<IdlePool>,
}

impl Answer {
    /// Whether the body is of this content type.
    pub(crate) fn is(&self, essence: &str) -> bool {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        kind.is_some_and(|kind| kind.split(';').next().unwrap_or_default().trim() == essence)
    }

    /// The body as it arrives.
    pub(crate) fn into_stream(mut self) -> BoxStream<'static, Result<Bytes, hyper::Error>> {
        // The headers keep the read buffer alive, so that the body would need another one.
        self.headers = HeaderMap::new();
        let next = async |mut answer: Self| Some((answer.chunk().await?, answer));
        stream::unfold(self, next).boxed()
    }

    pub(super) async fn chunk(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        loop {
            let Some(frame) = self.connection.as_mut()?.frame(&mut self.body).await else {
                self.idle.keep(self.connection.take()?, mem::take(&mut self.key));
                return None;
            };
            match frame {
                Ok(frame) => match frame.into_data() {
                    Ok(bytes) => return Some(Ok(bytes)),
                    // Trailers.
                    Err(_) => continue,
                },
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
