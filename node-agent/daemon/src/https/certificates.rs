//! The certificates in use: one for each name, chosen by SNI.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::authority::{Authority, AuthorityError, Leaf};

/// The certificates of this node's names. A name without one fails in the handshake.
#[derive(Debug, Default)]
pub(crate) struct Certificates(RwLock<HashMap<String, Leaf>>);

impl Certificates {
    /// Makes the missing and the due certificates of these names, and forgets all others. Connections that are open keep theirs.
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
        let before = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        let next = hosts.into_iter().map(|host| {
            let leaf = match before.get(host).filter(|leaf| !leaf.is_due(now)) {
                Some(leaf) => leaf.clone(),
                None => authority.issue(host, now)?,
            };
            Ok((host.clone(), leaf))
        });
        let next = next.collect::<Result<_, AuthorityError>>()?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// The certificate of a name.
    fn of(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        let leaves = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&leaves.get(&host.to_ascii_lowercase())?.certified))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.of(hello.server_name()?)
    }
}
