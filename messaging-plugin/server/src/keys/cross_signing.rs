//! `/keys/device_signing/upload`: a person publishes an identity.
//!
//! No further proof is asked for, also when an identity is replaced: the mesh already says whose node asks.

use std::sync::Arc;

use axum::extract::State;
use futures_util::FutureExt as _;
use ruma::{UserId, api::client::keys::upload_signing_keys::v3, encryption, serde::Raw};
use telmeet_core::keys::cross_signing::{CrossSigningKey, Identity, Usage};

use super::{device_lists, rows};
use crate::{
    error::Error,
    homeserver::{Homeserver, Transaction},
    matrix::{Reply, Ruma},
    session::Session,
};

pub(super) async fn upload(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<v3::Request>,
) -> Result<Reply<v3::Response>, Error> {
    let user = session.user;
    let parse = |key: &Option<Raw<encryption::CrossSigningKey>>, usage| {
        let parse =
            |key: &Raw<_>| CrossSigningKey::parse(key.json().get().as_bytes(), &user, usage);
        key.as_ref().map(parse).transpose()
    };
    let uploaded = Identity {
        master: parse(&request.master_key, Usage::Master)?,
        self_signing: parse(&request.self_signing_key, Usage::SelfSigning)?,
        user_signing: parse(&request.user_signing_key, Usage::UserSigning)?,
    };
    let written = homeserver
        .write(move |transaction| async move { store(transaction, &user, uploaded).await }.boxed());
    written.await?;
    Ok(Reply(v3::Response::new()))
}

async fn store(
    transaction: &mut Transaction,
    user: &UserId,
    uploaded: Identity,
) -> Result<(), Error> {
    let known = rows::identity(transaction.connection(), user).await?;
    let next = known.update(uploaded, user)?;
    if next == known {
        return Ok(());
    }
    for usage in Usage::ALL {
        let (old, new) = (known.get(usage), next.get(usage));
        if let Some(old) = old.filter(|old| new.is_none_or(|new| new.public() != old.public())) {
            remove(transaction, user, old, usage).await?;
        }
        if let Some(new) = new.filter(|new| old != Some(new)) {
            let query = "INSERT INTO cross_signing_keys (user_id, usage, key_json) VALUES ($1, $2, $3) \
                 ON CONFLICT (user_id, usage) DO UPDATE SET key_json = excluded.key_json";
            let query = sqlx::query(query)
                .bind(user.as_str())
                .bind(usage.as_str())
                .bind(new.object().to_json());
            query.execute(transaction.connection()).await?;
        }
    }
    device_lists::changed(transaction, user).await
}

/// Removes a key with its signatures, and what others signed of it.
async fn remove(
    transaction: &mut Transaction,
    user: &UserId,
    key: &CrossSigningKey,
    usage: Usage,
) -> Result<(), Error> {
    for (query, value) in [
        ("DELETE FROM cross_signing_keys WHERE user_id = $1 AND usage = $2", usage.as_str()),
        ("DELETE FROM key_signatures WHERE signer = $1 AND key_id = $2", &*key.key_id()),
        ("DELETE FROM key_signatures WHERE user_id = $1 AND target = $2", key.public()),
    ] {
        let query = sqlx::query(query).bind(user.as_str()).bind(value.to_owned());
        query.execute(transaction.connection()).await?;
    }
    Ok(())
}
