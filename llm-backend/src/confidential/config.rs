//! A deployment's configuration: fetched from auth, and used only as far as the pinned identity stands behind it.

use std::{sync::Arc, time::Duration};

use attestation::{Effective, Pin, Seen as Mark};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use common::wire::Fixed;
use confidential_api::{
    bundle::Bundle,
    certificate::Certificate,
    config::{Config, KeySource},
    names::{DOCUMENT_MAX, header, path},
    signed::{Signed, SignedError},
};
use confidential_envelope::ohttp::KeyConfig;
use http::Method;
use sha2::{Digest as _, Sha256};
use tokio::{sync::Mutex, time::Instant};

use super::{memory::Memory, now_ms, untrusted};
use crate::{Error, link::Link};

/// How long a configuration is used before it is fetched again.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// How long after a fetch that failed the next one is tried, while there is an older configuration.
const AGAIN: Duration = Duration::from_secs(10);

/// What the configuration says, verified.
#[derive(Debug)]
pub(crate) struct Known {
    keys: Vec<Key>,
    pub(crate) policy: Effective,
}

/// A key of the gateway.
#[derive(Debug)]
struct Key {
    config: KeyConfig,
    active_from: u64,
    active_until: u64,
}

impl Known {
    /// The key to seal with at `now`: of those that are active the newest.
    pub(crate) fn key(&self, now: u64) -> Option<&KeyConfig> {
        let active = |key: &&Key| (key.active_from..key.active_until).contains(&now);
        self.keys.iter().filter(active).max_by_key(|key| key.active_from).map(|key| &key.config)
    }
}

/// The way to it, and what was fetched last.
pub(crate) struct Configuration {
    name: String,
    auth: Link,
    pin: Pin,
    shared_seeds: bool,
    memory: Arc<dyn Memory>,
    /// Held while it is fetched, so that it is fetched once.
    last: Mutex<Option<Last>>,
}

struct Last {
    known: Arc<Known>,
    /// When it is fetched again.
    due: Instant,
}

/// A document cannot be used: its code, and a sentence.
type Refused = (&'static str, &'static str);

impl Configuration {
    pub(crate) fn new(
        name: String,
        auth: Link,
        pin: Pin,
        shared_seeds: bool,
        memory: Arc<dyn Memory>,
    ) -> Self {
        Self { name, auth, pin, shared_seeds, memory, last: Mutex::default() }
    }

    /// What holds now. While a new one cannot be had, the one before goes on for as long as its keys are active.
    pub(crate) async fn current(&self) -> Result<Arc<Known>, Error> {
        let mut last = self.last.lock().await;
        let Some(Last { known, due }) = last.as_mut() else {
            return self.fetch(&mut last).await;
        };
        let known = Arc::clone(known);
        let works = known.key(now_ms()).is_some();
        if works && Instant::now() < *due {
            return Ok(known);
        }
        match self.fetch(&mut last).await {
            Err(error) if works => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the configuration before stays in use");
                *last = Some(Last { known: Arc::clone(&known), due: Instant::now() + AGAIN });
                Ok(known)
            }
            fetched => fetched,
        }
    }

    /// A newer one than `known`, which does not serve.
    pub(crate) async fn fetch_after(&self, known: &Arc<Known>) -> Result<Arc<Known>, Error> {
        let mut last = self.last.lock().await;
        match &*last {
            // Somebody else fetched it meanwhile.
            Some(newer) if !Arc::ptr_eq(&newer.known, known) => Ok(Arc::clone(&newer.known)),
            Some(_) | None => self.fetch(&mut last).await,
        }
    }

    async fn fetch(&self, last: &mut Option<Last>) -> Result<Arc<Known>, Error> {
        let refused = |(code, reason)| untrusted(&self.name, code, reason);
        let limit = Duration::from_secs(10);
        let answer = self.auth.ask(Method::GET, path::CONFIG, None, limit).await?;
        if !answer.status.is_success() {
            return Err(self.auth.refused(answer.status, "it has no configuration"));
        }
        let text = |name: &str| answer.headers.get(name)?.to_str().ok().map(str::to_owned);
        let (signature, certificate) = (text(header::SIGNATURE), text(header::CERTIFICATE));
        let body = self.auth.whole(answer, DOCUMENT_MAX).await?;
        let signed = signed(body, signature, certificate).map_err(refused)?;
        let known = Arc::new(self.read(&signed, now_ms()).map_err(refused)?);
        *last = Some(Last { known: Arc::clone(&known), due: Instant::now() + FRESH });
        Ok(known)
    }

    /// Verifies a configuration and what is in it, and keeps what was seen.
    fn read(&self, signed: &Signed<Config>, now: u64) -> Result<Known, Refused> {
        let config = signed.verify(&self.pin.identity, now).map_err(|it| config_code(&it))?;
        if !config.features.ohttp || !config.features.real_attestation {
            return Err((
                "downgraded",
                "the deployment publishes that it does without sealing or evidence",
            ));
        }
        let before = self.memory.seen();
        let mut seen = before;
        let rolled_back = (
            "config-rolled-back",
            "an older configuration than the one that was seen is published",
        );
        seen.config =
            Some(follow(before.config, config.epoch, &signed.payload).ok_or(rolled_back)?);
        let keys = match config.key_source {
            KeySource::Gateway => {
                let bundle = config.bundle.as_ref().ok_or(MALFORMED)?;
                let keys = bundle.verify(&self.pin.identity, now).map_err(|it| bundle_code(&it))?;
                let rolled_back =
                    ("bundle-rolled-back", "older keys than those that were seen are published");
                let mark = follow(before.bundle, keys.epoch, &bundle.payload).ok_or(rolled_back)?;
                seen.bundle = Some(mark);
                from_bundle(&keys)?
            }
            KeySource::Seeds if !self.shared_seeds => {
                return Err((
                    "shared-seeds",
                    "auth could make the gateway's keys, and shared_seeds in gateway.toml does not allow that",
                ));
            }
            KeySource::Seeds => from_list(&config)?,
        };
        let images = config.attestation.allowed_images;
        let policy = Effective::new(self.pin.clone(), images, before.policy.as_ref(), now)
            .map_err(|refused| (refused.code.as_str(), refused.code.sentence()))?;
        seen.policy = Some(policy.seen());
        let wider = policy.wider_than_pin();
        if !wider.is_empty() {
            let names = wider.join(", ");
            tracing::warn!(
                deployment = self.name,
                names,
                "policy-wider-than-pin: these are not taken"
            );
        }
        if seen != before {
            let kept = self.memory.keep(seen);
            kept.map_err(|_| {
                ("not-kept", "what was seen of the deployment cannot be stored here")
            })?;
        }
        Ok(Known { keys, policy })
    }
}

const MALFORMED: Refused = ("config-malformed", "the deployment's configuration is not one");

/// The configuration, with the signature and the certificate of its headers.
fn signed(
    body: Vec<u8>,
    signature: Option<String>,
    certificate: Option<String>,
) -> Result<Signed<Config>, Refused> {
    let unsigned = ("config-signature", "the configuration has no signature");
    let signature = URL_SAFE_NO_PAD.decode(signature.ok_or(unsigned)?).map_err(|_| unsigned)?;
    let signature = Fixed(signature.try_into().map_err(|_| unsigned)?);
    let certificate = Signed::<Certificate>::from_header(&certificate.ok_or(unsigned)?);
    let certificate = certificate.map_err(|it| config_code(&it))?;
    let payload = String::from_utf8(body).map_err(|_| MALFORMED)?;
    Ok(Signed::from_parts(payload, signature, Some(certificate)))
}

/// What to keep of a document, if it may follow what was seen.
fn follow(before: Option<Mark>, epoch: u64, payload: &str) -> Option<Mark> {
    let mark = Mark { epoch, digest: Fixed(Sha256::digest(payload).into()) };
    before.is_none_or(|before| epoch > before.epoch || mark == before).then_some(mark)
}

fn from_bundle(bundle: &Bundle) -> Result<Vec<Key>, Refused> {
    let malformed = ("bundle-malformed", "a key of the gateway is none");
    let key = |key: &confidential_api::bundle::BundleKey| {
        let config = KeyConfig::decode(&key.config.0).map_err(|_| malformed)?;
        Ok(Key { config, active_from: key.active_from, active_until: key.active_until })
    };
    bundle.keys.iter().map(key).collect()
}

/// The keys of the readers that know no bundle, with their times.
fn from_list(config: &Config) -> Result<Vec<Key>, Refused> {
    let configs = KeyConfig::decode_list(&config.ohttp_key_configs_bundle);
    let configs =
        configs.map_err(|_| ("bundle-malformed", "the list of the gateway's keys is none"))?;
    let keys = configs.into_iter().filter_map(|it| {
        let id = it.key_id();
        let period = config.ohttp_key_rotation_periods.iter().find(|period| period.key_id == id)?;
        let (active_from, active_until) = (period.active_from, period.active_until);
        Some(Key { config: it, active_from, active_until })
    });
    Ok(keys.collect())
}

fn config_code(error: &SignedError) -> Refused {
    match error {
        SignedError::Malformed { .. }
        | SignedError::Impossible { .. }
        | SignedError::TooLong(_) => MALFORMED,
        SignedError::Signature(_) => (
            "config-signature",
            "the configuration is not signed by the identity that this home pinned",
        ),
        SignedError::Certificate(_) | SignedError::CertifiedForElse(_) => (
            "config-certificate",
            "the configuration is signed by a key that the deployment certified for something else, or not at all",
        ),
        SignedError::CertificateTime { .. } => (
            "certificate-time",
            "the certificate of the configuration is not valid now; is this machine's clock right?",
        ),
    }
}

fn bundle_code(error: &SignedError) -> Refused {
    match error {
        SignedError::Malformed { .. }
        | SignedError::Impossible { .. }
        | SignedError::TooLong(_) => ("bundle-malformed", "the gateway's keys cannot be read"),
        SignedError::Signature(_)
        | SignedError::Certificate(_)
        | SignedError::CertifiedForElse(_) => (
            "bundle-signature",
            "the gateway's keys are not signed by whom the deployment certified",
        ),
        SignedError::CertificateTime { .. } => (
            "certificate-time",
            "the certificate of the gateway's keys is not valid now; is this machine's clock right?",
        ),
    }
}
