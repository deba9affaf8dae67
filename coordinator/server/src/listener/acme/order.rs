//! Orders at an ACME authority, one at a time, proved by the challenge TLS-ALPN-01 (RFC 8737) on the public port.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{
    pem,
    state::{Format, StateError},
};
use coordinator_api::settings;
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount,
    NewOrder, Order, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::{crypto::aws_lc_rs, pki_types::PrivateKeyDer, sign::CertifiedKey};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

/// Timeout for an order.
const ORDER_TIME: Duration = Duration::from_secs(120);

const ACCOUNT: Format<StoredAccount> =
    Format::new(1).remedy(|| "remove it; another account is created at the authority".into());

/// The account at the authority.
#[derive(Serialize, Deserialize)]
struct StoredAccount {
    /// URL of the authority's directory.
    directory: String,
    credentials: AccountCredentials,
}

/// Why an order failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AcmeError {
    /// The authority cannot be reached.
    #[error(
        "cannot reach the certificate authority at {directory}: check `directory` and `ca` under [tls.acme] in \
         coordinator.toml, and this machine's Internet connection"
    )]
    Unreachable { directory: String, source: instant_acme::Error },
    /// The authority refused.
    #[error(
        "the certificate authority at {directory} issued no certificate for {host}: {reason}; TCP port 443 of {host} \
         must lead to `listen` in coordinator.toml"
    )]
    Refused {
        directory: String,
        host: String,
        /// The authority's message.
        reason: String,
    },
    /// The order timed out.
    #[error("the order at the certificate authority {0} timed out")]
    Slow(String),
    /// The certificate or its key is unusable.
    #[error("the issued certificate is unusable")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The account or the certificate cannot be stored.
    #[error(transparent)]
    State(#[from] StateError),
    /// A file.
    #[error(transparent)]
    File(#[from] pem::FileError),
}

/// The authority, and our account there.
pub(super) struct AcmeAuthority {
    settings: settings::Acme,
    ca: Option<PathBuf>,
    /// The account's file.
    account: PathBuf,
    /// The certificates that answer challenges, by name.
    answers: Mutex<HashMap<String, Arc<CertifiedKey>>>,
    /// Held during an order: two at once would create two accounts.
    turn: tokio::sync::Mutex<()>,
}

/// Removes the answer to a challenge when the order has ended, also when it was abandoned.
struct PendingChallenge<'a>(&'a AcmeAuthority, &'a str);

impl Drop for PendingChallenge<'_> {
    fn drop(&mut self) {
        let Self(authority, host) = *self;
        authority.answers().remove(host);
    }
}

impl AcmeAuthority {
    /// `ca` is the CA of the ACME directory.
    pub(super) fn new(settings: settings::Acme, ca: Option<PathBuf>, account: PathBuf) -> Self {
        let (answers, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { settings, ca, account, answers, turn }
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Arc<CertifiedKey>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The certificate that answers the challenge for a name, while one is expected.
    pub(super) fn answer(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.answers().get(name).cloned()
    }

    /// Orders a certificate for the key of a signing request in DER; returns the chain in PEM. The public port must be served
    /// meanwhile.
    pub(super) async fn order(&self, host: &str, request: &[u8]) -> Result<String, AcmeError> {
        let _turn = self.turn.lock().await;
        let _pending = PendingChallenge(self, host);
        let ordered = timeout(ORDER_TIME, self.try_order(host, request)).await;
        ordered.map_err(|_| AcmeError::Slow(self.settings.directory.clone()))?
    }

    async fn try_order(&self, host: &str, request: &[u8]) -> Result<String, AcmeError> {
        let failed = |error| self.failed(host, error);
        let account = self.account(host).await?;
        let names = [Identifier::Dns(host.to_owned())];
        let mut order = account.new_order(&NewOrder::new(&names)).await.map_err(failed)?;
        self.prove(host, &mut order).await?;
        let status = order.poll_ready(&RetryPolicy::default()).await.map_err(failed)?;
        if status == OrderStatus::Invalid {
            return Err(self.refused(host, &why(&mut order).await));
        }
        order.finalize_csr(request).await.map_err(failed)?;
        order.poll_certificate(&RetryPolicy::default()).await.map_err(failed)
    }

    /// The account at the authority, created if there is none.
    async fn account(&self, host: &str) -> Result<Account, AcmeError> {
        let failed = |error| self.failed(host, error);
        let directory = &self.settings.directory;
        let builder = match &self.ca {
            Some(ca) => {
                pem::certificates(ca)?;
                Account::builder_with_root(ca)
            }
            None => Account::builder(),
        };
        let builder = builder.map_err(failed)?;
        if let Some(kept) = ACCOUNT.read(&self.account)?
            && kept.directory == *directory
        {
            return builder.from_credentials(kept.credentials).await.map_err(failed);
        }
        let contact: Vec<&str> = self.settings.contact.as_deref().into_iter().collect();
        let wanted = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let made = builder.create(&wanted, directory.clone(), None).await;
        let (account, credentials) = made.map_err(failed)?;
        let stored = StoredAccount { directory: directory.clone(), credentials };
        ACCOUNT.write(&self.account, &stored)?;
        Ok(account)
    }

    /// Completes the challenges of an order.
    async fn prove(&self, host: &str, order: &mut Order) -> Result<(), AcmeError> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| self.failed(host, error))?;
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let mut challenge = authorization
                .challenge(ChallengeType::TlsAlpn01)
                .ok_or_else(|| self.refused(host, "it does not offer the challenge tls-alpn-01"))?;
            let digest = challenge.key_authorization().digest();
            let proof = proof(host, digest.as_ref()).map_err(AcmeError::Unusable)?;
            self.answers().insert(host.to_owned(), Arc::new(proof));
            challenge.set_ready().await.map_err(|error| self.failed(host, error))?;
        }
        Ok(())
    }

    fn failed(&self, host: &str, error: instant_acme::Error) -> AcmeError {
        if let instant_acme::Error::Api(problem) = &error {
            let reason = problem.detail.clone().unwrap_or_else(|| problem.to_string());
            return self.refused(host, &reason);
        }
        AcmeError::Unreachable { directory: self.settings.directory.clone(), source: error }
    }

    fn refused(&self, host: &str, reason: &str) -> AcmeError {
        let reason = common::foreign::short(reason, 300);
        let (directory, host) = (self.settings.directory.clone(), host.to_owned());
        AcmeError::Refused { directory, host, reason }
    }
}

/// The authority's message about the failed challenges.
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
    "it gave no reason".to_owned()
}

/// The certificate that answers a challenge (RFC 8737, section 3).
fn proof(
    host: &str,
    digest: &[u8],
) -> Result<CertifiedKey, Box<dyn std::error::Error + Send + Sync>> {
    let digest: [u8; 32] = digest.try_into()?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    let chain = vec![certificate.der().clone()];
    // `CertifiedKey::from_der` refuses the critical extension.
    let key = aws_lc_rs::default_provider().key_provider.load_private_key(key)?;
    Ok(CertifiedKey::new(chain, key))
}
