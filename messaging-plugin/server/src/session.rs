//! Who asks: an app that signed in, on a node of its person.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use mesh_identity::Header;
use ruma::{OwnedDeviceId, OwnedUserId, UserId};
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;

use crate::{error::Error, homeserver::Homeserver, matrix};

/// An app that signed in. The request came from the node to which its token is bound, which belongs to the person now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The person.
    pub user: OwnedUserId,
    /// The app.
    pub device: OwnedDeviceId,
    /// Stable id of the node.
    pub node: String,
}

/// The node that asks, as the mesh says.
#[derive(Clone, Debug)]
pub struct Visitor(pub Header);

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let header = parts.extensions.get::<Header>().cloned();
        header.map(Self).ok_or_else(|| Error::forbidden("only nodes of the mesh may ask"))
    }
}

impl<S> FromRequestParts<S> for Session
where
    S: Sync,
    Arc<Homeserver>: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let homeserver = Arc::<Homeserver>::from_ref(state);
        let Visitor(header) = Visitor::from_request_parts(parts, state).await?;
        let token = matrix::bearer(&parts.headers).ok_or(Error::MissingToken)?;
        find(&homeserver, token, &header).await
    }
}

/// The hash under which an access token is stored.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

async fn find(homeserver: &Homeserver, token: &str, header: &Header) -> Result<Session, Error> {
    let query = "SELECT d.user_id, d.device_id, p.mesh_user FROM devices d JOIN people p ON p.user_id = d.user_id \
         WHERE d.token_hash = $1 AND d.node = $2 AND p.removed_at IS NULL";
    let row = sqlx::query(query)
        .bind(token_hash(token).to_vec())
        .bind(header.identity.node.clone())
        .fetch_optional(homeserver.pool())
        .await?
        .ok_or(Error::UnknownToken)?;
    let owner: i64 = row.try_get("mesh_user")?;
    let is_owner =
        header.identity.user.as_ref().is_some_and(|user| i64::try_from(user.id) == Ok(owner));
    if !is_owner {
        return Err(Error::UnknownToken);
    }
    let user: String = row.try_get("user_id")?;
    let device: String = row.try_get("device_id")?;
    let user = UserId::parse(user).map_err(|_| Error::UnknownToken)?;
    Ok(Session { user, device: device.into(), node: header.identity.node.clone() })
}
