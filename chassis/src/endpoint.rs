//! The router of an HTTP surface, from declared endpoints.
//!
//! axum's `Router` does not tell what is in it. So every surface is a list of declared endpoints, no router is built in any
//! other way, and the test `surfaces` of `docs/walkthrough` asks each of them as every class of caller.

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

/// A declared endpoint, and the handler that answers there.
#[must_use]
pub struct Served<S = ()> {
    declaration: Declaration,
    handler: MethodRouter<S>,
}

/// Serves an endpoint.
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

/// The declarations of what is served.
pub fn list<S>(served: &[Served<S>]) -> Vec<Declaration> {
    served.iter().map(|it| it.declaration).collect()
}

/// Builds the router that serves exactly these.
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
