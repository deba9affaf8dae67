//! Registers this node with the router, and unregisters it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use chassis::{tls::CertificateFiles, unix::Connector};
use confidential_api::{
    NodeId,
    evidence::EvidenceList,
    names::{NONCE_LEN, model_tag, path},
    node::{NodeEvent, NodeStatus, RoutingInfo},
    settings::compute::Settings,
};
use tokio::time::{Instant, sleep};

use super::{boot::evidence, upstream::Router};
use crate::{Error, Root};

/// How long evidence is used in heartbeats. Clients request their own.
const TOLD: Duration = Duration::from_secs(60);

/// The registration of a node.
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
            return Err(Error::Url("url", url, reason));
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

    /// Sends heartbeats, forever.
    pub(super) async fn run(&self) {
        let mut shown: Option<(Instant, EvidenceList)> = None;
        let mut away = false;
        loop {
            if shown.as_ref().is_none_or(|(since, _)| since.elapsed() > TOLD) {
                shown = self.evidence().await.map(|list| (Instant::now(), list));
            }
            if let Some((_, evidence)) = &shown {
                match self.tell(NodeStatus::Alive(Box::new(self.info(evidence)))).await {
                    Ok(()) if away => {
                        tracing::info!("the router is reachable again");
                        away = false;
                    }
                    Ok(()) => {}
                    Err(error) => {
                        if !away {
                            let error = &error as &dyn std::error::Error;
                            tracing::warn!(error, "the router is unreachable; logged once");
                        }
                        away = true;
                    }
                }
            }
            sleep(self.every).await;
        }
    }

    /// Unregisters the node.
    pub(super) async fn leave(&self) {
        if let Err(error) = self.tell(NodeStatus::Shutdown).await {
            tracing::debug!(%error, "this node was not unregistered");
        }
    }

    /// Evidence for a random nonce.
    async fn evidence(&self) -> Option<EvidenceList> {
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).ok()?;
        match evidence(&self.boot, nonce).await {
            Ok(evidence) => EvidenceList::decode(&evidence).ok(),
            Err(error) => {
                tracing::warn!(%error, "there is no evidence for the heartbeat");
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

    async fn tell(&self, what: NodeStatus) -> std::io::Result<()> {
        let index = self.index.fetch_add(1, Ordering::Relaxed);
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at_ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let event = NodeEvent { node: self.node, index, at_ms, what };
        self.router.post(path::NODE_EVENTS, event.encode()).await
    }
}
