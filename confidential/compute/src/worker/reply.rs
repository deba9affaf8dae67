//! The response, sealed in chunks.

use std::io;

use confidential_envelope::{
    ChunkSealer, ResponseSealer,
    bhttp::{Encoder, ResponseHead},
    inner::PADDING,
};
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use serde_json::json;
use tokio::{io::AsyncWriteExt as _, net::UnixStream};

use super::request::Refused;
use crate::{
    frame::{self, Kind},
    job::Media,
};

/// A response that has begun. Without [`Self::finish`], the client sees it truncated.
pub(super) struct Reply {
    connection: UnixStream,
    sealer: ChunkSealer,
    encoder: Encoder,
}

impl Reply {
    /// Seals the head.
    pub(super) async fn begin(
        mut connection: UnixStream,
        sealer: ResponseSealer,
        head: &ResponseHead,
    ) -> io::Result<Self> {
        let mut sealer = sealer.chunked().map_err(io::Error::other)?;
        let (encoder, head) = Encoder::new(head, PADDING);
        let sealed = sealer.write(&head).map_err(io::Error::other)?;
        let begin = [
            frame::encode(Kind::Head, &[Media::Chunked as u8]),
            frame::encode(Kind::Body, &sealed),
        ];
        connection.write_all(&begin.concat()).await?;
        Ok(Self { connection, sealer, encoder })
    }

    /// Seals a part of the content.
    pub(super) async fn write(&mut self, content: &[u8]) -> io::Result<()> {
        if content.is_empty() {
            return Ok(());
        }
        let sealed = self.sealer.write(&self.encoder.content(content)).map_err(io::Error::other)?;
        frame::write(&mut self.connection, Kind::Body, &sealed).await
    }

    /// Seals the end.
    pub(super) async fn finish(mut self) -> io::Result<()> {
        let sealed = self.sealer.finish(&self.encoder.finish()).map_err(io::Error::other)?;
        let end = [frame::encode(Kind::Body, &sealed), frame::encode(Kind::End, &[])];
        self.connection.write_all(&end.concat()).await
    }

    /// Seals an error response.
    pub(super) async fn refuse(
        connection: UnixStream,
        sealer: ResponseSealer,
        refused: &Refused,
    ) -> io::Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let head = ResponseHead { status: refused.status, headers };
        let body =
            json!({ "error": { "message": refused.message, "code": refused.status.as_u16() } });
        let mut reply = Self::begin(connection, sealer, &head).await?;
        reply.write(body.to_string().as_bytes()).await?;
        reply.finish().await
    }
}
