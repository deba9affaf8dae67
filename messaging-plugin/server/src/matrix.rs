//! Requests and responses of the client-server API, in the types of `ruma`.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{FromRequest, FromRequestParts as _, RawPathParams, Request},
    handler::Handler,
    http::{Method, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use bytes::BytesMut;
use chassis::body::BufferedBody;
use mesh_identity::Header;
use ruma::api::{
    IncomingRequest, Metadata, OutgoingResponse,
    error::{DeserializationError, ErrorKind, FromHttpRequestError},
    path_builder::{SinglePath, VersionHistory},
};
use serde::de::DeserializeOwned;

use crate::{error::Error, homeserver::Homeserver};

/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// A request of the client-server API, as axum's extractor.
#[derive(Debug)]
pub struct Ruma<T>(pub T);

impl<T: IncomingRequest + 'static> FromRequest<Arc<Homeserver>> for Ruma<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &Arc<Homeserver>) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let parameters = parameters(&mut parts, state).await?;
        let body = read(state, &parts, body).await?;
        // Clients send no body where the specification wants an empty object.
        let bytes = if body.bytes().is_empty() && parts.method != Method::GET {
            b"{}"
        } else {
            &body.bytes()[..]
        };
        let request = axum::http::Request::from_parts(parts, bytes);
        T::try_from_http_request(request, &parameters).map(Self).map_err(|error| malformed(&error))
    }
}

/// Reads the body of a request.
async fn read(
    state: &Homeserver,
    parts: &Parts,
    body: Body,
) -> Result<BufferedBody<String>, Error> {
    let node = parts.extensions.get::<Header>().map(|header| header.identity.node.clone());
    Ok(state.bodies.read(body, node.unwrap_or_default(), BODY_TIMEOUT).await?)
}

/// The bytes of a request's body, as axum's extractor.
#[derive(Debug)]
pub struct Bytes(pub BufferedBody<String>);

impl FromRequest<Arc<Homeserver>> for Bytes {
    type Rejection = Error;

    async fn from_request(request: Request, state: &Arc<Homeserver>) -> Result<Self, Error> {
        let (parts, body) = request.into_parts();
        read(state, &parts, body).await.map(Self)
    }
}

/// A JSON body for which `ruma` has no type, or one that fails, as axum's extractor.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<Homeserver>> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &Arc<Homeserver>) -> Result<Self, Error> {
        let Bytes(body) = Bytes::from_request(request, state).await?;
        let value = serde_json::from_slice(body.bytes());
        // The texts of the library may repeat a value.
        value.map(Self).map_err(|error| {
            let reason = format!("the body is malformed in column {}", error.column());
            Error::bad_request(json_kind(&error), reason)
        })
    }
}

/// A request whose body is a file, and the body.
#[derive(Debug)]
pub struct RumaStream<T>(pub T, pub Body);

impl<T: IncomingRequest + 'static> FromRequest<Arc<Homeserver>> for RumaStream<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &Arc<Homeserver>) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let parameters = parameters(&mut parts, state).await?;
        let request = axum::http::Request::from_parts(parts, &b""[..]);
        let request = T::try_from_http_request(request, &parameters);
        request.map(|request| Self(request, body)).map_err(|error| malformed(&error))
    }
}

/// The parameters of the path, in their order.
async fn parameters(parts: &mut Parts, state: &Arc<Homeserver>) -> Result<Vec<String>, Error> {
    let parameters = RawPathParams::from_request_parts(parts, state)
        .await
        .map_err(|_| Error::invalid("the path is not UTF-8"))?;
    Ok(parameters.iter().map(|(_, value)| value.to_owned()).collect())
}

/// Why a request is malformed. The texts of the library name fields, never their values.
fn malformed(error: &FromHttpRequestError) -> Error {
    let kind = match error {
        FromHttpRequestError::Deserialization(error) => match error {
            DeserializationError::Json(error) => json_kind(error),
            DeserializationError::Utf8(_) => ErrorKind::NotJson,
            DeserializationError::Query(error) if error.to_string().starts_with("missing") => {
                ErrorKind::MissingParam
            }
            DeserializationError::Query(_)
            | DeserializationError::Ident(_)
            | DeserializationError::Header(_)
            | DeserializationError::MultipartMixed(_)
            | _ => ErrorKind::InvalidParam,
        },
        FromHttpRequestError::MethodMismatch { .. } | _ => ErrorKind::Unrecognized,
    };
    Error::bad_request(kind, format!("the request is malformed: {error}"))
}

/// Whether a body is no JSON, or JSON that the endpoint does not take.
fn json_kind(error: &serde_json::Error) -> ErrorKind {
    if error.is_data() { ErrorKind::BadJson } else { ErrorKind::NotJson }
}

/// A response of the client-server API.
#[derive(Debug)]
pub struct Reply<T>(pub T);

impl<T: OutgoingResponse> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        match self.0.try_into_http_response::<BytesMut>() {
            Ok(response) => response.map(|bytes| Body::from(bytes.freeze())),
            Err(error) => {
                tracing::error!(%error, "a response cannot be written");
                axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// An endpoint's method, path and handler.
pub struct Route {
    /// Method.
    pub method: Method,
    /// Path, with parameters in braces.
    pub path: &'static str,
    handler: MethodRouter<Arc<Homeserver>>,
}

/// The paths of a request: of each version, and unstable ones.
pub trait Paths {
    /// All paths.
    fn all(&self) -> Vec<&'static str>;
}

impl Paths for VersionHistory {
    fn all(&self) -> Vec<&'static str> {
        let unstable = self.unstable_paths().map(|(_, path)| path);
        unstable.chain(self.stable_paths().map(|(_, path)| path)).collect()
    }
}

impl Paths for SinglePath {
    fn all(&self) -> Vec<&'static str> {
        vec![self.path()]
    }
}

/// The routes of a request, at all its paths.
pub fn route<R, H, T>(handler: H) -> Vec<Route>
where
    R: Metadata,
    R::PathBuilder: Paths,
    H: Handler<T, Arc<Homeserver>>,
    T: 'static,
{
    let paths = R::PATH_BUILDER.all();
    paths.into_iter().flat_map(|path| raw(R::METHOD, path, handler.clone())).collect()
}

/// The route of an endpoint for which there is no type of a request.
pub fn raw<H, T>(method: Method, path: &'static str, handler: H) -> Vec<Route>
where
    H: Handler<T, Arc<Homeserver>>,
    T: 'static,
{
    let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
    vec![Route { method, path, handler: on(filter, handler) }]
}

/// The router of these routes. Everything else is answered as an endpoint that does not exist.
pub fn router(routes: impl IntoIterator<Item = Route>) -> Router<Arc<Homeserver>> {
    let add = |router: Router<_>, route: Route| router.route(route.path, route.handler);
    routes
        .into_iter()
        .fold(chassis::endpoint::router([]), add)
        .fallback(async || Error::Unrecognized)
        .method_not_allowed_fallback(wrong_method)
}

async fn wrong_method() -> Response {
    let mut response = Error::Unrecognized.into_response();
    *response.status_mut() = axum::http::StatusCode::METHOD_NOT_ALLOWED;
    response
}

/// The access token of a request; none if there are two. Tokens in the query, which end up in logs, are not read.
pub fn bearer(headers: &axum::http::HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none())?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
