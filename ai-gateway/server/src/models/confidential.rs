//! Deployments of the confidential chain: their pins, and the newest documents seen.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ai_gateway_api::{
    settings::gateway::{Breaker as BreakerSettings, Deployment},
    wire::Fixed,
};
use attestation::Pin;
use chassis::state::Format;
use chat_vocabulary::Evidence;
use futures_util::{StreamExt as _, stream};
use llm_backend::{
    DeltaStream, Error,
    confidential::{Confidential, SeenDocuments, SeenStore, Settings},
};

use super::{node::Node, provider::Provider, settings};
use crate::{breaker::Breaker, openclaw};

/// Concurrent replies of a deployment for one home, unless `openclaw.json` says otherwise.
const SLOTS: u32 = 16;
/// Longest validity of a verification, so that a changed policy takes effect soon.
const VERIFIED_MAX: Duration = Duration::from_secs(5 * 60);

const SEEN: Format<SeenDocuments> = Format::new(1).remedy(|| {
    "restore it from a backup, or move it away; then an older policy may be accepted once".into()
});

/// Settings and state of deployments.
#[derive(Debug)]
pub(super) struct Pins {
    /// By the provider's name.
    deployments: BTreeMap<String, Deployment>,
    /// The gateway's state.
    state: PathBuf,
    stores: Mutex<FileStores>,
}

impl Pins {
    pub(super) fn new(deployments: BTreeMap<String, Deployment>, state: PathBuf) -> Self {
        Self { deployments, state, stores: Mutex::default() }
    }

    /// Opens the provider that `openclaw.json` and `gateway.toml` describe together.
    pub(super) fn open(
        &self,
        name: &str,
        provider: &openclaw::Provider,
        breaker: BreakerSettings,
        root: &Path,
    ) -> Result<Provider, Error> {
        let (Some(auth), Some(deployment)) = (provider.nodes.first(), self.deployments.get(name))
        else {
            return Err(Error::Address {
                url: format!("confidential.{name}"),
                reason: "gateway.toml must contain the deployment's identity; `maru confidential add` writes both",
            });
        };
        let settings = |node| settings::settings(root, node, provider.timeouts);
        let memory = {
            let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
            stores.of(&self.state, &deployment.identity)?
        };
        let backend = Confidential::new(Settings {
            name: name.to_owned(),
            auth: settings(auth),
            relays: provider.relays.iter().map(settings).collect(),
            pin: pin(deployment),
            simulated: deployment.simulated,
            shared_seeds: deployment.shared_seeds,
            verified_for: Duration::from_secs(deployment.verified_for_s.get().into())
                .min(VERIFIED_MAX),
            timeouts: provider.timeouts,
            memory,
        })?;
        if deployment.simulated {
            tracing::warn!(provider = name, "SIMULATED evidence is accepted: it proves nothing");
        }
        let node = Node::new(&auth.base_url, Arc::new(backend));
        let slots = auth.slots.or(Some(SLOTS));
        let node = node.with(slots, auth.draining, provider.timeouts.health);
        let node = node.spared_by(Breaker::new(breaker));
        let mut provider = Provider::new(vec![node], provider.models.clone());
        provider.confidential = true;
        Ok(provider)
    }
}

fn pin(deployment: &Deployment) -> Pin {
    let anchor = |it: &ai_gateway_api::settings::gateway::PinnedAnchor| attestation::PinnedAnchor {
        anchor: it.anchor.clone(),
        vendor: it.vendor,
    };
    Pin {
        identity: deployment.identity,
        anchors: deployment.anchors.iter().map(anchor).collect(),
        images: deployment.images.clone(),
        min_epoch: deployment.min_epoch,
    }
}

/// The stores of seen documents, by the deployment's identity: several providers of one deployment share a store, and
/// another deployment under the same name gets its own.
#[derive(Debug, Default)]
struct FileStores(BTreeMap<[u8; 32], Arc<FileStore>>);

impl FileStores {
    fn of(&mut self, state: &Path, identity: &Fixed<32>) -> Result<Arc<FileStore>, Error> {
        if let Some(known) = self.0.get(&identity.0) {
            return Ok(Arc::clone(known));
        }
        let store = Arc::new(FileStore::load(state, identity)?);
        self.0.insert(identity.0, Arc::clone(&store));
        Ok(store)
    }
}

/// Stores the documents seen of a deployment in a file.
#[derive(Debug)]
struct FileStore {
    path: PathBuf,
    seen: Mutex<SeenDocuments>,
}

impl FileStore {
    fn load(state: &Path, identity: &Fixed<32>) -> Result<Self, Error> {
        let path = state.join(format!("confidential-{identity}.json"));
        let failed = |source| Error::File {
            path: path.clone(),
            reason: "the record of the deployment's documents cannot be read".into(),
            source: Some(Arc::new(source)),
        };
        let seen = SEEN.read(&path).map_err(failed)?.unwrap_or_default();
        Ok(Self { path, seen: Mutex::new(seen) })
    }
}

impl SeenStore for FileStore {
    fn seen(&self) -> SeenDocuments {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, seen: SeenDocuments) -> io::Result<()> {
        let mut stored = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // Another provider of the deployment may have stored something newer meanwhile.
        let seen = stored.or_newer(seen);
        SEEN.write(&self.path, &seen).map_err(io::Error::other)?;
        *stored = seen;
        Ok(())
    }
}

/// The evidence in a reply's first delta, and the whole reply.
pub(super) async fn evidence(mut deltas: DeltaStream) -> (Option<Arc<Evidence>>, DeltaStream) {
    // It is available: a reply begins with its first delta.
    let first = deltas.next().await;
    let evidence = first.as_ref().and_then(|delta| delta.as_ref().ok()?.evidence.clone());
    (evidence, stream::iter(first).chain(deltas).boxed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_document_of_another_provider_replaces_no_newer_one() {
        let state = tempfile::tempdir().unwrap();
        let store = FileStores::default().of(state.path(), &Fixed([7; 32])).unwrap();
        let seen = SeenDocuments { config: mark(40), bundle: mark(41), policy: mark(42) };
        store.keep(seen).unwrap();
        for (late, then) in [
            (SeenDocuments { config: mark(39), ..seen }, seen),
            (SeenDocuments { bundle: None, ..seen }, seen),
            (
                SeenDocuments { policy: mark(41), config: mark(43), ..seen },
                SeenDocuments { config: mark(43), ..seen },
            ),
        ] {
            store.keep(late).unwrap();
            assert_eq!(store.seen(), then, "{late:?}");
            let stored = FileStores::default().of(state.path(), &Fixed([7; 32])).unwrap();
            assert_eq!(stored.seen(), then, "also over a restart");
        }
    }

    fn mark(epoch: u64) -> Option<attestation::DocumentVersion> {
        Some(attestation::DocumentVersion { epoch, digest: Fixed([1; 32]) })
    }

    #[test]
    fn seen_documents_belong_to_a_deployment_and_not_to_its_name() {
        let state = tempfile::tempdir().unwrap();
        let (one, other) = (Fixed([7; 32]), Fixed([8; 32]));
        let mut stores = FileStores::default();
        let seen = SeenDocuments { config: mark(40), bundle: mark(41), policy: mark(42) };
        stores.of(state.path(), &one).unwrap().keep(seen).unwrap();

        assert_eq!(stores.of(state.path(), &one).unwrap().seen(), seen, "another provider of it");
        assert_eq!(stores.of(state.path(), &other).unwrap().seen(), SeenDocuments::default());
        let mut after = FileStores::default();
        assert_eq!(after.of(state.path(), &other).unwrap().seen(), SeenDocuments::default());
        assert_eq!(after.of(state.path(), &one).unwrap().seen(), seen, "also over a restart");
    }
}
