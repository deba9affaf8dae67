//! `/invitations`.

use axum::{
    Extension, Json,
    extract::{Request, State},
    http::StatusCode,
};
use chassis::endpoint::{Served, serve};
use coordinator_api::{
    Actor, CreateInvitation, CreateKey, CreatedInvitation, endpoints,
    invitation::{Invitation, ServerUrl},
};
use coordinator_core::{model::Owner, name, time::to_rfc3339};

use super::{error::Error, keys, read::read};
use crate::{app::App, clock};

/// Default lifetime of an invitation, in seconds.
const LIFE_S: u64 = 24 * 60 * 60;

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<App>; 1] {
    [serve(&endpoints::CREATE_INVITATION, create)]
}

async fn create(
    State(app): State<App>,
    Extension(actor): Extension<Actor>,
    request: Request,
) -> Result<(StatusCode, Json<CreatedInvitation>), Error> {
    let wanted: CreateInvitation = read(request).await?;
    name::check_user(&wanted.user)?;
    let server =
        ServerUrl::parse(&app.config.settings.server_url()).map_err(|_| Error::ServerUrl)?;
    if wanted.pre_approved && server.is_plain() && !wanted.force {
        return Err(Error::PlainHttp);
    }
    let mut change = app.store.change(actor).await?;
    let (user, user_created) = match change.user(&wanted.user).await? {
        Some(user) => (user, false),
        None => (change.insert_user(&wanted.user, clock::now()).await?, true),
    };
    let key = CreateKey {
        pre_approved: wanted.pre_approved,
        expires_in_s: wanted.expires_in_s,
        ..CreateKey::default()
    };
    let (key, secret) = keys::insert(&mut change, Owner::User(user.id), &key, LIFE_S).await?;
    let is_new = if user_created { ", who is new" } else { "" };
    let approved = if wanted.pre_approved { ", pre-approved" } else { "" };
    let until = to_rfc3339(key.expires);
    let details = format!("key {}{approved}, until {until}{is_new}", key.id);
    change.note("invitation.create", &user.name, &details);
    app.commit(change).await?;
    let invitation = Invitation { server, noise_key: app.noise.public(), auth_key: secret };
    let invitation = CreatedInvitation {
        url: invitation.to_text(),
        key_id: key.id,
        user: user.name,
        user_created,
        expires: to_rfc3339(key.expires),
    };
    Ok((StatusCode::CREATED, Json(invitation)))
}
