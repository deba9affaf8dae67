//! The page that explains how a device comes to trust the network's authority: plain HTTP on the port of HTTPS.
//!
//! The agent answers by itself, so that no service behind it can offer another certificate. The way to this page is WireGuard,
//! which is as trustworthy as the certificate.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use chassis::{
    endpoint::{self, Served, serve},
    page::{Page, escaped},
};
use messages::message;
use node_agent_api::endpoints::{ROOT_FILE, ROOT_PEM, TRUST_PAGE};
use qrcode::{Color, EcLevel, QrCode};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use services::{HTTPS_PORT, ROOMS};
use sha2::{Digest as _, Sha256};

use super::authority::{Authority, AuthorityError};

/// Longest head of a request.
pub(crate) const HEAD_MAX: usize = 16 << 10;
/// Light modules around a QR code (ISO/IEC 18004, section 6.3.8).
const QUIET: usize = 4;

/// The page of one network, and the certificate.
#[derive(Clone, Debug)]
pub(crate) struct TrustPage(Arc<Content>);

#[derive(Debug)]
struct Content {
    page: Page,
    der: CertificateDer<'static>,
    pem: String,
}

impl TrustPage {
    /// The page of this authority, which issues certificates for these names.
    pub(crate) fn new<'a>(
        authority: &Authority,
        hosts: impl Iterator<Item = &'a String>,
    ) -> Result<Self, AuthorityError> {
        let der = CertificateDer::from_pem_slice(authority.root.as_bytes())
            .map_err(|error| AuthorityError::Unusable(error.into()))?;
        let address = address(&authority.network);
        let mut names: Vec<_> = hosts.map(|host| escaped(&format!("https://{host}"))).collect();
        names.sort();
        let text = message!(
            "page-trust",
            network = escaped(&authority.network.to_string()),
            names = names.join(", "),
            fingerprint = fingerprint(&der),
            address = escaped(&address),
            code = drawing(&address).unwrap_or_default(),
            file = ROOT_FILE.declaration.path
        );
        let page = Page::new(StatusCode::OK, text);
        Ok(Self(Arc::new(Content { page, der, pem: authority.root.clone() })))
    }

    /// The page and the certificate.
    pub(crate) fn router(&self) -> Router {
        endpoint::router(endpoints()).with_state(self.clone())
    }

    fn file(&self) -> Response {
        let headers = [
            // Android, iOS and Windows install a file of this type.
            (header::CONTENT_TYPE, "application/x-x509-ca-cert"),
            (header::CONTENT_DISPOSITION, "attachment; filename=\"maru.crt\""),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (headers, self.0.der.to_vec()).into_response()
    }
}

/// The endpoints.
pub(crate) fn endpoints() -> [Served<TrustPage>; 3] {
    let page = |State(this): State<TrustPage>, headers: HeaderMap| async move {
        this.0.page.response(&headers)
    };
    [
        serve(&TRUST_PAGE, page),
        serve(&ROOT_FILE, |State(this): State<TrustPage>| async move { this.file() }),
        serve(&ROOT_PEM, |State(this): State<TrustPage>| async move { this.0.pem.clone() }),
    ]
}

/// Where the page of a network is.
pub(crate) fn address(network: &impl std::fmt::Display) -> String {
    format!("http://{ROOMS}.{network}:{HTTPS_PORT}/")
}

/// The SHA-256 fingerprint, as browsers and operating systems show it.
fn fingerprint(der: &[u8]) -> String {
    let pairs: Vec<_> = Sha256::digest(der).iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

/// A QR code as SVG, which a page may contain although it loads nothing.
fn drawing(text: &str) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
    let (width, colors) = (code.width(), code.to_colors());
    let dark = (0..width * width).filter(|at| colors[*at] == Color::Dark);
    let path: String =
        dark.map(|at| format!("M{} {}h1v1h-1z", at % width + QUIET, at / width + QUIET)).collect();
    let side = width + 2 * QUIET;
    Some(format!(
        "<svg viewBox=\"0 0 {side} {side}\" width=\"240\" height=\"240\"><path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/>\
         <path fill=\"#000\" d=\"{path}\"/></svg>"
    ))
}
