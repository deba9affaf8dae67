//! Downloads and thumbnails.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{
        HeaderMap, HeaderName, HeaderValue, StatusCode,
        header::{
            ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
            CONTENT_SECURITY_POLICY, CONTENT_TYPE, RANGE, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::Response,
};
use futures_util::stream;
use ruma::{
    ServerName,
    api::{
        client::authenticated_media::{
            get_content, get_content_as_filename, get_content_thumbnail,
        },
        error::ErrorKind,
    },
    http_headers::{ContentDisposition, ContentDispositionType},
    media::Method,
};
use telmeet_core::media::{Part, ThumbnailSize, file_name, is_inline, is_picture, part};

use super::{
    file::Reader,
    row::{self, Media},
    thumbnail::Thumbnails,
};
use crate::{error::Error, homeserver::Homeserver, matrix::Ruma, session::Session};

/// What a browser may do with a file ("Security considerations"): show it, and nothing else.
const POLICY: &str = "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; \
     style-src 'unsafe-inline'; object-src 'self';";
/// Longest time that a download waits for its file.
const WAIT_MAX: Duration = Duration::from_secs(60);

pub(super) async fn download(
    State(homeserver): State<Arc<Homeserver>>,
    _: Session,
    headers: HeaderMap,
    Ruma(request): Ruma<get_content::v1::Request>,
) -> Result<Response, Error> {
    let id = (&*request.server_name, &*request.media_id);
    let media = find(&homeserver, id, request.timeout_ms).await?;
    respond(&homeserver, media, headers.get(RANGE)).await
}

pub(super) async fn download_as(
    State(homeserver): State<Arc<Homeserver>>,
    _: Session,
    headers: HeaderMap,
    Ruma(request): Ruma<get_content_as_filename::v1::Request>,
) -> Result<Response, Error> {
    let id = (&*request.server_name, &*request.media_id);
    let media = find(&homeserver, id, request.timeout_ms).await?;
    let media = Media { name: file_name(&request.filename), ..media };
    respond(&homeserver, media, headers.get(RANGE)).await
}

/// A still of a picture, smaller than the picture; or the picture itself, which apps draw smaller.
pub(super) async fn thumbnail(
    State(homeserver): State<Arc<Homeserver>>,
    _: Session,
    Ruma(request): Ruma<get_content_thumbnail::v1::Request>,
) -> Result<Response, Error> {
    let id = (&*request.server_name, &*request.media_id);
    let media = find(&homeserver, id, request.timeout_ms).await?;
    if !is_picture(&media.content_type) {
        let text = "there are thumbnails of pictures only";
        return Err(Error::bad_request(ErrorKind::Unknown, text));
    }
    let size = ThumbnailSize::new(
        request.width.into(),
        request.height.into(),
        request.method == Some(Method::Crop),
    );
    if Thumbnails::is_wanted(media.size) {
        let id = media.file.as_deref().unwrap_or_default();
        let picture = homeserver.media.read(id, media.size, homeserver.vault()).await?;
        if let Some(made) = homeserver.thumbnails.make(picture, size).await {
            let mut response = Response::new(Body::from(made.bytes));
            describe(response.headers_mut(), made.content_type, &media.name);
            return Ok(response);
        }
    }
    respond(&homeserver, media, None).await
}

/// An upload, as soon as its file is there.
async fn find(
    homeserver: &Homeserver,
    (server, media_id): (&ServerName, &str),
    timeout: Duration,
) -> Result<Media, Error> {
    let mut uploaded = homeserver.media.watch();
    let wait = async {
        loop {
            let mut connection = homeserver.pool().acquire().await?;
            let media = row::find(&mut connection, homeserver.vault(), media_id).await?;
            drop(connection);
            let media = media.filter(|_| server.as_str() == homeserver.network);
            let media = media.ok_or(Error::NotFound("there is no such file"))?;
            if media.file.is_some() {
                return Ok(media);
            }
            if uploaded.changed().await.is_err() {
                return Err(Error::NotFound("there is no such file"));
            }
        }
    };
    let text = "this file was not uploaded yet".to_owned();
    let late = Error::Refused(StatusCode::GATEWAY_TIMEOUT, ErrorKind::NotYetUploaded, text);
    tokio::time::timeout(timeout.min(WAIT_MAX), wait).await.unwrap_or(Err(late))
}

async fn respond(
    homeserver: &Homeserver,
    media: Media,
    range: Option<&HeaderValue>,
) -> Result<Response, Error> {
    let id = media.file.as_deref().unwrap_or_default();
    let mut reader = homeserver.media.read(id, media.size, homeserver.vault()).await?;
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    describe(headers, &media.content_type, &media.name);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let bytes = match part(range.and_then(|range| range.to_str().ok()), media.size) {
        Part::Whole => 0..media.size,
        Part::NotSatisfiable => {
            insert(headers, CONTENT_RANGE, &format!("bytes */{}", media.size));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            return Ok(response);
        }
        Part::Bytes(bytes) => {
            let shown = format!("bytes {}-{}/{}", bytes.start, bytes.end - 1, media.size);
            insert(headers, CONTENT_RANGE, &shown);
            reader.seek(bytes.clone()).await?;
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            bytes
        }
    };
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(bytes.end - bytes.start));
    *response.body_mut() = stream(reader).await?;
    Ok(response)
}

/// The bytes as a body. The first chunk is opened here, so that a damaged file is an error and not an empty answer.
async fn stream(mut reader: Reader) -> Result<Body, Error> {
    let Some(first) = reader.next().await? else { return Ok(Body::empty()) };
    let chunks = stream::try_unfold((Some(first), reader), async |(first, mut reader)| {
        let next = match first {
            Some(first) => Some(first),
            None => reader.next().await?,
        };
        Ok::<_, Error>(next.map(|bytes| (bytes, (None, reader))))
    });
    Ok(Body::from_stream(chunks))
}

/// Sets the headers of a file with this type and name.
fn describe(headers: &mut HeaderMap, content_type: &str, name: &Option<String>) {
    let policies = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("cross-origin-resource-policy"), "cross-origin"),
        (CACHE_CONTROL, "private, max-age=86400"),
    ];
    headers.extend(policies.map(|(name, value)| (name, HeaderValue::from_static(value))));
    let kind = if is_inline(content_type) {
        ContentDispositionType::Inline
    } else {
        ContentDispositionType::Attachment
    };
    let disposition = ContentDisposition::new(kind).with_filename(name.clone());
    insert(headers, CONTENT_TYPE, content_type);
    insert(headers, CONTENT_DISPOSITION, &disposition.to_string());
}

/// What cannot stand in a header is left out.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
