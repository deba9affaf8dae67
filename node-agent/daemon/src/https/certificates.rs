//! The certificates in use: one for each name, chosen by SNI; a public one that is valid before the network's own authority's.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{
    authority::{Authority, AuthorityError, Leaf},
    public::PublicCertificate,
};

/// The certificates of this node's names. A name without one fails in the handshake.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    own: RwLock<HashMap<String, Leaf>>,
    public: RwLock<HashMap<String, PublicCertificate>>,
}

impl Certificates {
    /// Makes the missing and the due certificates of the network's own authority, and forgets those of other names. Connections that are open keep theirs.
    ///
    /// # Errors
    ///
    /// [`AuthorityError`]; those so far stay in use.
    pub(crate) fn renew<'a>(
        &self,
        authority: &Authority,
        hosts: impl IntoIterator<Item = &'a String>,
        now: SystemTime,
    ) -> Result<(), AuthorityError> {
        let before = self.own.read().unwrap_or_else(PoisonError::into_inner).clone();
        let next = hosts.into_iter().map(|host| {
            let leaf = match before.get(host).filter(|leaf| !leaf.is_due(now)) {
                Some(leaf) => leaf.clone(),
                None => authority.issue(host, now)?,
            };
            Ok((host.clone(), leaf))
        });
        let next = next.collect::<Result<_, AuthorityError>>()?;
        *self.own.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// Takes a public certificate into use. Connections that are open keep theirs.
    pub(crate) fn publish(&self, host: String, certificate: PublicCertificate) {
        self.public.write().unwrap_or_else(PoisonError::into_inner).insert(host, certificate);
    }

    /// The public certificate of a name, valid or not.
    pub(crate) fn public(&self, host: &str) -> Option<PublicCertificate> {
        self.public.read().unwrap_or_else(PoisonError::into_inner).get(host).cloned()
    }

    /// The certificate of a name at `now`.
    pub(crate) fn of(&self, host: &str, now: SystemTime) -> Option<Arc<CertifiedKey>> {
        let host = host.to_ascii_lowercase();
        if let Some(public) = self.public(&host).filter(|public| public.is_valid(now)) {
            return Some(public.certified);
        }
        let leaves = self.own.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&leaves.get(&host)?.certified))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.of(hello.server_name()?, SystemTime::now())
    }
}
