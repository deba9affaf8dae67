//! Tells the router that this node lives, and when it leaves.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use chassis::{tls::CertificateFiles, unix::Connector};
use confidential_api::{
    NodeId,
    evidence::EvidenceList,
    names::{NONCE_LEN, model_tag, path},
    node::{NodeEvent, NodeNews, RoutingInfo},
    settings::compute::Settings,
};
use tokio::time::{Instant, sleep};

use super::{boot::evidence, upstream::Router};
use crate::{Error, Root};

/// How long evidence is told that nobody asked for: clients ask for their own.
const TOLD: Duration = Duration::from_secs(60);

/// A node at its router.
#[derive(Debug)]
pub(super) struct Register {
    router: Router,
    node: NodeId,
    boot: Connector,
    url: String,
    tags: Vec<String>,
    every: Duration,
    index: AtomicU64,
}

impl Register {
    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// [`Error::Url`] or [`Error::Models`] if they lack what the router must be told.
    pub(super) fn new(
        root: &Root,
        settings: &Settings,
        own: CertificateFiles,
        node: NodeId,
        boot: Connector,
    ) -> Result<Self, Error> {
        let url = settings.url.trim_end_matches('/').to_owned();
        if !(url.starts_with("https://") || url.starts_with("http://")) {
            let reason = "write where the router reaches this node, such as https://node-1:8081";
            return Err(Error::Url { what: "url", url, reason });
        }
        if settings.models.is_empty() {
            return Err(Error::Models);
        }
        Ok(Self {
            router: Router::new(root, &settings.router, own)?,
            node,
            boot,
            url,
            tags: settings.models.iter().map(|model| model_tag(model)).collect(),
            every: Duration::from_secs(settings.heartbeat_s.max(1)),
            index: AtomicU64::new(0),
        })
    }

    /// Tells it for ever.
    pub(super) async fn run(&self) {
        let mut shown: Option<(Instant, EvidenceList)> = None;
        let mut away = false;
        loop {
            if shown.as_ref().is_none_or(|(since, _)| since.elapsed() > TOLD) {
                shown = self.evidence().await.map(|list| (Instant::now(), list));
            }
            if let Some((_, evidence)) = &shown {
                match self.tell(NodeNews::Alive(Box::new(self.info(evidence)))).await {
                    Ok(()) if away => {
                        tracing::info!("the router is reached again");
                        away = false;
                    }
                    Ok(()) => {}
                    Err(error) => {
                        if !away {
                            let error = &error as &dyn std::error::Error;
                            tracing::warn!(error, "the router is not told; said once until it is");
                        }
                        away = true;
                    }
                }
            }
            sleep(self.every).await;
        }
    }

    /// Tells that no more requests are taken.
    pub(super) async fn leave(&self) {
        if let Err(error) = self.tell(NodeNews::Shutdown).await {
            tracing::debug!(%error, "the router is not told that this node leaves");
        }
    }

    /// Evidence for a nonce of nobody's.
    async fn evidence(&self) -> Option<EvidenceList> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        match evidence(&self.boot, nonce).await {
            Ok(evidence) => EvidenceList::decode(&evidence).ok(),
            Err(error) => {
                tracing::warn!(%error, "there is no evidence to tell the router");
                None
            }
        }
    }

    fn info(&self, evidence: &EvidenceList) -> RoutingInfo {
        RoutingInfo {
            url: format!("{}{}", self.url, path::ROOT),
            healthcheck_url: format!("{}{}", self.url, path::HEALTH),
            tags: self.tags.clone(),
            evidence: evidence.clone(),
        }
    }

    async fn tell(&self, what: NodeNews) -> std::io::Result<()> {
        let index = self.index.fetch_add(1, Ordering::Relaxed);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let event = NodeEvent { node: self.node, index, at_ms, what };
        self.router.post(path::NODE_EVENTS, event.encode()).await
    }
}
