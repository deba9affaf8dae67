//! Who asks: an app that signed in, on a node of its person.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};
use chassis::browser;
use mesh_identity::{Header, User};
use ruma::{OwnedDeviceId, OwnedUserId};
use sha2::{Digest as _, Sha256};

use crate::{error::Error, homeserver::Homeserver, matrix, sign_in::tokens::SignedIn};

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

impl Visitor {
    /// The person whose node it is.
    ///
    /// # Errors
    ///
    /// [`Error::Core`] (403) for a tagged node.
    pub fn person(&self) -> Result<&User, Error> {
        person(&self.0)
    }
}

/// The person whose node it is.
///
/// # Errors
///
/// [`Error::Core`] (403) for a tagged node.
pub fn person(header: &Header) -> Result<&User, Error> {
    let user = header.identity.user.as_ref();
    user.ok_or_else(|| Error::forbidden("this device belongs to no person"))
}

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
        let app = find(&homeserver, &parts.headers, &header)?;
        let (user, device) = (app.user.clone(), app.device.clone());
        Ok(Self { user, device, node: app.node.clone() })
    }
}

/// An app with an access token, or one that is no website, for endpoints at which apps send no token (specification,
/// "Listing rooms", "Room aliases"). A website that a member opens must not read the list of rooms.
#[derive(Clone, Copy, Debug)]
pub struct NoWebsite;

impl<S> FromRequestParts<S> for NoWebsite
where
    S: Sync,
    Arc<Homeserver>: FromRef<S>,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let has_token = parts.headers.contains_key(header::AUTHORIZATION);
        if has_token || browser::sent(&parts.headers) {
            Session::from_request_parts(parts, state).await?;
        }
        Ok(Self)
    }
}

/// The hash under which an access token is stored.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The app whose access token a request carries, on the node and of the person to which it is bound.
///
/// # Errors
///
/// [`Error::MissingToken`]; [`Error::UnknownToken`]; [`Error::Core`] (403) for a tagged node.
pub fn find(
    homeserver: &Homeserver,
    headers: &HeaderMap,
    header: &Header,
) -> Result<Arc<SignedIn>, Error> {
    let person = person(header)?;
    let token = matrix::bearer(headers).ok_or(Error::MissingToken)?;
    let app = homeserver.sign_in.tokens.get(&token_hash(token));
    app.filter(|app| app.node == header.identity.node && app.owner == person.id)
        .ok_or(Error::UnknownToken)
}
