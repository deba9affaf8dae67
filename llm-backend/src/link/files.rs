//! The files that a connection needs, read again when they change.

use std::{
    fmt, fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use http::HeaderValue;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use zeroize::Zeroizing;

use crate::{
    Error,
    settings::{ApiKey, Tls},
};

/// Longest file that is read, in bytes: a chain of certificates has some thousands.
const FILE_MAX: u64 = 1 << 20;

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
    state: Mutex<State>,
}

struct State {
    loaded: Loaded,
    /// How the files looked when they were last read, or tried to be.
    seen: Vec<Option<Stamp>>,
}

/// What of a file differs once it was exchanged or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    /// Last change of content or of the inode itself: seconds and nanoseconds.
    changed: (i64, i64),
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files").field("key", &self.key).field("tls", &self.tls).finish()
    }
}

impl Files {
    /// Reads the files for the first time.
    pub(super) fn load(key: Option<ApiKey>, tls: Tls) -> Result<Self, Error> {
        let seen = stamps(&key, &tls);
        let loaded = read(&key, &tls)?;
        Ok(Self { key, tls, state: Mutex::new(State { loaded, seen }) })
    }

    /// What the files say now. While one of them cannot be used, what they said before: an exchange of several files
    /// is not one step.
    pub(super) fn current(&self) -> Loaded {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at before they are read, so that a change in between is found the next time.
        let seen = stamps(&self.key, &self.tls);
        if seen != state.seen {
            state.seen = seen;
            match read(&self.key, &self.tls) {
                Ok(loaded) => {
                    tracing::info!("a backend's key or certificates were read again");
                    state.loaded = loaded;
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "a backend's key and certificates stay as they were");
                }
            }
        }
        state.loaded.clone()
    }
}

fn paths<'a>(key: &'a Option<ApiKey>, tls: &'a Tls) -> impl Iterator<Item = &'a PathBuf> {
    let key = match key {
        Some(ApiKey::File(path)) => Some(path),
        Some(ApiKey::Text(_)) | None => None,
    };
    [key, tls.ca.as_ref(), tls.cert.as_ref(), tls.key.as_ref()].into_iter().flatten()
}

fn stamps(key: &Option<ApiKey>, tls: &Tls) -> Vec<Option<Stamp>> {
    let stamp = |path: &PathBuf| {
        let file = fs::metadata(path).ok()?;
        let changed = (file.ctime(), file.ctime_nsec());
        Some(Stamp { inode: file.ino(), bytes: file.size(), changed })
    };
    paths(key, tls).map(stamp).collect()
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
            let bytes = contents(path)?;
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| unusable(path, "it is not text: write the key on its one line"))?;
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
    for certificate in certificates(ca)? {
        roots
            .add(certificate)
            .map_err(|error| failed(ca, "a certificate in it is broken", error))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(ca, "TLS is not available", error))?
        .with_root_certificates(roots);
    let mut config = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => {
            let bytes = contents(key)?;
            let private = PrivateKeyDer::from_pem_slice(&bytes)
                .map_err(|error| failed(key, "it holds no private key in PEM", error))?;
            builder
                .with_client_auth_cert(certificates(cert)?, private)
                .map_err(|error| failed(cert, "it does not belong to the private key", error))?
        }
        (None, None) => builder.with_no_client_auth(),
        (Some(path), None) | (None, Some(path)) => {
            return Err(unusable(
                path,
                "a certificate and its key are named together or not at all",
            ));
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = contents(path)?;
    let list: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| failed(path, "it is not PEM", error))?;
    if list.is_empty() {
        return Err(unusable(path, "it holds no certificate in PEM"));
    }
    Ok(list)
}

fn contents(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut bytes = Zeroizing::new(Vec::new());
    let cannot = |error: io::Error| failed(path, "it cannot be read: check who may read it", error);
    let file = fs::File::open(path).map_err(cannot)?;
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_MAX {
        return Err(unusable(path, "it is longer than a key or certificates are"));
    }
    Ok(bytes)
}

fn unusable(path: &Path, reason: &'static str) -> Error {
    Error::File { path: path.to_owned(), reason, source: None }
}

fn failed(
    path: &Path,
    reason: &'static str,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::File { path: path.to_owned(), reason, source: Some(Box::new(source)) }
}

#[cfg(test)]
mod tests;
