//! The body of a request to the admin API.

use axum::{body::Body, extract::Request};
use chassis::body::{self, BodyError};
use serde::de::DeserializeOwned;

use super::error::Error;
use crate::limits::{AdminBodies, Caller};

/// Reads a JSON body, under its content type only. An empty body stands for `{}`.
pub(super) async fn read<T: DeserializeOwned>(request: Request<Body>) -> Result<T, Error> {
    let (parts, body) = request.into_parts();
    let bodies = parts.extensions.get::<AdminBodies>().ok_or(Error::Unread(BodyError::NoMemory))?;
    let origin = parts.extensions.get::<Caller>().map(|caller| caller.origin);
    let held = bodies.read(body, origin).await.map_err(Error::Unread)?;
    let bytes = held.bytes();
    if bytes.is_empty() {
        return serde_json::from_slice(b"{}").map_err(|error| Error::Body(error.to_string()));
    }
    if !body::is_json(&parts.headers) {
        return Err(Error::ContentType);
    }
    serde_json::from_slice(bytes).map_err(|error| Error::Body(error.to_string()))
}
