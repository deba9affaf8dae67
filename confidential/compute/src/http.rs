//! The HTTP client: one request on each connection.

use std::io;

use bytes::Bytes;
use chassis::{
    client::{self, ResponseBody},
    dial::Io,
};
use http_body_util::Full;
use hyper::{
    Request, Response,
    header::{CONTENT_TYPE, HOST, HeaderValue},
};

/// Sends a `POST` request over this connection.
pub(crate) async fn post(
    stream: impl Io + 'static,
    host: HeaderValue,
    path: &'static str,
    content_type: &'static str,
    body: Bytes,
) -> io::Result<Response<ResponseBody>> {
    let request = Request::post(path)
        .header(HOST, host)
        .header(CONTENT_TYPE, content_type)
        .body(Full::new(body))
        .map_err(io::Error::other)?;
    client::send(stream, request).await.map_err(io::Error::other)
}
