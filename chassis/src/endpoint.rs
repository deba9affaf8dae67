//! An HTTP surface as a list of endpoints: its router is built from it, and a test can go through it.
//!
//! axum's `Router` does not tell what is in it. So every surface is written as a list, no router is built in any other
//! way, and the test `surfaces` of `docs/walkthrough` fails for an endpoint that it does not know.

use std::fmt;

use axum::{
    Router,
    handler::Handler,
    routing::{self, MethodRouter},
};

/// A method of a path, and what answers there. Displayed as `GET /v1/status`.
#[must_use]
pub struct Endpoint<S = ()> {
    method: &'static str,
    path: String,
    handler: MethodRouter<S>,
    reads: bool,
}

macro_rules! methods {
    ($($method:ident $name:literal $doc:literal,)*) => {$(
        #[doc = $doc]
        pub fn $method<S, H, T>(path: impl Into<String>, handler: H) -> Endpoint<S>
        where
            S: Clone + Send + Sync + 'static,
            H: Handler<T, S>,
            T: 'static,
        {
            Endpoint {
                method: $name,
                path: path.into(),
                handler: routing::$method(handler),
                reads: $name == "GET",
            }
        }
    )*};
}

methods! {
    get "GET" "Answers GET, and HEAD without the body.",
    post "POST" "Answers POST.",
    put "PUT" "Answers PUT.",
    delete "DELETE" "Answers DELETE.",
    any "ANY" "Answers whatever the method.",
}

impl<S: Clone + Send + Sync + 'static> Endpoint<S> {
    /// The same below a prefix.
    pub fn below(self, prefix: &str) -> Self {
        Self { path: format!("{prefix}{}", self.path), ..self }
    }

    /// Marks one that changes nothing although its method might: it asks with a body.
    pub fn reads(self) -> Self {
        Self { reads: true, ..self }
    }

    /// Whether a request for exactly this method and path changes nothing: GET, and what is marked so.
    #[must_use]
    pub fn is_read(&self, method: &str, path: &str) -> bool {
        self.reads && self.method == method && self.path == path
    }
}

impl<S> fmt::Display for Endpoint<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Lists what is displayed of each.
pub fn list<S>(endpoints: &[Endpoint<S>]) -> Vec<String> {
    endpoints.iter().map(Endpoint::to_string).collect()
}

/// Builds the router that serves exactly these.
///
/// # Panics
///
/// If two have the same method and path.
pub fn router<S: Clone + Send + Sync + 'static>(
    endpoints: impl IntoIterator<Item = Endpoint<S>>,
) -> Router<S> {
    let add = |router: Router<S>, it: Endpoint<S>| router.route(&it.path, it.handler);
    endpoints.into_iter().fold(Router::new(), add)
}
