//! `/keys/claim`: keys with which conversations with other devices begin.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use futures_util::FutureExt as _;
use ruma::{OwnedOneTimeKeyId, api::client::keys::claim_keys::v3, serde::Raw};

use super::{one_time, rows::damaged};
use crate::{
    error::Error,
    homeserver::{Homeserver, Transaction},
    matrix::{Reply, Ruma},
    session::Session,
};

/// Most devices of one request.
const DEVICES_MAX: usize = 2_000;

/// Devices without keys, unknown ones and those of other networks are left out of the answer.
pub(super) async fn claim(
    State(homeserver): State<Arc<Homeserver>>,
    _: Session,
    Ruma(request): Ruma<v3::Request>,
) -> Result<Reply<v3::Response>, Error> {
    if request.one_time_keys.values().map(BTreeMap::len).sum::<usize>() > DEVICES_MAX {
        return Err(Error::invalid(format!("keys of at most {DEVICES_MAX} devices are claimed")));
    }
    let written = homeserver.write(move |transaction| claim_all(transaction, request).boxed());
    Ok(Reply(v3::Response::new(written.await?)))
}

async fn claim_all(
    transaction: &mut Transaction,
    request: v3::Request,
) -> Result<BTreeMap<ruma::OwnedUserId, v3::OneTimeKeys>, Error> {
    let mut claimed = BTreeMap::new();
    for (user, devices) in request.one_time_keys {
        let mut keys = v3::OneTimeKeys::new();
        for (device, algorithm) in devices {
            let connection = transaction.connection();
            let key = one_time::claim(connection, &user, &device, algorithm.as_ref()).await?;
            let Some((id, json)) = key else { continue };
            let id = OwnedOneTimeKeyId::try_from(format!("{algorithm}:{id}"));
            let id = id.map_err(|_| damaged("key_id"))?;
            let key = Raw::from_json_string(json).map_err(|_| damaged("key_json"))?;
            keys.insert(device, BTreeMap::from([(id, key)]));
        }
        if !keys.is_empty() {
            // Its devices read how many keys are left.
            transaction.touch(&user);
            claimed.insert(user, keys);
        }
    }
    Ok(claimed)
}
