//! Orders public certificates for this node's names from the coordinator, and renews them by itself.
//!
//! ```text
//!           ┌──────── two thirds of its lifetime ────────┐
//!           ▼                                            │
//! wanted ─▶ key, signing request ─▶ coordinator ─▶ checked, stored, in use
//!           ▲                            │
//!           └── failed: wait, longer each time; the old one, or the network's own authority's, stays in use
//! ```

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, SystemTime},
};

use chassis::log::event;
use messages::{Message, message};
use tokio::time::{Instant, sleep};

use super::{
    certificates::Certificates,
    public::{self, CertificateError, CertificateState, PublicCertificate, StoredCertificate},
};
use crate::{agent::Agent, backoff::jitter, control::certificate};

/// Wait after the first failed order; doubles with each further one.
const RETRY_MIN: Duration = Duration::from_secs(60);
/// Longest wait after a failed order. Authorities limit failures by the hour.
const RETRY_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// Longest sleep: the machine may be suspended meanwhile.
const LOOK: Duration = Duration::from_secs(60 * 60);

/// What becomes of a signing request: a chain in PEM, or why there is none.
type OrderResult = Result<String, Message>;

/// Orders certificates for those of `hosts` that the coordinator offers, as long as the future is polled.
pub(super) async fn run(
    agent: Arc<Agent>,
    certificates: Arc<Certificates>,
    hosts: BTreeSet<String>,
) {
    let mut netmap = agent.netmap.subscribe();
    let mut orders = Orders::new(Arc::clone(&agent), certificates, hosts);
    loop {
        let offered = netmap.borrow_and_update().dns.cert_domains.clone();
        let order = |request| {
            let agent = Arc::clone(&agent);
            async move { certificate::order(&agent, request).await }
        };
        let wait = orders.tend(&offered, &order).await;
        tokio::select! {
            changed = netmap.changed() => if changed.is_err() { return },
            () = sleep(wait) => {}
        }
    }
}

/// The orders of a node's names.
struct Orders {
    agent: Arc<Agent>,
    certificates: Arc<Certificates>,
    hosts: BTreeSet<String>,
    /// Failures since the last order that succeeded, and when the next may be, by name.
    tries: HashMap<String, (u32, Instant)>,
}

impl Orders {
    /// Takes the stored certificates that are still valid into use.
    fn new(agent: Arc<Agent>, certificates: Arc<Certificates>, hosts: BTreeSet<String>) -> Self {
        agent.certificate_states().clear();
        for stored in agent.certificates().into_iter().filter(|it| hosts.contains(&it.host)) {
            match stored.check(SystemTime::now()) {
                Ok(certificate) => {
                    let state = CertificateState { ends: Some(certificate.ends), problem: None };
                    agent.certificate_states().insert(stored.host.clone(), state);
                    certificates.publish(stored.host, certificate);
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(host = stored.host, error, "a stored certificate is not used");
                }
            }
        }
        Self { agent, certificates, hosts, tries: HashMap::new() }
    }

    /// Orders what is missing or due of the names that the coordinator offers; returns how long nothing else is.
    async fn tend<F: Future<Output = OrderResult>>(
        &mut self,
        offered: &[String],
        order: &impl Fn(String) -> F,
    ) -> Duration {
        let is_current = |host: &String, state: &mut CertificateState| {
            state.ends.is_some() || offered.contains(host)
        };
        self.agent.certificate_states().retain(is_current);
        let own: Vec<_> = offered.iter().filter(|host| self.hosts.contains(*host)).collect();
        let mut wait = LOOK;
        for host in own {
            let current = self.certificates.public(host);
            let due = current.map(|current| current.due_in(SystemTime::now()));
            let again = self.tries.get(host).map(|(_, again)| *again - Instant::now());
            let mut rest = due.unwrap_or_default().max(again.unwrap_or_default());
            if rest.is_zero() {
                rest = self.attempt(host, order).await;
            }
            wait = wait.min(rest);
        }
        wait
    }

    /// Orders one certificate; returns the wait until the next order of the name.
    async fn attempt<F: Future<Output = OrderResult>>(
        &mut self,
        host: &str,
        order: &impl Fn(String) -> F,
    ) -> Duration {
        let failures = self.tries.get(host).map_or(0, |(failures, _)| *failures);
        let (failures, wait, state) = match self.order(host, order).await {
            Ok(issued) => {
                tracing::info!(host, "public certificate in use");
                let state = CertificateState { ends: Some(issued.ends), problem: None };
                // A wrong clock could make it due at once.
                (0, LOOK.min(issued.lifetime() / 3), state)
            }
            Err(problem) => {
                let event = event::CERTIFICATE;
                tracing::warn!(%event, host, %problem, "no public certificate; trying again later");
                let ends = self.certificates.public(host).map(|current| current.ends);
                let state = CertificateState { ends, problem: Some(problem) };
                (failures.saturating_add(1), retry(failures), state)
            }
        };
        self.agent.certificate_states().insert(host.to_owned(), state);
        self.tries.insert(host.to_owned(), (failures, Instant::now() + wait));
        wait
    }

    /// Orders one certificate, checks and stores it, and takes it into use.
    async fn order<F: Future<Output = OrderResult>>(
        &self,
        host: &str,
        order: &impl Fn(String) -> F,
    ) -> Result<PublicCertificate, Message> {
        let unusable =
            |reason: CertificateError| message!("problem-agent-certificate-unusable", reason);
        let (key, request) = public::request(host).map_err(unusable)?;
        let chain = order(request).await?;
        let stored = StoredCertificate { host: host.to_owned(), chain, key: key.serialize_pem() };
        let certificate = stored.check(SystemTime::now()).map_err(unusable)?;
        self.agent.change_state(|state| {
            let is_other =
                |it: &StoredCertificate| it.host != host && self.hosts.contains(&it.host);
            state.certificates.retain(is_other);
            state.certificates.push(stored);
        });
        self.certificates.publish(host.to_owned(), certificate.clone());
        Ok(certificate)
    }
}

/// The wait after so many failures before the last one.
fn retry(failures: u32) -> Duration {
    let wait = RETRY_MIN.saturating_mul(2_u32.saturating_pow(failures));
    // At least half of it.
    jitter(2 * wait.min(RETRY_MAX / 2))
}

#[cfg(test)]
mod tests;
