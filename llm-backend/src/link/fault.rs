//! Errors of requests: no answer, or a refusal. Each says what to do.

use std::{error::Error as StdError, io, sync::Arc};

use chassis::unix::ConnectError;
use http::StatusCode;

use super::{
    Client,
    reason::{
        ABSENT, ANOTHER, BUSY, CROWDED, Failure, HUNG_UP, LOADING, OUT_OF_TIME, SILENT, UNTRUSTED,
    },
};
use crate::{
    error::{Cause, Detail, Error, FAILED},
    refusal::{Refusal, is_loading, unsupported},
};

impl Client {
    /// [`Error::Refused`] with this message.
    pub(crate) fn refused(&self, status: StatusCode, message: impl Into<String>) -> Error {
        let (backend, message) = (self.name.clone(), message.into());
        Error::Refused { backend, status: status.as_u16(), message, detail: Detail::default() }
    }

    pub(super) fn refusal(&self, status: StatusCode, body: &[u8]) -> Error {
        let refusal = Refusal::in_body(body);
        let message = refusal.message.as_deref();
        if status == StatusCode::INTERNAL_SERVER_ERROR
            && let Some(message) = message.and_then(unsupported)
        {
            return self.refused(StatusCode::BAD_REQUEST, message);
        }
        match status {
            StatusCode::SERVICE_UNAVAILABLE if is_loading(message) => self.busy(LOADING),
            StatusCode::SERVICE_UNAVAILABLE => self.busy(BUSY),
            StatusCode::TOO_MANY_REQUESTS => self.busy(CROWDED),
            // llama-server answers 501 if it was started without the feature, which is not a fault.
            status if status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED => {
                self.unreachable(FAILED, true, None)
            }
            status => refusal.refused(self.name.clone(), status.as_u16()),
        }
    }

    pub(super) fn fault(&self, failure: Failure) -> Error {
        let (reason, arrived, source): (_, _, Cause) = match failure {
            Failure::Files(error) => return error,
            Failure::Connect(error) if ConnectError::of(&error).is_some() => {
                (ANOTHER, false, Arc::new(error))
            }
            Failure::Connect(error) => (ABSENT, false, Arc::new(error)),
            Failure::Http(error) => (HUNG_UP, true, Arc::new(error)),
        };
        if let Some(error) = tls_error(source.as_ref()) {
            let reason = if is_about_time(error) { OUT_OF_TIME } else { UNTRUSTED };
            return self.unreachable(reason, false, Some(source));
        }
        self.unreachable(reason, arrived, Some(source))
    }

    /// The error for a backend that did not answer in time.
    pub(crate) fn silent(&self) -> Error {
        self.unreachable(SILENT, true, None)
    }

    /// The error for a backend that reported a failure.
    pub(crate) fn failed(&self) -> Error {
        self.unreachable(FAILED, true, None)
    }

    /// The error for a backend that is full.
    pub(crate) fn full(&self) -> Error {
        self.busy(BUSY)
    }

    fn busy(&self, reason: &'static str) -> Error {
        Error::Busy { backend: self.name.clone(), reason }
    }

    pub(super) fn unreachable(
        &self,
        reason: &'static str,
        arrived: bool,
        source: Option<Cause>,
    ) -> Error {
        Error::Unreachable { backend: self.name.clone(), reason, arrived, source }
    }
}

/// The TLS error among the causes, if there is one.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let inner = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(found) = error.downcast_ref::<rustls::Error>().or(inner) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Whether a certificate has expired or is not valid yet, by our clock or by the server's.
fn is_about_time(error: &rustls::Error) -> bool {
    use rustls::{AlertDescription, CertificateError};
    matches!(
        error,
        rustls::Error::AlertReceived(AlertDescription::CertificateExpired)
            | rustls::Error::InvalidCertificate(
                CertificateError::Expired
                    | CertificateError::ExpiredContext { .. }
                    | CertificateError::NotValidYet
                    | CertificateError::NotValidYetContext { .. }
            )
    )
}
