//! `/keys/signatures/upload`: a person signs own devices, the own identity, or somebody else's.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::State;
use futures_util::FutureExt as _;
use ruma::{
    UserId,
    api::client::keys::upload_signatures::v3::{Failure, Request, Response},
};
use serde_json::json;
use sqlx::AnyConnection;
use telmeet_core::keys::signed::{Signature, SignedObject};

use super::{device_lists, rows};
use crate::{
    error::Error,
    homeserver::{Homeserver, Transaction},
    matrix::{Reply, Ruma},
    session::Session,
};

/// Most keys of one request.
const KEYS_MAX: usize = 1_000;

/// Why a signature is not stored.
struct Refusal(&'static str, &'static str);

const UNKNOWN: Refusal = Refusal("M_NOT_FOUND", "this person has no such device or key");
const INVALID: Refusal =
    Refusal("M_INVALID_SIGNATURE", "the key is another one, or you did not sign it");

/// Signatures that are refused are named in the answer; the others are stored.
pub(super) async fn upload(
    State(homeserver): State<Arc<Homeserver>>,
    session: Session,
    Ruma(request): Ruma<Request>,
) -> Result<Reply<Response>, Error> {
    let count = request.signed_keys.values().map(|keys| keys.iter().count()).sum::<usize>();
    if count > KEYS_MAX {
        return Err(Error::invalid(format!("at most {KEYS_MAX} keys are signed at once")));
    }
    let written = homeserver.write(move |transaction| {
        async move { store(transaction, &session.user, &request).await }.boxed()
    });
    Ok(Reply(written.await?))
}

async fn store(
    transaction: &mut Transaction,
    signer: &UserId,
    request: &Request,
) -> Result<Response, Error> {
    let mut response = Response::new();
    for (user, keys) in &request.signed_keys {
        let (mut is_changed, mut failures) = (false, BTreeMap::new());
        for (target, key) in keys {
            let connection = transaction.connection();
            let signatures = match SignedObject::parse(key.get().as_bytes()) {
                Ok(object) => accept(connection, signer, user, target, &object).await?,
                Err(_) => Err(INVALID),
            };
            match signatures {
                Ok(signatures) => {
                    for signature in signatures {
                        is_changed |=
                            rows::add_signature(connection, user, target, signature).await?;
                    }
                }
                Err(refusal) => drop(failures.insert(target.to_owned(), failure(&refusal)?)),
            }
        }
        if is_changed && user == signer {
            device_lists::changed(transaction, user).await?;
        } else if is_changed {
            device_lists::changed_for(transaction, user, signer).await?;
        }
        if !failures.is_empty() {
            response.failures.insert(user.clone(), failures);
        }
    }
    Ok(response)
}

/// The signatures of a key that are stored: those that `signer` may make of it, and that are valid.
async fn accept(
    connection: &mut AnyConnection,
    signer: &UserId,
    user: &UserId,
    target: &str,
    object: &SignedObject,
) -> Result<Result<Vec<Signature>, Refusal>, Error> {
    let identity = rows::identity(&mut *connection, user).await?;
    let master = identity.master.filter(|key| key.public() == target);
    let own_devices = rows::devices(&mut *connection, signer).await?;
    let (stored, keys) = match master {
        Some(master) if user == signer => {
            let key = |(device, keys, _): &(_, telmeet_core::keys::device::DeviceKeys, _)| {
                (format!("ed25519:{device}"), keys.ed25519().to_owned())
            };
            (master.object().clone(), own_devices.iter().map(key).collect())
        }
        Some(master) => {
            let own = rows::identity(connection, signer).await?.user_signing;
            let keys: Vec<_> =
                own.map(|key| (key.key_id(), key.public().to_owned())).into_iter().collect();
            (master.object().clone(), keys)
        }
        None => {
            let device = own_devices.into_iter().find(|(device, ..)| device == target);
            let Some((_, keys, _)) = device.filter(|_| user == signer) else {
                return Ok(Err(UNKNOWN));
            };
            let own = identity.self_signing;
            let own: Vec<_> =
                own.map(|key| (key.key_id(), key.public().to_owned())).into_iter().collect();
            (keys.object().clone(), own)
        }
    };
    let mut signatures = Vec::new();
    if stored.is_same_but_signatures(object) {
        signatures = object.valid_signatures(signer, &keys);
    }
    Ok(if signatures.is_empty() { Err(INVALID) } else { Ok(signatures) })
}

fn failure(Refusal(code, text): &Refusal) -> Result<Failure, Error> {
    let failure = serde_json::from_value(json!({"errcode": code, "error": text}));
    failure.map_err(|_| Error::invalid("a signature is refused"))
}
