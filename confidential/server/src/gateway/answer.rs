//! The response: Binary HTTP, sealed as a whole or in chunks.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use chassis::{body, problem::ErrorResponse};
use confidential_api::names::media;
use confidential_envelope::{
    ResponseSealer, SealError,
    bhttp::{self, Encoder, ResponseHead},
};
use futures_util::{StreamExt as _, stream};
use hyper::body::{Body as _, Incoming};

use crate::http::{stream::IdleTimeoutBody, unreachable};

/// Longest response that is sealed as a whole, in bytes; others are sealed in chunks.
const WHOLE: usize = 64 << 10;

/// The response to an opened request.
pub(super) enum Answer {
    /// The router's.
    Router(StatusCode, HeaderMap, Incoming),
    /// An error of the gateway.
    CertificateFiles(ErrorResponse),
}

impl Answer {
    /// Seals the response. If it is sealed in chunks and the router stops, the client sees it truncated.
    pub(super) async fn seal(
        self,
        sealer: ResponseSealer,
        idle: Duration,
    ) -> Result<Response, SealError> {
        let (head, body) = match self {
            Self::CertificateFiles(error) => return own(error, sealer, idle).await,
            Self::Router(status, headers, body) => {
                (ResponseHead { status, headers }, IdleTimeoutBody::new(body, idle))
            }
        };
        if body.size_hint().exact().is_none_or(|len| len > WHOLE as u64) {
            return chunked(&head, body, sealer);
        }
        match body::whole(body, WHOLE, idle).await {
            Ok(body) => whole(&head, &body, sealer),
            Err(_) => own(unreachable(), sealer, idle).await,
        }
    }
}

async fn own(
    error: ErrorResponse,
    sealer: ResponseSealer,
    idle: Duration,
) -> Result<Response, SealError> {
    let (head, body) = error.into_response().into_parts();
    // The body is in memory already.
    let body = body::whole(body, usize::MAX, idle).await.unwrap_or_default();
    whole(&ResponseHead { status: head.status, headers: head.headers }, &body, sealer)
}

fn whole(head: &ResponseHead, body: &[u8], sealer: ResponseSealer) -> Result<Response, SealError> {
    let sealed = sealer.seal(&bhttp::encode(head, body, 1))?;
    Ok(([(header::CONTENT_TYPE, media::OHTTP_RESPONSE)], sealed).into_response())
}

fn chunked(
    head: &ResponseHead,
    body: IdleTimeoutBody<Incoming>,
    sealer: ResponseSealer,
) -> Result<Response, SealError> {
    let mut sealer = sealer.chunked()?;
    let (encoder, first) = Encoder::new(head, 1);
    let first = Ok(Bytes::from(sealer.write(&first)?));
    let state = Some((encoder, sealer, body));
    let rest = stream::unfold(state, async |state| {
        let (mut encoder, mut sealer, mut body) = state?;
        loop {
            let (sealed, next) = match body::frame(&mut body).await {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => {
                        let sealed = sealer.write(&encoder.content(&data));
                        (sealed, Some((encoder, sealer, body)))
                    }
                    // Trailers are dropped: they contain only OpenPCC's credits.
                    Ok(_) | Err(_) => continue,
                },
                None => (sealer.finish(&encoder.finish()), None),
                Some(Err(error)) => return Some((Err(error), None)),
            };
            let next = next.filter(|_| sealed.is_ok());
            return Some((sealed.map(Bytes::from).map_err(std::io::Error::other), next));
        }
    });
    let pieces = Body::from_stream(stream::iter([first]).chain(rest));
    Ok(([(header::CONTENT_TYPE, media::OHTTP_CHUNKED_RESPONSE)], pieces).into_response())
}
