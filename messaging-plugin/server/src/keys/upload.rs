//! `/keys/upload`: a device publishes its identity keys, one-time keys and fallback keys.

use std::sync::Arc;

use axum::extract::State;
use futures_util::FutureExt as _;
use ruma::{OwnedOneTimeKeyId, api::client::keys::upload_keys::v3, encryption, serde::Raw};
use telmeet_core::keys::{device::DeviceKeys, one_time::OneTimeKey};

use super::{device_lists, one_time, rows};
use crate::{
    error::Error,
    homeserver::{Homeserver, Transaction},
    matrix::{Reply, Ruma},
    session::Session,
};

/// What a device publishes.
struct Upload {
    device_keys: Option<DeviceKeys>,
    one_time_keys: Vec<OneTimeKey>,
    fallback_keys: Vec<OneTimeKey>,
}

impl Upload {
    fn parse(request: &v3::Request, session: &Session) -> Result<Self, Error> {
        let device_keys = request.device_keys.as_ref();
        let device_keys = device_keys.map(|keys| {
            DeviceKeys::parse(keys.json().get().as_bytes(), &session.user, &session.device)
        });
        let parse = |(id, key): (&OwnedOneTimeKeyId, &Raw<encryption::OneTimeKey>)| {
            OneTimeKey::parse(id.as_str(), key.json().get().as_bytes())
        };
        Ok(Self {
            device_keys: device_keys.transpose()?,
            one_time_keys: request.one_time_keys.iter().map(parse).collect::<Result<_, _>>()?,
            fallback_keys: request.fallback_keys.iter().map(parse).collect::<Result<_, _>>()?,
        })
    }

    /// An app uploads nothing to ask how many keys it has.
    fn is_empty(&self) -> bool {
        self.device_keys.is_none() && self.one_time_keys.is_empty() && self.fallback_keys.is_empty()
    }

    async fn store(self, transaction: &mut Transaction, session: &Session) -> Result<(), Error> {
        let (user, device) = (&session.user, &session.device);
        transaction.change(user);
        if let Some(keys) = self.device_keys {
            set_device_keys(transaction, session, &keys).await?;
        }
        if !self.one_time_keys.is_empty() {
            one_time::add(transaction, user, device, self.one_time_keys).await?;
        }
        for key in self.fallback_keys {
            one_time::set_fallback(transaction.connection(), user, device, key).await?;
        }
        Ok(())
    }
}

pub(super) async fn upload(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<v3::Request>,
) -> Result<Reply<v3::Response>, Error> {
    let upload = Upload::parse(&request, &session)?;
    let Session { user, device, .. } = session.clone();
    if !upload.is_empty() {
        let written = homeserver.write(move |transaction| {
            async move { upload.store(transaction, &session).await }.boxed()
        });
        written.await?;
    }
    let mut connection = homeserver.pool().acquire().await?;
    let counts = one_time::counts(&mut connection, &user, &device).await?;
    Ok(Reply(v3::Response::new(counts)))
}

async fn set_device_keys(
    transaction: &mut Transaction,
    session: &Session,
    keys: &DeviceKeys,
) -> Result<(), Error> {
    let (user, device) = (&session.user, &session.device);
    let connection = transaction.connection();
    let stored = rows::device(connection, user, device).await?;
    if stored.as_ref().is_some_and(|stored| !stored.has_same_identity(keys)) {
        return Err(Error::invalid("the identity keys of a device do not change; sign in again"));
    }
    let text = keys.to_stored(user, device);
    let mut is_changed = stored.is_none_or(|stored| stored.to_stored(user, device) != text);
    if is_changed {
        let query = "INSERT INTO device_keys (user_id, device_id, keys) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id, device_id) DO UPDATE SET keys = excluded.keys";
        let query = sqlx::query(query).bind(user.as_str()).bind(device.as_str()).bind(text);
        query.execute(&mut *connection).await?;
    }
    // A new device may already be signed by the person's identity.
    if let Some(key) = rows::identity(connection, user).await?.self_signing {
        let own = [(key.key_id(), key.public().to_owned())];
        for signature in keys.object().valid_signatures(user, &own) {
            is_changed |= rows::add_signature(connection, user, device.as_str(), signature).await?;
        }
    }
    if is_changed {
        device_lists::changed(transaction, user).await?;
    }
    Ok(())
}
