//! The router of an HTTP surface, from declared endpoints.
//!
//! Every surface is a list of declared endpoints, since axum's `Router` cannot be listed. The test `surfaces` of
//! `docs/walkthrough` calls each endpoint as every class of caller.

use axum::{
    Router,
    body::{Body, HttpBody as _},
    extract::Request,
    handler::Handler,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{self, MethodRouter},
};
pub use endpoint::Declaration;
use endpoint::{Content, Endpoint, Method};
use http_body_util::Limited;

use crate::{body::BodyError, problem::ErrorResponse};

/// A declared endpoint and its handler.
#[must_use]
pub struct Served<S = ()> {
    declaration: Declaration,
    handler: MethodRouter<S>,
}

/// Pairs an endpoint with its handler, and limits bodies of bytes.
pub fn serve<S, Q, A, H, T>(endpoint: &Endpoint<Q, A>, handler: H) -> Served<S>
where
    S: Clone + Send + Sync + 'static,
    Q: ?Sized,
    A: ?Sized,
    H: Handler<T, S>,
    T: 'static,
{
    let declaration = endpoint.declaration;
    let mut handler = match declaration.method {
        Method::GET => routing::get(handler),
        Method::POST => routing::post(handler),
        Method::PUT => routing::put(handler),
        Method::DELETE => routing::delete(handler),
        Method::ANY => routing::any(handler),
    };
    if let Content::Bytes { max, .. } = declaration.request {
        let limit = move |request, next| limited(max, request, next);
        handler = handler.layer(middleware::from_fn(limit));
    }
    Served { declaration, handler }
}

/// Refuses a body that is announced as longer than `max` bytes, and ends one that turns out to be.
async fn limited(max: usize, request: Request, next: Next) -> Response {
    let error = BodyError::TooLarge;
    if request.body().size_hint().lower() > max as u64 {
        return ErrorResponse::new(error.status(), "body", error.to_string()).into_response();
    }
    next.run(request.map(|body| Body::new(Limited::new(body, max)))).await
}

/// The declarations of endpoints.
pub fn list<S>(served: &[Served<S>]) -> Vec<Declaration> {
    served.iter().map(|it| it.declaration).collect()
}

/// Builds the router of these endpoints.
///
/// # Panics
///
/// If two have the same method and path.
pub fn router<S: Clone + Send + Sync + 'static>(
    served: impl IntoIterator<Item = Served<S>>,
) -> Router<S> {
    let add = |router: Router<S>, it: Served<S>| router.route(it.declaration.path, it.handler);
    served.into_iter().fold(Router::new(), add)
}
