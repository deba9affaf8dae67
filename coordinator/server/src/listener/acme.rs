//! Certificates by ACME (RFC 8555): the public port's own, and those of the mesh's names for the node that has them.
//!
//! ```text
//!   no certificate ── ordered ──▶ in use ── two thirds of its lifetime ──▶ ordered again
//!        ▲               │          ▲                                         │
//!        └── refused: ───┘          └── refused: retried, the old one stays ──┘
//!            retried
//! ```
//!
//! The coordinator runs without a certificate; only TLS handshakes fail. For a name of the mesh it only answers challenges:
//! the private key is the node's, which asks again by itself.

use std::{
    collections::BTreeSet,
    fmt,
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use chassis::{
    durable::{self, Access},
    log::event,
    pem::{self, Validity},
    state::StateError,
};
use coordinator_api::settings;
use coordinator_core::{
    signing_request::SigningRequest,
    time::{Millis, to_rfc3339},
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_util::sync::CancellationToken;

use self::order::AcmeAuthority;
use super::certificate;
use crate::{clock, random};

mod order;

pub(crate) use self::order::AcmeError;

/// The ALPN protocol of the challenge (RFC 8737, section 6.2).
pub(super) const ALPN: &[u8] = b"acme-tls/1";
/// Wait after the first failed order; doubles with each further one.
const RETRY_MIN: Duration = Duration::from_secs(60);
/// Longest wait after a failed order.
const RETRY_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// Longest sleep before the clock is checked again: the machine may be suspended meanwhile.
const LOOK: Duration = Duration::from_secs(60 * 60);

/// A certificate and its validity.
#[derive(Clone, Debug)]
struct IssuedCertificate {
    certified: Arc<CertifiedKey>,
    life: Validity,
}

/// Orders and serves the certificate for one host, and orders those of names of the mesh.
pub(crate) struct Acme {
    authority: AcmeAuthority,
    host: String,
    /// Names of the mesh; nothing but challenges is answered for them.
    mesh_names: BTreeSet<String>,
    folder: PathBuf,
    issued: RwLock<Option<IssuedCertificate>>,
}

impl fmt::Debug for Acme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acme").field("host", &self.host).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Acme {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase);
        if asks(&hello) {
            return self.authority.answer(&name?);
        }
        let is_elsewhere = name.is_some_and(|name| self.mesh_names.contains(&name));
        if is_elsewhere { None } else { Some(self.issued()?.certified) }
    }
}

/// Whether the connection is a challenge of an authority.
pub(super) fn asks(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut all| all.any(|name| name == ALPN))
}

impl Acme {
    /// Reads the stored certificate from `folder`, if it is valid for `host`. `ca` is the CA of the ACME directory.
    pub(super) fn load(
        folder: PathBuf,
        settings: settings::Acme,
        ca: Option<PathBuf>,
        host: String,
        mesh_names: BTreeSet<String>,
    ) -> Self {
        let path = folder.join(FILE);
        let issued = if path.exists() {
            read(&path, &host, clock::now())
                .inspect_err(|error| tracing::warn!(%error, "the stored certificate is unusable; ordering another"))
                .ok()
        } else {
            None
        };
        let authority = AcmeAuthority::new(settings, ca, folder.join("account.json"));
        Self { authority, host, mesh_names, folder, issued: RwLock::new(issued) }
    }

    fn issued(&self) -> Option<IssuedCertificate> {
        self.issued.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Orders a certificate if there is none, and another after two thirds of each one's lifetime, until `stop` is cancelled.
    /// Repeated errors are logged as a warning once.
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

    /// Logs why an order failed; as a warning if the error differs from the last one.
    fn complain(&self, error: &AcmeError, said: &mut String) {
        let why = error.to_string();
        let ends = self.issued().map(|issued| to_rfc3339(issued.life.ends));
        let error = error as &dyn std::error::Error;
        if *said == why {
            tracing::info!(ends, "the certificate order failed again; retrying later");
        } else if ends.is_some() {
            let event = event::CERTIFICATE;
            tracing::warn!(%event, error, ends, "cannot renew the certificate; the old one stays in use");
        } else {
            let event = event::CERTIFICATE;
            tracing::warn!(%event, error, "there is no certificate, so no HTTPS; retrying later");
        }
        *said = why;
    }

    /// Orders a certificate, stores it and uses it. The public port must be served meanwhile.
    async fn order(&self) -> Result<(), AcmeError> {
        let unusable = |error: rcgen::Error| AcmeError::Unusable(error.into());
        let key = KeyPair::generate().map_err(unusable)?;
        let mut wanted = CertificateParams::new(vec![self.host.clone()]).map_err(unusable)?;
        wanted.distinguished_name = DistinguishedName::new();
        let request = wanted.serialize_request(&key).map_err(unusable)?;
        let chain = self.authority.order(&self.host, request.der()).await?;
        let pem = format!("{}\n{chain}", key.serialize_pem());
        let issued = keep(&self.folder, &pem, &self.host, clock::now())?;
        tracing::info!(host = self.host, ends = to_rfc3339(issued.life.ends), "certificate issued");
        *self.issued.write().unwrap_or_else(PoisonError::into_inner) = Some(issued);
        Ok(())
    }

    /// Orders the certificate of a name of the mesh; returns the chain in PEM. The public port must be served meanwhile.
    pub(crate) async fn certify(&self, request: &SigningRequest<'_>) -> Result<String, AcmeError> {
        let SigningRequest { der, name } = request;
        let chain = self.authority.order(name, der).await?;
        tracing::info!(name, "certificate issued for a name of the mesh");
        Ok(chain)
    }
}

/// The file with certificate and key, one file so that both are replaced atomically.
const FILE: &str = "certificate.pem";

fn read(path: &Path, host: &str, now: Millis) -> Result<IssuedCertificate, pem::FileError> {
    let certified = certificate::read(path, path, host, now)?;
    let life = certified.cert.first().and_then(Validity::of);
    let life = life.ok_or_else(|| pem::FileError::new(path, "a certificate in it is broken"))?;
    Ok(IssuedCertificate { certified, life })
}

/// The file with a new certificate before it is checked.
const NEW_FILE: &str = "ordered.pem";

/// Replaces the stored certificate with a new one, if devices will accept it.
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

/// The shortest wait after an order, in case a wrong clock makes the certificate due at once.
fn after(life: Validity) -> Duration {
    LOOK.min(until(life.ends, life.begins) / 3)
}

/// When a certificate is renewed: after two thirds of its lifetime.
fn due(life: Validity) -> Millis {
    let whole = life.ends.saturating_sub(life.begins).max(0);
    life.begins.saturating_add(whole / 3 * 2)
}

fn until(at: Millis, now: Millis) -> Duration {
    Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or(0))
}

/// The wait after a number of failures.
fn retry(failures: u32) -> Duration {
    let wait = RETRY_MIN.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
    let wait = wait.min(RETRY_MAX);
    wait + random::up_to(wait / 5)
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
