//! Pages of other origins whose calls the guard lets through: their browsers ask first, and want to be told that the page
//! may read the answer (Fetch, section 3.3).

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};

use super::surface::Surface;

/// How long a browser need not ask again, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
/// Longest list of headers that a page may ask to send, in bytes.
const HEADERS_MAX: usize = 2048;

/// Lets the page that asked read the answer on `/v1` and `/api`; the guard has let its origin through, and it may send what it
/// likes. Its browser's question carries no key, and is answered before one is asked for.
pub(super) async fn share(request: Request, next: Next) -> Response {
    match Surface::of(request.uri().path()) {
        Surface::Own => return next.run(request).await,
        Surface::OpenAi | Surface::Ollama => {}
    }
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return next.run(request).await;
    };
    let mut response = match preflight(request.method(), request.headers()) {
        Some(answer) => answer,
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    response
}

/// The answer to a browser that asks first; `None` to everything else.
fn preflight(method: &Method, headers: &HeaderMap) -> Option<Response> {
    let asks =
        *method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    if !asks {
        return None;
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    let answer = response.headers_mut();
    answer.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    // A pattern would not cover `Authorization`; clients of OpenAI's send a dozen headers of their own.
    let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    if let Some(wanted) = wanted.filter(|wanted| wanted.len() <= HEADERS_MAX) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    Some(response)
}
