//! Identifies the client of a request, and limits requests by origin.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use chassis::problem::ErrorResponse;
use coordinator_core::forwarded::{self, ClientAddress, Network};
use governor::middleware::NoOpMiddleware;
use tokio_util::sync::CancellationToken;
use tower_governor::{
    GovernorError, GovernorLayer,
    governor::{GovernorConfig, GovernorConfigBuilder},
    key_extractor::KeyExtractor,
};

use crate::limits::{Caller, Origin, QueueEntry};

/// The header with the addresses of clients.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The header with the scheme that clients used.
const FORWARDED_PROTO: &str = "x-forwarded-proto";
/// Burst of requests per origin. The devices of a household reconnect at once after its router restarts.
const BURST: u32 = 256;
/// Time to regain one request.
const PERIOD: Duration = Duration::from_millis(125);
/// Requests without X-Forwarded-For before a warning: this machine's own agent bypasses the proxy.
const MISSING_MAX: u32 = 20;
/// Interval of removing origins with a full budget.
const FORGET: Duration = Duration::from_secs(60);

/// The connection of a request.
#[derive(Clone, Debug)]
pub(super) struct ConnectionInfo {
    /// The peer: a device or a proxy.
    pub(super) address: IpAddr,
    /// Whether it uses TLS.
    pub(super) is_tls: bool,
    /// The connection's place among the unauthenticated ones.
    pub(super) place: Arc<QueueEntry>,
}

/// Adds a [`Caller`] to each request, and limits requests by origin.
#[derive(Clone)]
pub(super) struct CallerLayer {
    trusted: Arc<[Network]>,
    forwarded: Arc<ForwardedHeaders>,
    /// Requests with X-Forwarded-For from peers that are not trusted.
    untrusted: Arc<AtomicU32>,
    rates: Arc<Rates>,
}

type Rates = GovernorConfig<OriginKeyExtractor, NoOpMiddleware>;

impl CallerLayer {
    /// Trusts X-Forwarded-For of these proxies only.
    #[allow(clippy::expect_used, reason = "the two numbers above are not zero")]
    pub(super) fn new(trusted: Vec<Network>) -> Self {
        let rates = GovernorConfigBuilder::default()
            .period(PERIOD)
            .burst_size(BURST)
            .key_extractor(OriginKeyExtractor)
            .finish()
            .expect("a rate");
        Self {
            trusted: trusted.into(),
            forwarded: Arc::default(),
            untrusted: Arc::default(),
            rates: Arc::new(rates),
        }
    }

    /// Whether `address` is a trusted proxy.
    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// Adds both layers to `router`.
    pub(super) fn around(&self, router: Router) -> Router {
        let rates = GovernorLayer::new(Arc::clone(&self.rates)).error_handler(too_often);
        router.layer(rates).layer(middleware::from_fn_with_state(self.clone(), identify))
    }

    /// Removes origins that have been quiet, until `stop` is cancelled.
    pub(super) async fn forget(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(FORGET)).await.is_some() {
            self.rates.limiter().retain_recent();
            self.rates.limiter().shrink_to_fit();
        }
    }

    /// Whether a request came over TLS, on this connection or to a trusted proxy.
    fn is_secure(&self, arrival: &ConnectionInfo, request: &Request) -> bool {
        let headers = request.headers().get_all(FORWARDED_PROTO).iter();
        arrival.is_tls
            || self.is_proxy(arrival.address)
                && forwarded::is_https(headers.map(|value| value.as_bytes()))
    }

    /// The client's address. Problems with proxies are logged once, so that callers cannot fill the log.
    fn address(&self, peer: IpAddr, request: &Request) -> IpAddr {
        let headers = request.headers().get_all(FORWARDED_FOR).iter();
        match forwarded::client_address(peer, &self.trusted, headers.map(|value| value.as_bytes()))
        {
            ClientAddress::Direct(address) => address,
            ClientAddress::Forwarded(address) => {
                self.forwarded.record_present();
                address
            }
            ClientAddress::Missing => {
                if self.forwarded.record_missing() {
                    tracing::warn!(
                        %peer,
                        "the reverse proxy does not set X-Forwarded-For, so all devices share one rate limit: configure it to set \
                         the header"
                    );
                }
                peer
            }
            ClientAddress::Untrusted(peer) => {
                if self.untrusted.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!(
                        %peer,
                        "ignoring X-Forwarded-For of an untrusted peer: if it is your reverse proxy, add it to `trusted` under \
                         [proxy] in coordinator.toml"
                    );
                }
                peer
            }
        }
    }
}

async fn identify(
    State(callers): State<CallerLayer>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(arrival) = request.extensions_mut().remove::<ConnectionInfo>() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let origin = callers.address(arrival.address, &request).into();
    let is_secure = callers.is_secure(&arrival, &request);
    request.extensions_mut().insert(Caller { origin, is_secure, place: arrival.place });
    next.run(request).await
}

/// Whether trusted proxies set X-Forwarded-For.
#[derive(Debug, Default)]
struct ForwardedHeaders {
    /// Whether one ever did.
    ever: AtomicBool,
    /// Requests without the header.
    missing: AtomicU32,
}

impl ForwardedHeaders {
    /// Records a request with the header.
    fn record_present(&self) {
        if !self.ever.load(Ordering::Relaxed) {
            self.ever.store(true, Ordering::Relaxed);
        }
    }

    /// Counts a request without the header; true when it becomes clear that no proxy sets it.
    fn record_missing(&self) -> bool {
        self.missing.fetch_add(1, Ordering::Relaxed) == MISSING_MAX
            && !self.ever.load(Ordering::Relaxed)
    }
}

/// Keys the rate limit by the [`Caller`]'s origin.
#[derive(Clone, Copy, Debug)]
struct OriginKeyExtractor;

impl KeyExtractor for OriginKeyExtractor {
    type Key = Origin;

    fn extract<T>(&self, request: &axum::http::Request<T>) -> Result<Origin, GovernorError> {
        let caller = request.extensions().get::<Caller>();
        caller.map(|caller| caller.origin).ok_or(GovernorError::UnableToExtractKey)
    }
}

fn too_often(error: GovernorError) -> Response {
    match error {
        GovernorError::TooManyRequests { wait_time, .. } => {
            let wait_s = wait_time.max(1);
            let what = "too many requests from this address";
            ErrorResponse::new(StatusCode::TOO_MANY_REQUESTS, "limit", what)
                .detail("wait, then try again")
                .retry_after(wait_s)
                .into_response()
        }
        GovernorError::UnableToExtractKey | GovernorError::Other { .. } => {
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_silent_only_if_it_never_said_for_whom_it_calls() {
        let warnings = |told: &ForwardedHeaders| {
            (0..10 * MISSING_MAX).filter(|_| told.record_missing()).count()
        };

        let silent = ForwardedHeaders::default();
        assert_eq!(warnings(&silent), 1, "once, not with every request");

        let speaks = ForwardedHeaders::default();
        speaks.record_present();
        assert_eq!(warnings(&speaks), 0, "the agent of this machine calls without the proxy");
    }
}
