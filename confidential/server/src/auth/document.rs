//! The configuration document: content, epoch, signature.

use std::path::{Path, PathBuf};

use axum::http::HeaderValue;
use bytes::Bytes;
use chassis::{
    durable::Access,
    pem::{self, FileError},
    state::Format,
};
use common::wire::Fixed;
use confidential_api::{
    bundle::{Bundle, BundleKey},
    certificate::{Certificate, Use},
    config::{Attestation, Config, ConfigVersion, Features, Period},
    policy::Policy,
    settings::auth::Settings,
    signed::{Document as _, PublicKey, Signed, SignedError},
};
use confidential_envelope::ohttp::KeyConfig;
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{Error, gateway::ring::ScheduledKey, http::upstream, signing, state};

/// The state file, below the state folder.
const FILE: &str = "config.json";
const FORMAT: Format<StoredState> = Format::new(1).access(Access::SECRET);

/// The stored state, so that epochs never decrease and are never used for two documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredState {
    epoch: u64,
    /// SHA-256 of the document of that epoch, without the epoch.
    digest: Fixed<32>,
    /// The highest epoch of the gateway's bundles.
    bundle_epoch: u64,
}

/// A signed configuration, ready to be sent.
pub(crate) struct SignedConfig {
    pub(crate) body: Bytes,
    pub(crate) signature: HeaderValue,
    pub(crate) certificate: HeaderValue,
}

/// Makes and signs configurations.
pub(super) struct Documents {
    path: PathBuf,
    kept: Option<StoredState>,
    identity: PublicKey,
    key: SigningKey,
    certificate: Signed<Certificate>,
    /// The content of the certificate.
    certified: Certificate,
    /// The configuration without keys and epoch.
    template: Config,
    seeds: Vec<ScheduledKey>,
    /// The digest of the configuration that is served.
    served: Option<Fixed<32>>,
}

impl Documents {
    pub(super) fn open(root: &Path, settings: &Settings) -> Result<Self, Error> {
        let identity = settings.identity.ok_or(Error::Setting(
            "set `identity` to the deployment's identity, which `deployment init` printed",
        ))?;
        let usable = |url: &String| url.starts_with("https://") && upstream::check(url).is_some();
        if settings.relay_urls.is_empty() || !settings.relay_urls.iter().all(usable) {
            return Err(Error::Setting(
                "set `relay_urls` to the https:// URLs of one or more relays",
            ));
        }
        if upstream::check(&settings.router_url).is_none() {
            return Err(Error::Setting("set `router_url` to the https:// URL of the router"));
        }
        let folder = root.join(&settings.state);
        state::state_folder(&folder)?;
        let path = folder.join(FILE);
        let kept = FORMAT.read(&path)?;
        let key = signing::read(&root.join(&settings.config_key))?;
        let place = root.join(&settings.config_certificate);
        let (certificate, certified) = signing::certificate(&place, &key)?;
        certificate.verify(&identity, 0)?;
        if certified.usage != Use::Config {
            return Err(FileError::new(&place, "it is not a certificate for `config`").into());
        }
        let place = root.join(&settings.policy);
        let policy = Signed::<Policy>::parse(&pem::contents(&place)?)?;
        let policy_id = policy.verify(&identity, 0)?.policy_id;
        let template = Config {
            version: ConfigVersion,
            features: Features { ohttp: true, real_attestation: true },
            relay_urls: settings.relay_urls.clone(),
            gateway_url: settings.gateway.url.clone(),
            router_url: settings.router_url.clone(),
            ohttp_key_configs_bundle: Vec::new(),
            ohttp_key_rotation_periods: Vec::new(),
            attestation: Attestation {
                policy_id,
                allowed_images: policy,
                verifier_hints: settings.verifier_hints.clone(),
            },
            epoch: 0,
            key_source: settings.key_source,
            bundle: None,
        };
        let (seeds, served) = (Vec::new(), None);
        Ok(Self { path, kept, identity, key, certificate, certified, template, seeds, served })
    }

    /// Uses keys that were derived from seeds.
    pub(super) fn derive_from(&mut self, seeds: Vec<ScheduledKey>) {
        self.seeds = seeds;
    }

    /// Makes the configuration with these keys; `None` if it is the one that is served.
    pub(super) fn make(
        &mut self,
        bundle: Option<Signed<Bundle>>,
        now_ms: u64,
    ) -> Result<Option<SignedConfig>, Error> {
        let (keys, bundle_epoch) = match &bundle {
            Some(bundle) => {
                let inside = bundle.verify(&self.identity, now_ms)?;
                (inside.keys, inside.epoch)
            }
            None => (self.seeds.iter().map(ScheduledKey::published).collect(), 0),
        };
        if self.kept.is_some_and(|kept| bundle_epoch < kept.bundle_epoch && bundle.is_some()) {
            return Err(Error::Reason(
                "the gateway's bundle is older than one that was served: restore the gateway's state",
            ));
        }
        let keys: Vec<_> = keys.into_iter().filter(|key| now_ms < key.active_until).collect();
        let mut config = Config {
            ohttp_key_configs_bundle: list(&keys)?,
            ohttp_key_rotation_periods: keys.iter().map(period).collect(),
            bundle,
            ..self.template.clone()
        };
        let digest = digest(&config)?;
        if self.served == Some(digest) {
            return Ok(None);
        }
        let kept = self.epoch(digest, bundle_epoch, now_ms)?;
        config.epoch = kept.epoch;
        let certificate = Some(self.certificate.clone());
        let signed = Signed::sign(&config, &self.key, certificate)?;
        // Verified as clients do, before the epoch is stored.
        signed.verify(&self.identity, now_ms)?;
        if self.kept != Some(kept) {
            FORMAT.write(&self.path, &kept)?;
            self.kept = Some(kept);
        }
        tracing::info!(epoch = config.epoch, "a new configuration is served");
        self.served = Some(digest);
        Ok(Some(SignedConfig {
            signature: value(&signed.signature.to_string()),
            certificate: value(&self.certificate.to_header()),
            body: signed.payload.into(),
        }))
    }

    /// The state with this digest: the last one if it has the digest, else one with the next epoch.
    fn epoch(
        &self,
        digest: Fixed<32>,
        bundle_epoch: u64,
        now_ms: u64,
    ) -> Result<StoredState, Error> {
        let epochs = self.certified.epochs();
        let is_same = |kept: &StoredState| kept.digest == digest && epochs.contains(&kept.epoch);
        Ok(match self.kept {
            Some(kept) if is_same(&kept) => kept,
            before => {
                let (last, bundles) = before.map_or((0, 0), |it| (it.epoch, it.bundle_epoch));
                let epoch = signing::next_epoch(last, &self.path, &self.certified, now_ms)?;
                StoredState { epoch, digest, bundle_epoch: bundle_epoch.max(bundles) }
            }
        })
    }
}

fn list(keys: &[BundleKey]) -> Result<Vec<u8>, Error> {
    let decoded: Result<Vec<_>, _> =
        keys.iter().map(|key| KeyConfig::decode(&key.config.0)).collect();
    Ok(KeyConfig::encode_list(
        &decoded
            .map_err(|_| Error::Reason("the gateway's bundle has a key that cannot be read"))?,
    ))
}

fn period(key: &BundleKey) -> Period {
    Period { key_id: key.key_id, active_from: key.active_from, active_until: key.active_until }
}

fn digest(config: &Config) -> Result<Fixed<32>, Error> {
    let text = serde_json::to_vec(config).map_err(|error| {
        SignedError::Malformed(Config::KIND, common::wire::DecodeError::Json(error))
    })?;
    Ok(Fixed(Sha256::digest(text).into()))
}

/// A header value of base64url, which is always valid.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
