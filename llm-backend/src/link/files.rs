//! The files that a connection needs, read again when they change.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use chassis::{
    pem::{self, FileError},
    watched::Watched,
};
use http::HeaderValue;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use zeroize::Zeroizing;

use crate::{
    Error,
    settings::{ApiKey, Tls},
};

/// What the files said when they were last read.
#[derive(Clone, Default)]
pub(super) struct Loaded {
    /// The value of `Authorization`; marked so that nothing prints it.
    pub(super) authorization: Option<HeaderValue>,
    /// For TLS, if there is a CA.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// The key and the certificates of one backend.
pub(super) struct Files {
    key: Option<ApiKey>,
    tls: Tls,
    watched: Watched<Loaded, Error>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("key", &self.key).field("tls", &self.tls).finish()
    }
}

impl Files {
    /// Reads the files for the first time.
    pub(super) fn load(key: Option<ApiKey>, tls: Tls) -> Result<Self, Error> {
        let read = {
            let (key, tls) = (key.clone(), tls.clone());
            move || read(&key, &tls)
        };
        let paths = paths(&key, &tls).cloned().collect();
        let watched = Watched::load("a backend's key and certificates", paths, read)?;
        Ok(Self { key, tls, watched })
    }

    /// What the files say now, as [`Watched::current`] has it.
    pub(super) fn current(&self) -> Loaded {
        self.watched.current()
    }
}

fn paths<'a>(key: &'a Option<ApiKey>, tls: &'a Tls) -> impl Iterator<Item = &'a PathBuf> {
    let key = match key {
        Some(ApiKey::File(path)) => Some(path),
        Some(ApiKey::Text(_)) | None => None,
    };
    [key, tls.ca.as_ref(), tls.cert.as_ref(), tls.key.as_ref()].into_iter().flatten()
}

fn read(key: &Option<ApiKey>, tls: &Tls) -> Result<Loaded, Error> {
    let authorization = key.as_ref().map(bearer).transpose()?;
    let tls = tls.ca.as_ref().map(|ca| config(ca, tls)).transpose()?;
    Ok(Loaded { authorization, tls })
}

/// The header that carries the key.
fn bearer(key: &ApiKey) -> Result<HeaderValue, Error> {
    let (text, path) = match key {
        ApiKey::Text(text) => (text.clone(), None),
        ApiKey::File(path) => {
            let bytes = pem::contents(path)?;
            let text = std::str::from_utf8(&bytes).map_err(|_| {
                FileError::new(path, "it is not text: write the key on its one line")
            })?;
            (Zeroizing::new(text.to_owned()), Some(path))
        }
    };
    let text = text.trim();
    let visible = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    let header = Zeroizing::new(format!("Bearer {text}"));
    match HeaderValue::from_str(&header) {
        Ok(mut value) if visible => {
            value.set_sensitive(true);
            Ok(value)
        }
        Ok(_) | Err(_) => Err(Error::Key(path.cloned())),
    }
}

/// How TLS is spoken: to servers with a certificate of this CA alone, with our own certificate if there is one.
fn config(ca: &Path, tls: &Tls) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(ca)? {
        roots
            .add(certificate)
            .map_err(|error| FileError::caused(ca, "a certificate in it is broken", error))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| FileError::caused(ca, "TLS is not available", error))?
        .with_root_certificates(roots);
    let mut config = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => {
            let chain = pem::certificates(cert)?;
            builder.with_client_auth_cert(chain, pem::private_key(key)?).map_err(|error| {
                FileError::caused(cert, "it does not belong to the private key", error)
            })?
        }
        (None, None) => builder.with_no_client_auth(),
        (Some(path), None) | (None, Some(path)) => {
            let reason = "a certificate and its key are named together or not at all";
            return Err(FileError::new(path, reason).into());
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests;
