//! A model over HTTP, from where an earlier attempt ended.

use std::time::Duration;

use anyhow::{Context as _, bail};
use messages::message;
use reqwest::{
    Client, Response, StatusCode, Url,
    header::{CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, LAST_MODIFIED, RANGE},
    redirect,
};

use crate::model::{
    disk,
    folder::Folder,
    memory,
    part::{Origin, Part},
    progress::Progress,
};

/// Connect timeout.
const CONNECT: Duration = Duration::from_secs(20);
/// Read timeout.
const SILENCE: Duration = Duration::from_secs(60);
/// Maximum redirects: model hubs need one or two.
const REDIRECTS: usize = 5;

/// Fetches `url` into `part`.
pub(super) async fn run(
    folder: &Folder,
    part: &mut Part,
    url: &Url,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let response = ask(part, url).await?;
    let mut response = match response.status() {
        StatusCode::PARTIAL_CONTENT if begins_at(response.headers()) == Some(part.len) => response,
        StatusCode::OK => {
            part.begin(origin(url, response.headers()).as_ref())?;
            response
        }
        // The part is complete, or the server cannot continue: once more, from the beginning.
        StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE => {
            part.begin(None)?;
            let response = ask(part, url).await?;
            if response.status() != StatusCode::OK {
                bail!(message!("download-status", host = host(url), status = response.status()));
            }
            part.begin(origin(url, response.headers()).as_ref())?;
            response
        }
        status => bail!(message!("download-refused", host = host(url), status)),
    };
    let rest = response.content_length();
    let whole = rest.map(|rest| part.len.saturating_add(rest));
    disk::has_room(&folder.path, rest.unwrap_or_default())?;
    let total = whole.unwrap_or_default();
    if let Some(warning) = memory::too_large(total, memory::total()?) {
        progress.note(warning);
    }
    while let Some(piece) = response.chunk().await.with_context(|| cut(part, url))? {
        part.add(&piece)?;
        progress.at(part.len, total);
    }
    if whole.is_some_and(|whole| whole != part.len) {
        bail!("{}", cut(part, url));
    }
    Ok(())
}

fn cut(part: &Part, url: &Url) -> String {
    let then = match part.origin() {
        Some(_) => message!("download-continues"),
        None => message!("download-restarts"),
    };
    message!("download-cut", host = host(url), then).to_string()
}

async fn ask(part: &Part, url: &Url) -> anyhow::Result<Response> {
    let client = Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .redirect(redirect::Policy::custom(follow))
        .build()
        .context(message!("no-http-client"))?;
    let mut request = client.get(url.clone());
    let before = part.origin().filter(|origin| part.len > 0 && origin.url == url.as_str());
    if let Some(origin) = before {
        request = request.header(RANGE, format!("bytes={}-", part.len));
        request = request.header(IF_RANGE, origin.validator);
    }
    request.send().await.with_context(|| message!("host-unreachable", host = host(url)))
}

/// Follows redirects, but not from HTTPS to HTTP.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let was_encrypted = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
    if attempt.previous().len() > REDIRECTS {
        attempt.error(message!("too-many-redirects"))
    } else if was_encrypted && attempt.url().scheme() != "https" {
        attempt.error(message!("redirect-to-plain-http"))
    } else {
        attempt.follow()
    }
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or_default()
}

/// The validator of this content, if the server can send the rest of it.
fn origin(url: &Url, headers: &HeaderMap) -> Option<Origin> {
    Some(Origin { url: url.as_str().to_owned(), validator: validator(headers)? })
}

/// A strong `ETag`, or a `Last-Modified` (RFC 9110, section 8.8), neither of which is empty.
pub(crate) fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name)?.to_str().ok();
    let is_strong = |text: &&str| !text.is_empty() && !text.starts_with("W/");
    let found = [ETAG, LAST_MODIFIED].into_iter().find_map(|name| text(name).filter(is_strong));
    found.map(str::to_owned)
}

/// Where a part of the content begins: `bytes 100-199/200` (RFC 9110, section 14.4).
pub(crate) fn begins_at(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    text.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}
