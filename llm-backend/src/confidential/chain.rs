//! Shared state of a deployment's parts, and short exchanges with its router.

use std::sync::Arc;

use confidential_api::names::host;
use confidential_envelope::bhttp::{RequestHead, ResponseHead, Scheme};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header::CONTENT_TYPE, uri::PathAndQuery};

use super::{
    clock::now_ms,
    config::{Configuration, VerifiedConfig},
    layer,
    nodes::Nodes,
    outer::{self, Outer},
    prepared::PreparedSecrets,
};
use crate::{
    error::{Detail, Error},
    settings::Timeouts,
};

/// Shared state of the parts.
pub(crate) struct Chain {
    pub(super) name: String,
    pub(super) timeouts: Timeouts,
    pub(super) configuration: Arc<Configuration>,
    pub(super) outer: Outer,
    pub(super) nodes: Nodes,
    pub(super) prepared: Arc<PreparedSecrets>,
}

impl Chain {
    /// A short exchange with the router; returns the whole answer, at most 16 MiB. If the gateway does not know the
    /// key, the configuration is fetched again and the exchange is repeated once.
    pub(crate) async fn small(
        &self,
        head: RequestHead,
        content: Vec<u8>,
    ) -> Result<(ResponseHead, Vec<u8>), Error> {
        let limit = self.timeouts.health.saturating_mul(2);
        let answer = tokio::time::timeout(limit, async {
            let answer = self.exchange(&head, &content).await?;
            answer.whole(MANIFESTS_MAX).await.map_err(|()| {
                self.untrusted("reply-unsealed", "a sealed answer of the chain is incomplete")
            })
        });
        answer.await.unwrap_or_else(|_| Err(self.unreachable(SILENT)))
    }

    async fn exchange(&self, head: &RequestHead, content: &[u8]) -> Result<layer::Answer, Error> {
        let limit = self.timeouts.health;
        let mut known = self.configuration.current().await?;
        for again in [false, true] {
            let key = known.key(now_ms()).ok_or_else(|| self.no_key())?;
            match self.outer.exchange(key, head, content, false, limit).await {
                Err(outer::ExchangeError::Key) if !again => known = self.other_key(&known).await?,
                Err(outer::ExchangeError::Key) => break,
                Err(outer::ExchangeError::Error(error)) => return Err(error),
                Ok(answer) => return Ok(answer),
            }
        }
        Err(self.unreachable(OTHER_KEYS))
    }

    /// The configuration of a gateway that rejects the key of `known`.
    pub(crate) async fn other_key(
        &self,
        known: &VerifiedConfig,
    ) -> Result<Arc<VerifiedConfig>, Error> {
        tracing::info!(
            deployment = self.name,
            "the gateway has other keys: its configuration is fetched"
        );
        self.configuration.fetch_after(known).await
    }

    pub(crate) fn no_key(&self) -> Error {
        self.untrusted(
            "no-active-key",
            "no key of the gateway is active by this machine's clock; is it right?",
        )
    }

    pub(crate) fn untrusted(&self, code: &'static str, reason: &'static str) -> Error {
        Error::untrusted(&self.name, code, reason)
    }

    pub(crate) fn unreachable(&self, reason: &'static str) -> Error {
        let backend = self.name.clone();
        Error::Unreachable { backend, reason, arrived: true, source: None }
    }

    pub(super) fn busy(&self, reason: &'static str) -> Error {
        Error::Busy { backend: self.name.clone(), reason }
    }

    pub(crate) fn refused(&self, status: StatusCode, message: impl Into<String>) -> Error {
        let (backend, status) = (self.name.clone(), status.as_u16());
        Error::Refused { backend, status, message: message.into(), detail: Detail::default() }
    }
}

/// Longest answer that is not a reply: 500 manifests.
const MANIFESTS_MAX: usize = confidential_api::routing::ComputeManifestList::LEN_MAX;

pub(crate) const SILENT: &str = "did not begin to answer in time: its machines may be overloaded";

pub(crate) const OTHER_KEYS: &str =
    "rejects the key that it publishes: its operator must look at it";

/// A request to the router.
pub(super) fn head(method: Method, path: &'static str) -> RequestHead {
    let mut headers = HeaderMap::new();
    if method == Method::POST {
        let binary = HeaderValue::from_static(confidential_api::names::media::BINARY);
        headers.insert(CONTENT_TYPE, binary);
    }
    RequestHead {
        method,
        scheme: Scheme::Https,
        authority: host::ROUTER.to_owned(),
        path: PathAndQuery::from_static(path),
        headers,
    }
}
