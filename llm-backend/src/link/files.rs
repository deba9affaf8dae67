//! The files that a connection needs, read again when they change.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use chassis::{
    pem::{self, FileError},
    tls::{self, CertificateFiles},
    watched::WatchedFiles,
};
use http::HeaderValue;
use rustls::ClientConfig;
use zeroize::Zeroizing;

use crate::{
    Error,
    settings::{ApiKey, Tls},
};

const ALONE: &str = "a certificate and its key must be set together";

/// The contents of the files when they were last read.
#[derive(Clone, Default)]
pub(super) struct Loaded {
    /// The value of `Authorization`; marked as sensitive, so that it is not printed.
    pub(super) authorization: Option<HeaderValue>,
    /// For TLS, if there is a CA.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// The key and the certificates of one backend.
pub(super) struct Files {
    key: Option<ApiKey>,
    tls: Tls,
    /// Set once all of them could be read.
    watched: OnceLock<WatchedFiles<Loaded, Error>>,
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("key", &self.key).field("tls", &self.tls).finish()
    }
}

impl Files {
    /// Takes the files from the settings; each is read when it is needed.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] if the settings contain an invalid key, [`Error::File`] if they name a certificate without its
    /// key.
    pub(super) fn new(key: Option<ApiKey>, tls: Tls) -> Result<Self, Error> {
        if let Some(text @ ApiKey::Text(_)) = &key {
            bearer(text)?;
        }
        if let (Some(path), None) | (None, Some(path)) = (&tls.cert, &tls.key) {
            return Err(FileError::new(path, ALONE).into());
        }
        Ok(Self { key, tls, watched: OnceLock::new() })
    }

    /// The current contents of the files. While one of them cannot be used, their last valid contents.
    ///
    /// # Errors
    ///
    /// [`Error::Key`] or [`Error::File`] if they were never valid.
    pub(super) fn current(&self) -> Result<Loaded, Error> {
        if let Some(watched) = self.watched.get() {
            return Ok(watched.current());
        }
        let read = {
            let (key, tls) = (self.key.clone(), self.tls.clone());
            move || read(&key, &tls)
        };
        let paths = paths(&self.key, &self.tls).cloned().collect();
        let watched = WatchedFiles::load("a backend's key and certificates", paths, read)?;
        Ok(self.watched.get_or_init(|| watched).current())
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
                FileError::new(path, "it is not text: it must contain one line with the key")
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

/// The TLS configuration: it trusts only this CA, and sends our own certificate if there is one.
fn config(ca: &Path, tls: &Tls) -> Result<Arc<ClientConfig>, Error> {
    let own = match (&tls.cert, &tls.key) {
        (Some(certificate), Some(key)) => {
            Some(CertificateFiles { certificate: certificate.clone(), key: key.clone() })
        }
        (None, None) => None,
        (Some(path), None) | (None, Some(path)) => {
            return Err(FileError::new(path, ALONE).into());
        }
    };
    Ok(tls::client(ca, own.as_ref(), rustls::DEFAULT_VERSIONS)?)
}

#[cfg(test)]
mod tests;
