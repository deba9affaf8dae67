//! Who sends a request, and how often one may.

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

use crate::limits::{Caller, Origin, Place};

/// The header in which proxies say for whom they call.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The header in which they say how they were called.
const FORWARDED_PROTO: &str = "x-forwarded-proto";
/// Requests that one origin may send at once. A household comes back together after its router restarts.
const BURST: u32 = 256;
/// Time after which it may send one more.
const PERIOD: Duration = Duration::from_millis(125);
/// Requests of which a trusted proxy need not say from whom they are: this machine's own agent calls without a proxy.
const MISSING_MAX: u32 = 20;
/// How often origins are forgotten that may send as many as ever.
const FORGET: Duration = Duration::from_secs(60);

/// The connection on which a request comes.
#[derive(Clone, Debug)]
pub(super) struct ConnectionInfo {
    /// Whoever called: a device, or a proxy.
    pub(super) address: IpAddr,
    /// Whether it speaks TLS.
    pub(super) is_tls: bool,
    /// The connection's place among those of whom nothing is known yet.
    pub(super) place: Arc<Place>,
}

/// Tells who sends the requests on a connection, and bounds how many each origin sends.
#[derive(Clone)]
pub(super) struct CallerLayer {
    trusted: Arc<[Network]>,
    forwarded: Arc<ForwardedHeaders>,
    /// Requests of which somebody said so who is not trusted.
    pretended: Arc<AtomicU32>,
    rates: Arc<Rates>,
}

type Rates = GovernorConfig<OriginKeyExtractor, NoOpMiddleware>;

impl CallerLayer {
    /// Believes these proxies and nobody else.
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
            pretended: Arc::default(),
            rates: Arc::new(rates),
        }
    }

    /// Whether `address` is a trusted proxy's.
    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// Puts both before every answer of `router`. Requests then carry a [`Caller`].
    pub(super) fn around(&self, router: Router) -> Router {
        let rates = GovernorLayer::new(Arc::clone(&self.rates)).error_handler(too_often);
        router.layer(rates).layer(middleware::from_fn_with_state(self.clone(), identify))
    }

    /// Forgets who has been quiet, until `stop` is cancelled: there are more addresses than memory.
    pub(super) async fn forget(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(FORGET)).await.is_some() {
            self.rates.limiter().retain_recent();
            self.rates.limiter().shrink_to_fit();
        }
    }

    /// Whether a request came over TLS: on this connection, or to a trusted proxy, as far as that says.
    fn is_secure(&self, arrival: &ConnectionInfo, request: &Request) -> bool {
        let headers = request.headers().get_all(FORWARDED_PROTO).iter();
        arrival.is_tls
            || self.is_proxy(arrival.address)
                && forwarded::is_https(headers.map(|value| value.as_bytes()))
    }

    /// Where a request comes from. What is wrong with proxies is logged once: who causes it must not fill the log.
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
                        "the reverse proxy does not say for whom it calls, so all devices count as one: let it set \
                         X-Forwarded-For"
                    );
                }
                peer
            }
            ClientAddress::Untrusted(peer) => {
                if self.pretended.fetch_add(1, Ordering::Relaxed) == 0 {
                    tracing::warn!(
                        %peer,
                        "somebody sends X-Forwarded-For and is not believed: if it is your reverse proxy, add it to \
                         `trusted` under [proxy] in coordinator.toml"
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

/// Whether trusted proxies say for whom they call.
#[derive(Debug, Default)]
struct ForwardedHeaders {
    /// Whether one ever did.
    ever: AtomicBool,
    /// Requests of which one did not.
    untold: AtomicU32,
}

impl ForwardedHeaders {
    /// Records that a proxy said for whom it calls.
    fn record_present(&self) {
        if !self.ever.load(Ordering::Relaxed) {
            self.ever.store(true, Ordering::Relaxed);
        }
    }

    /// Counts a request of which a proxy did not say it; whether it is now plain, for the first time, that none does.
    fn record_missing(&self) -> bool {
        self.untold.fetch_add(1, Ordering::Relaxed) == MISSING_MAX
            && !self.ever.load(Ordering::Relaxed)
    }
}

/// Counts requests by the origin of their [`Caller`].
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
