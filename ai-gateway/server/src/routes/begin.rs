//! How an answer begins: what a request says is decoded, and a reply's first step is awaited.

use std::time::Duration;

use ai_gateway_api::chat::DecodeError;
use tokio::{task::spawn_blocking, time::timeout};

use super::{Body, whole};
use crate::{
    Error, bodies,
    chat::{Listener, Step},
};

/// Decodes a body: a large one, with images say, on a thread where it holds up nobody else's tokens.
pub(super) async fn decoded<T: Send + 'static>(
    body: Body,
    decode: fn(&[u8]) -> Result<T, DecodeError>,
) -> Result<T, Error> {
    let body = whole(body)?;
    if body.len() <= bodies::SMALL {
        return Ok(decode(&body)?);
    }
    // It ends early only if the runtime does.
    let decoded = spawn_blocking(move || decode(&body)).await.map_err(|_| Error::Busy)?;
    Ok(decoded?)
}

/// The name of the model that answers; `None` if it did not within `patience`. What went wrong until then is an error,
/// which may still be a status.
pub(super) async fn model(
    listener: &mut Listener,
    patience: Option<Duration>,
) -> Result<Option<String>, Error> {
    let step = match patience {
        None => listener.next().await,
        Some(patience) => match timeout(patience, listener.next()).await {
            Ok(step) => step,
            Err(_) => return Ok(None),
        },
    };
    match step {
        Some(Step::Model(model)) => Ok(Some(model.to_string())),
        Some(Step::Failed(failure)) => Err(failure.into()),
        Some(Step::Refused(exceeded)) => Err(Error::Exceeded(exceeded)),
        Some(Step::Delta(_)) | None => Ok(Some(String::new())),
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use super::*;

    #[tokio::test]
    async fn a_large_body_is_decoded_on_another_thread_and_a_small_one_here() {
        let decode: fn(&[u8]) -> Result<ThreadId, DecodeError> = |_| Ok(thread::current().id());
        let on = async |bytes| decoded(Ok(vec![b' '; bytes].into()), decode).await.unwrap();
        let here = thread::current().id();
        assert_eq!(on(bodies::SMALL).await, here);
        assert_ne!(on(bodies::SMALL + 1).await, here);
    }
}
