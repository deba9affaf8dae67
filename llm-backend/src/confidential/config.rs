//! A deployment's configuration, fetched from auth and verified against the pinned identity.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use attestation::{DocumentVersion, EffectivePolicy, Pin};
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
use tokio::{
    task::spawn_blocking,
    time::{Instant, timeout},
};

use super::{clock::now_ms, memory::SeenStore, once::SingleFlight};
use crate::{Error, link::Client};

/// Refresh interval of the configuration.
pub(crate) const FRESH: Duration = Duration::from_secs(10 * 60);
/// Delay after a failed fetch while an older configuration is usable.
const AGAIN: Duration = Duration::from_secs(10);

/// A verified configuration.
#[derive(Debug)]
pub(crate) struct VerifiedConfig {
    keys: Vec<Key>,
    pub(crate) policy: EffectivePolicy,
}

/// A key of the gateway.
#[derive(Debug)]
struct Key {
    config: KeyConfig,
    active_from: u64,
    active_until: u64,
}

impl VerifiedConfig {
    /// Whether it is usable at `now`: a key is active, and the policy has not expired.
    fn is_usable(&self, now: u64) -> bool {
        self.key(now).is_some() && now < self.policy.policy().not_after
    }

    /// The newest key that is active at `now`.
    pub(crate) fn key(&self, now: u64) -> Option<&KeyConfig> {
        let active = |key: &&Key| (key.active_from..key.active_until).contains(&now);
        self.keys.iter().filter(active).max_by_key(|key| key.active_from).map(|key| &key.config)
    }
}

/// The connection to auth, and the last configuration.
pub(crate) struct Configuration {
    name: String,
    auth: Client,
    pin: Pin,
    shared_seeds: bool,
    memory: Arc<dyn SeenStore>,
    times: RefreshTimes,
    last: Mutex<Option<CachedConfig>>,
    fetching: SingleFlight<Arc<VerifiedConfig>>,
}

/// Times of fetching.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefreshTimes {
    /// Refresh interval.
    pub(crate) fresh: Duration,
    /// Timeout of a fetch.
    pub(crate) patience: Duration,
}

struct CachedConfig {
    known: Arc<VerifiedConfig>,
    /// When it is due for a refresh.
    due: Instant,
}

/// Why a document is rejected: a code and a sentence.
type Rejection = (&'static str, &'static str);

impl Configuration {
    pub(crate) fn new(
        name: String,
        auth: Client,
        pin: Pin,
        shared_seeds: bool,
        memory: Arc<dyn SeenStore>,
        times: RefreshTimes,
    ) -> Self {
        let (last, fetching) = (Mutex::default(), SingleFlight::default());
        Self { name, auth, pin, shared_seeds, memory, times, last, fetching }
    }

    /// The current configuration. It is refreshed in the background and used until a new one is available; a request
    /// waits only if none is usable.
    pub(crate) async fn current(self: &Arc<Self>) -> Result<Arc<VerifiedConfig>, Error> {
        let usable = {
            let last = self.lock();
            let usable = last.as_ref().filter(|last| last.known.is_usable(now_ms()));
            usable.map(|last| (Arc::clone(&last.known), last.due <= Instant::now()))
        };
        let Some((known, due)) = usable else { return self.fetched().await };
        if due {
            self.fetching.begin(|| Arc::clone(self).fetch());
        }
        Ok(known)
    }

    /// A configuration with another key than `known`, whose key the gateway rejects; or the published one, if it has
    /// the same key.
    pub(crate) async fn fetch_after(
        self: &Arc<Self>,
        known: &VerifiedConfig,
    ) -> Result<Arc<VerifiedConfig>, Error> {
        // A fetch in progress may have started before the keys changed.
        self.fetching.idle().await;
        let (now, last) = (now_ms(), self.lock().as_ref().map(|last| Arc::clone(&last.known)));
        match last.filter(|last| last.is_usable(now) && last.key(now) != known.key(now)) {
            Some(newer) => Ok(newer),
            None => self.fetched().await,
        }
    }

    /// Fetches it, once for all waiting requests.
    async fn fetched(self: &Arc<Self>) -> Result<Arc<VerifiedConfig>, Error> {
        self.fetching.outcome(|| Arc::clone(self).fetch(), || self.auth.silent()).await
    }

    async fn fetch(self: Arc<Self>) -> Result<Arc<VerifiedConfig>, Error> {
        let signed = timeout(self.times.patience, self.ask()).await;
        let known = match signed.unwrap_or_else(|_| Err(self.auth.silent())) {
            Ok(signed) => Arc::clone(&self).take(signed).await,
            Err(error) => Err(error),
        };
        let mut last = self.lock();
        match &known {
            Ok(known) => {
                *last = Some(CachedConfig {
                    known: Arc::clone(known),
                    due: Instant::now() + self.times.fresh,
                });
            }
            Err(error) => {
                if let Some(last) = last.as_mut() {
                    last.due = Instant::now() + AGAIN;
                }
                let error = error as &dyn std::error::Error;
                tracing::warn!(
                    deployment = self.name,
                    error,
                    "the configuration could not be refreshed"
                );
            }
        }
        known
    }

    /// Fetches auth's document.
    async fn ask(&self) -> Result<Signed<Config>, Error> {
        let answer = self.auth.ask(Method::GET, path::CONFIG, None, self.times.patience).await?;
        if !answer.status.is_success() {
            return Err(self.auth.refused(answer.status, "it returned no configuration"));
        }
        let text = |name: &str| answer.headers.get(name)?.to_str().ok().map(str::to_owned);
        let (signature, certificate) = (text(header::SIGNATURE), text(header::CERTIFICATE));
        let body = self.auth.whole(answer, DOCUMENT_MAX).await?;
        signed(body, signature, certificate).map_err(|(code, reason)| self.refused(code, reason))
    }

    /// Verifies the document and stores what was seen, on a blocking thread.
    async fn take(self: Arc<Self>, signed: Signed<Config>) -> Result<Arc<VerifiedConfig>, Error> {
        let this = Arc::clone(&self);
        match spawn_blocking(move || this.read(&signed, now_ms())).await {
            Ok(Ok(known)) => Ok(Arc::new(known)),
            Ok(Err((code, reason))) => Err(self.refused(code, reason)),
            Err(_) => Err(self.auth.silent()),
        }
    }

    fn refused(&self, code: &'static str, reason: &'static str) -> Error {
        Error::untrusted(&self.name, code, reason)
    }

    fn lock(&self) -> MutexGuard<'_, Option<CachedConfig>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Verifies a configuration and its contents, and stores what was seen.
    fn read(&self, signed: &Signed<Config>, now: u64) -> Result<VerifiedConfig, Rejection> {
        let config = signed.verify(&self.pin.identity, now).map_err(|it| config_code(&it))?;
        if !config.features.ohttp || !config.features.real_attestation {
            return Err((
                "downgraded",
                "the deployment declares that it works without sealing or evidence",
            ));
        }
        let before = self.memory.seen();
        let mut seen = before;
        let rolled_back =
            ("config-rolled-back", "the published configuration is older than one seen before");
        seen.config =
            Some(follow(before.config, config.epoch, &signed.payload).ok_or(rolled_back)?);
        let keys = match config.key_source {
            KeySource::Gateway => {
                let bundle = config.bundle.as_ref().ok_or(MALFORMED)?;
                let keys = bundle.verify(&self.pin.identity, now).map_err(|it| bundle_code(&it))?;
                let rolled_back =
                    ("bundle-rolled-back", "the published keys are older than keys seen before");
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
        let policy = EffectivePolicy::new(self.pin.clone(), images, before.policy.as_ref(), now)
            .map_err(|refused| (refused.code.as_str(), refused.code.sentence()))?;
        seen.policy = Some(policy.seen());
        let wider = policy.wider_than_pin();
        if !wider.is_empty() {
            let names = wider.join(", ");
            tracing::warn!(
                deployment = self.name,
                names,
                "policy-wider-than-pin: these are not accepted"
            );
        }
        if seen != before {
            let kept = self.memory.keep(seen);
            kept.map_err(|_| {
                ("not-kept", "the record of the deployment's documents cannot be stored")
            })?;
        }
        Ok(VerifiedConfig { keys, policy })
    }
}

const MALFORMED: Rejection = ("config-malformed", "the deployment's configuration is malformed");

/// The configuration with the signature and certificate of its headers.
fn signed(
    body: Vec<u8>,
    signature: Option<String>,
    certificate: Option<String>,
) -> Result<Signed<Config>, Rejection> {
    let unsigned = ("config-signature", "the configuration has no signature");
    let signature = URL_SAFE_NO_PAD.decode(signature.ok_or(unsigned)?).map_err(|_| unsigned)?;
    let signature = Fixed(signature.try_into().map_err(|_| unsigned)?);
    let certificate = Signed::<Certificate>::from_header(&certificate.ok_or(unsigned)?);
    let certificate = certificate.map_err(|it| config_code(&it))?;
    let payload = String::from_utf8(body).map_err(|_| MALFORMED)?;
    Ok(Signed::from_parts(payload, signature, Some(certificate)))
}

/// The record of a document, if it may follow the one seen before.
fn follow(before: Option<DocumentVersion>, epoch: u64, payload: &str) -> Option<DocumentVersion> {
    let mark = DocumentVersion { epoch, digest: Fixed(Sha256::digest(payload).into()) };
    before.is_none_or(|before| epoch > before.epoch || mark == before).then_some(mark)
}

fn from_bundle(bundle: &Bundle) -> Result<Vec<Key>, Rejection> {
    let malformed = ("bundle-malformed", "a key of the gateway is malformed");
    let key = |key: &confidential_api::bundle::BundleKey| {
        let config = KeyConfig::decode(&key.config.0).map_err(|_| malformed)?;
        Ok(Key { config, active_from: key.active_from, active_until: key.active_until })
    };
    bundle.keys.iter().map(key).collect()
}

/// The keys for readers without bundles, with their validity.
fn from_list(config: &Config) -> Result<Vec<Key>, Rejection> {
    let configs = KeyConfig::decode_list(&config.ohttp_key_configs_bundle);
    let configs =
        configs.map_err(|_| ("bundle-malformed", "the list of the gateway's keys is malformed"))?;
    let keys = configs.into_iter().filter_map(|it| {
        let id = it.key_id();
        let period = config.ohttp_key_rotation_periods.iter().find(|period| period.key_id == id)?;
        let (active_from, active_until) = (period.active_from, period.active_until);
        Some(Key { config: it, active_from, active_until })
    });
    Ok(keys.collect())
}

fn config_code(error: &SignedError) -> Rejection {
    match error {
        SignedError::Malformed(..) | SignedError::Invalid(..) | SignedError::TooLong(_) => {
            MALFORMED
        }
        SignedError::Signature(_) => {
            ("config-signature", "the configuration is not signed by the pinned identity")
        }
        SignedError::Certificate(_) | SignedError::CertifiedForElse(_) => (
            "config-certificate",
            "the configuration is signed by a key without a certificate for it",
        ),
        SignedError::CertificateTime { .. } => (
            "certificate-time",
            "the certificate of the configuration is not valid now; is this machine's clock right?",
        ),
    }
}

fn bundle_code(error: &SignedError) -> Rejection {
    match error {
        SignedError::Malformed(..) | SignedError::Invalid(..) | SignedError::TooLong(_) => {
            ("bundle-malformed", "the gateway's keys cannot be read")
        }
        SignedError::Signature(_)
        | SignedError::Certificate(_)
        | SignedError::CertifiedForElse(_) => {
            ("bundle-signature", "the gateway's keys are not signed by a certified key")
        }
        SignedError::CertificateTime { .. } => (
            "certificate-time",
            "the certificate of the gateway's keys is not valid now; is this machine's clock right?",
        ),
    }
}
