//! A certificate from an authority that is asked for it: ACME (RFC 8555), proved by TLS-ALPN-01 (RFC 8737) on the port for
//! everyone.
//!
//! ```text
//!   no certificate ── ordered ──▶ shown ── two thirds of its life are over ──▶ ordered anew
//!        ▲               │          ▲                                           │ refused: tried
//!        └─ refused: ────┘          └───────────── the old one stays ───────────┘ again later
//!           tried again later
//! ```
//!
//! Meanwhile everything is answered that needs no certificate: the coordinator's life does not hang on an authority.

use std::{
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use chassis::{
    durable::{self, Access},
    pem::{self, Validity},
    state::{Format, StateError},
};
use coordinator_api::settings;
use coordinator_core::time::{Millis, to_rfc3339};
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::{
    crypto::aws_lc_rs,
    pki_types::PrivateKeyDer,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::certificate;
use crate::{clock, random};

/// The protocol by which the authority asks for the proof (RFC 8737, section 6.2).
pub(super) const ALPN: &[u8] = b"acme-tls/1";
/// How long an order may take, from its beginning to the certificate.
const ORDER_TIME: Duration = Duration::from_secs(120);
/// Wait after the first order that failed; doubles with each further one.
const RETRY_MIN: Duration = Duration::from_secs(60);
/// Longest wait after an order that failed.
const RETRY_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// Longest wait until the clock is looked at again: a machine may sleep meanwhile.
const LOOK: Duration = Duration::from_secs(60 * 60);

const ACCOUNT: Format<StoredAccount> =
    Format::new(1).remedy("remove it, and another account is made at the authority");

/// The account at the authority.
#[derive(Serialize, Deserialize)]
struct StoredAccount {
    /// Whose it is.
    directory: String,
    credentials: AccountCredentials,
}

/// Why there is no new certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum AcmeError {
    /// The authority cannot be talked to.
    #[error(
        "cannot talk to the certificate authority at {directory}: correct `directory` and `ca` under [tls.acme] in \
         coordinator.toml, or look at this machine's way to the Internet"
    )]
    Unreachable {
        /// Its URL.
        directory: String,
        /// What failed.
        source: instant_acme::Error,
    },
    /// It does not believe us, or does not issue certificates for this name.
    #[error(
        "the certificate authority at {directory} issued no certificate for {host}: {reason}; TCP port 443 of {host} \
         has to lead to `listen` in coordinator.toml"
    )]
    Refused {
        /// Its URL.
        directory: String,
        /// The name.
        host: String,
        /// Its words.
        reason: String,
    },
    /// It took too long.
    #[error("the certificate authority at {0} was too slow: try again later")]
    Slow(String),
    /// What it issued, or the key for it, is of no use.
    #[error("the certificate that the authority issued cannot be used")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The account or the certificate cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// A file.
    #[error(transparent)]
    File(#[from] pem::FileError),
}

/// A certificate, and how long it holds.
#[derive(Clone, Debug)]
struct IssuedCertificate {
    certified: Arc<CertifiedKey>,
    life: Validity,
}

/// The certificate for one host.
pub(super) struct Acme {
    settings: settings::Acme,
    ca: Option<PathBuf>,
    host: String,
    folder: PathBuf,
    issued: RwLock<Option<IssuedCertificate>>,
    /// The proof that the authority is about to ask for.
    proof: RwLock<Option<Arc<CertifiedKey>>>,
}

impl fmt::Debug for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acme").field("host", &self.host).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Acme {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if asks(&hello) {
            return self.proof.read().unwrap_or_else(PoisonError::into_inner).clone();
        }
        Some(self.issued()?.certified)
    }
}

/// Whether an authority asks for the proof.
pub(super) fn asks(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut all| all.any(|name| name == ALPN))
}

impl Acme {
    /// Reads the certificate that was issued last, if it still holds for `host`. What is kept lies in `folder`; `ca` is
    /// the authority behind the directory's own certificate.
    pub(super) fn load(
        folder: PathBuf,
        settings: settings::Acme,
        ca: Option<PathBuf>,
        host: String,
    ) -> Self {
        let path = folder.join(FILE);
        let issued = if path.exists() {
            read(&path, &host, clock::now())
                .inspect_err(|error| tracing::warn!(%error, "another certificate is ordered"))
                .ok()
        } else {
            None
        };
        let (issued, proof) = (RwLock::new(issued), RwLock::default());
        Self { settings, ca, host, folder, issued, proof }
    }

    fn issued(&self) -> Option<IssuedCertificate> {
        self.issued.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Orders a certificate if there is none, and anew each time that two thirds of its life are over, until `stop` is
    /// cancelled. What an authority answers is a warning once, until it answers something else.
    pub(super) async fn renew(self: Arc<Self>, stop: CancellationToken) {
        let (mut failures, mut said, mut rest) = (0, String::new(), Duration::ZERO);
        loop {
            let due = self.issued().map_or(Duration::ZERO, |it| until(due(it.life), clock::now()));
            let wait = if failures == 0 { due.min(LOOK).max(rest) } else { retry(failures) };
            rest = Duration::ZERO;
            if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
            if due > wait {
                continue;
            }
            match stop.run_until_cancelled(self.order()).await {
                None => return,
                Some(Ok(())) => {
                    (failures, said) = (0, String::new());
                    rest = self.issued().map_or(LOOK, |issued| after(issued.life));
                }
                Some(Err(error)) => {
                    failures = failures.saturating_add(1);
                    self.complain(&error, &mut said);
                }
            }
        }
    }

    /// Logs why there is no new certificate; as a warning if that is not what was `said` last.
    fn complain(&self, error: &AcmeError, said: &mut String) {
        let why = error.to_string();
        let ends = self.issued().map(|issued| to_rfc3339(issued.life.ends));
        let error = error as &dyn std::error::Error;
        if *said == why {
            tracing::info!(ends, "there still is no new certificate; it is ordered again later");
        } else if ends.is_some() {
            tracing::warn!(error, ends, "the certificate is not renewed; the old one stays");
        } else {
            tracing::warn!(
                error,
                "there is no certificate, so no HTTPS; it is ordered again later"
            );
        }
        *said = why;
    }

    /// Orders a certificate, keeps it and shows it from then on. Meanwhile the port for everyone must answer.
    ///
    /// # Errors
    ///
    /// See [`AcmeError`]. The certificate so far stays.
    pub(super) async fn order(&self) -> Result<(), AcmeError> {
        let directory = &self.settings.directory;
        let ordered = timeout(ORDER_TIME, self.try_order()).await;
        *self.proof.write().unwrap_or_else(PoisonError::into_inner) = None;
        let pem = ordered.map_err(|_| AcmeError::Slow(directory.clone()))??;
        let issued = keep(&self.folder, &pem, &self.host, clock::now())?;
        tracing::info!(
            host = self.host,
            ends = to_rfc3339(issued.life.ends),
            "a certificate was issued"
        );
        *self.issued.write().unwrap_or_else(PoisonError::into_inner) = Some(issued);
        Ok(())
    }

    /// Orders a certificate; returns it with its key, in PEM.
    async fn try_order(&self) -> Result<String, AcmeError> {
        let account = self.account().await?;
        let names = [Identifier::Dns(self.host.clone())];
        let mut order =
            account.new_order(&NewOrder::new(&names)).await.map_err(|error| self.failed(error))?;
        self.prove(&mut order).await?;
        let status =
            order.poll_ready(&RetryPolicy::default()).await.map_err(|error| self.failed(error))?;
        if status == OrderStatus::Invalid {
            return Err(self.refused(why(&mut order).await));
        }
        let unusable = |error: rcgen::Error| AcmeError::Unusable(error.into());
        let key = KeyPair::generate().map_err(unusable)?;
        let mut wanted = CertificateParams::new(vec![self.host.clone()]).map_err(unusable)?;
        wanted.distinguished_name = DistinguishedName::new();
        let request = wanted.serialize_request(&key).map_err(unusable)?;
        order.finalize_csr(request.der()).await.map_err(|error| self.failed(error))?;
        let chain = order.poll_certificate(&RetryPolicy::default()).await;
        Ok(format!("{}\n{}", key.serialize_pem(), chain.map_err(|error| self.failed(error))?))
    }

    /// The account at the authority; makes one if there is none.
    async fn account(&self) -> Result<Account, AcmeError> {
        let path = self.folder.join("account.json");
        let directory = &self.settings.directory;
        let builder = match &self.ca {
            Some(ca) => {
                pem::certificates(ca)?;
                Account::builder_with_root(ca)
            }
            None => Account::builder(),
        };
        let builder = builder.map_err(|error| self.failed(error))?;
        if let Some(kept) = ACCOUNT.read(&path)?
            && kept.directory == *directory
        {
            let account = builder.from_credentials(kept.credentials).await;
            return account.map_err(|error| self.failed(error));
        }
        let contact: Vec<&str> = self.settings.contact.as_deref().into_iter().collect();
        let wanted = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let made = builder.create(&wanted, directory.clone(), None).await;
        let (account, credentials) = made.map_err(|error| self.failed(error))?;
        ACCOUNT.write(&path, &StoredAccount { directory: directory.clone(), credentials })?;
        Ok(account)
    }

    /// Lets the authority see that the host is ours.
    async fn prove(&self, order: &mut Order) -> Result<(), AcmeError> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| self.failed(error))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let mut challenge =
                authorization.challenge(ChallengeType::TlsAlpn01).ok_or_else(|| {
                    self.refused("it does not offer the challenge tls-alpn-01".to_owned())
                })?;
            let digest = challenge.key_authorization().digest();
            let proof = proof(&self.host, digest.as_ref()).map_err(AcmeError::Unusable)?;
            *self.proof.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(proof));
            challenge.set_ready().await.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn failed(&self, error: instant_acme::Error) -> AcmeError {
        if let instant_acme::Error::Api(problem) = &error {
            return self.refused(problem.detail.clone().unwrap_or_else(|| problem.to_string()));
        }
        AcmeError::Unreachable { directory: self.settings.directory.clone(), source: error }
    }

    fn refused(&self, reason: String) -> AcmeError {
        let reason = common::foreign::short(&reason, 300);
        let (directory, host) = (self.settings.directory.clone(), self.host.clone());
        AcmeError::Refused { directory, host, reason }
    }
}

/// Where certificate and key lie, in one file so that they are exchanged in one step.
const FILE: &str = "certificate.pem";

fn read(path: &Path, host: &str, now: Millis) -> Result<IssuedCertificate, pem::FileError> {
    let certified = certificate::read(path, path, host, now)?;
    let life = certified.cert.first().and_then(Validity::of);
    let life = life.ok_or_else(|| pem::FileError::new(path, "a certificate in it is broken"))?;
    Ok(IssuedCertificate { certified, life })
}

/// Where they lie until they have been looked at.
const NEW_FILE: &str = "ordered.pem";

/// Puts what was issued in the place of what was there, if devices will take it; else what was there stays.
fn keep(folder: &Path, pem: &str, host: &str, now: Millis) -> Result<IssuedCertificate, AcmeError> {
    let (new, path) = (folder.join(NEW_FILE), folder.join(FILE));
    durable::replace(&new, Access::SECRET, pem.as_bytes())
        .map_err(|source| StateError::Write { path: new.clone(), source })?;
    let issued = read(&new, host, now)?;
    fs::rename(&new, &path)
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(|source| StateError::Write { path, source })?;
    Ok(issued)
}

/// The shortest wait after a certificate with this life was issued: by a clock that is ahead it is due at once.
fn after(life: Validity) -> Duration {
    LOOK.min(until(life.ends, life.begins) / 3)
}

/// When a certificate with this life is renewed: when two thirds of it are over.
fn due(life: Validity) -> Millis {
    let whole = life.ends.saturating_sub(life.begins).max(0);
    life.begins.saturating_add(whole / 3 * 2)
}

fn until(at: Millis, now: Millis) -> Duration {
    Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or(0))
}

/// The wait after so many failures.
fn retry(failures: u32) -> Duration {
    let wait = RETRY_MIN.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    let wait = wait.min(RETRY_MAX);
    wait + random::up_to(wait / 5)
}

/// What the authority says of the challenges that failed.
async fn why(order: &mut Order) -> String {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let Ok(mut authorization) = authorization else { break };
        let Ok(state) = authorization.refresh().await else { break };
        let errors = state.challenges.iter().filter_map(|challenge| challenge.error.as_ref());
        if let Some(error) = errors.into_iter().next() {
            return error.detail.clone().unwrap_or_else(|| error.to_string());
        }
    }
    "it does not say why".to_owned()
}

/// The certificate that proves that the host is ours (RFC 8737, section 3).
fn proof(
    host: &str,
    digest: &[u8],
) -> Result<CertifiedKey, Box<dyn std::error::Error + Send + Sync>> {
    // The extension takes nothing else.
    let digest: [u8; 32] = digest.try_into()?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    let chain = vec![certificate.der().clone()];
    // Not `from_der`, which refuses a certificate with that extension: it is critical, and of no use for anything else.
    let key = aws_lc_rs::default_provider().key_provider.load_private_key(key)?;
    Ok(CertifiedKey::new(chain, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_when_two_thirds_of_its_life_are_over() {
        let life = Validity { begins: 3000, ends: 3000 + 9000 };
        assert_eq!(due(life), 3000 + 6000);
        assert_eq!(until(due(life), 0), Duration::from_secs(9));
        assert_eq!(until(due(life), 10_000), Duration::ZERO);
        let odd = Validity { begins: Millis::MAX, ends: Millis::MIN };
        assert_eq!(due(odd), Millis::MAX);
    }

    #[test]
    fn a_clock_that_is_ahead_does_not_order_back_to_back() {
        let days = |days: Millis| days * 24 * 60 * 60 * 1000;
        let life = Validity { begins: 0, ends: days(90) };
        assert_eq!(until(due(life), days(80)), Duration::ZERO);
        assert_eq!(after(life), LOOK);
        assert_eq!(after(Validity { begins: 0, ends: 9000 }), Duration::from_secs(3));
    }

    #[test]
    fn what_devices_would_not_take_does_not_replace_what_they_do() {
        let folder = tempfile::tempdir().unwrap();
        let made = |host: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
            format!("{}\n{}", key.serialize_pem(), params.self_signed(&key).unwrap().pem())
        };
        let (good, host) = (made("maru.example.org"), "maru.example.org");
        let keep = |pem: &str| keep(folder.path(), pem, host, clock::now());
        assert!(keep(&good).is_ok());

        assert!(keep(&made("other.example.org")).is_err());
        assert!(keep("not PEM").is_err());

        assert_eq!(fs::read_to_string(folder.path().join(FILE)).unwrap(), good);
    }

    #[test]
    fn an_authority_is_asked_less_and_less_often() {
        assert!((RETRY_MIN..RETRY_MIN * 2).contains(&retry(1)));
        assert!((RETRY_MIN * 4..RETRY_MIN * 5).contains(&retry(3)));
        assert!(retry(u32::MAX) >= RETRY_MAX && retry(u32::MAX) <= RETRY_MAX * 2);
    }
}
