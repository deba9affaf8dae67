//! Certificates and private keys in PEM files.

use std::{
    borrow::Cow,
    error::Error,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};
use zeroize::Zeroizing;

/// Longest file, in bytes: a certificate chain has some thousands.
const FILE_MAX: u64 = 1 << 20;

/// A file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be used: {reason}", .path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and what to do.
    pub reason: Cow<'static, str>,
    /// The cause, if there is one below.
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl FileError {
    /// An error without a cause.
    #[must_use]
    pub fn new(path: &Path, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { path: path.to_owned(), reason: reason.into(), source: None }
    }

    /// An error with a cause.
    #[must_use]
    pub fn caused(
        path: &Path,
        reason: impl Into<Cow<'static, str>>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self { source: Some(Box::new(source)), ..Self::new(path, reason) }
    }
}

/// The validity period of a certificate (RFC 5280, section 4.1.2.5), in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// `notBefore`.
    pub begins: i64,
    /// `notAfter`.
    pub ends: i64,
}

impl Validity {
    /// Reads it; `None` if the certificate cannot be parsed.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let millis = |time: x509_parser::time::ASN1Time| time.timestamp().saturating_mul(1000);
        let validity = parsed.validity();
        Some(Self { begins: millis(validity.not_before), ends: millis(validity.not_after) })
    }
}

/// Reads the certificates of a file, in order.
///
/// # Errors
///
/// The file cannot be read, or has none.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let bytes = contents(path)?;
    let list: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| FileError::caused(path, "it is not PEM", error))?;
    if list.is_empty() {
        return Err(FileError::new(path, "it holds no certificate in PEM"));
    }
    Ok(list)
}

/// Reads the private key of a file.
///
/// # Errors
///
/// The file cannot be read, or has none.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    PrivateKeyDer::from_pem_slice(&contents(path)?)
        .map_err(|error| FileError::caused(path, "it holds no private key in PEM", error))
}

/// Reads a secret of at most 1 MiB from a file that only its owner may read or write.
///
/// # Errors
///
/// The file cannot be read, is too long, or others may read it.
pub fn secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    read(
        path,
        |mode| {
            if mode & 0o077 == 0 { Ok(()) } else { Err("others may read it: chmod 600".into()) }
        },
    )
}

/// Reads a file of at most 1 MiB into memory that is zeroed when dropped.
///
/// # Errors
///
/// The file cannot be read, or is too long.
pub fn contents(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    read(path, |_| Ok(()))
}

/// Reads a file after `check` accepts its mode.
fn read(
    path: &Path,
    check: impl FnOnce(u32) -> Result<(), Cow<'static, str>>,
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let mut bytes = Zeroizing::new(Vec::new());
    let cannot = |error: io::Error| {
        FileError::caused(path, "it cannot be read: check who may read it", error)
    };
    let file = File::open(path).map_err(cannot)?;
    let mode = file.metadata().map_err(cannot)?.permissions().mode();
    check(mode).map_err(|reason| FileError::new(path, reason))?;
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > FILE_MAX {
        return Err(FileError::new(path, "it is longer than a key or certificates are"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn a_secret_is_its_owners_alone() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path();
        for (mode, taken) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(secret(path).is_ok(), taken, "{mode:o}");
            assert!(contents(path).is_ok());
        }
        assert!(secret(path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn the_life_of_a_certificate_is_read() {
        let mut params = CertificateParams::new(vec!["maru.example.org".to_owned()]).unwrap();
        [params.not_before, params.not_after] = [5, 8].map(|month| date_time_ymd(2026, month, 1));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();

        // `date -d 2026-05-01T00:00Z +%s`, and of 2026-08-01.
        let life = Validity { begins: 1_777_593_600_000, ends: 1_785_542_400_000 };
        assert_eq!(Validity::of(certificate.der()), Some(life));
        assert_eq!(Validity::of(&CertificateDer::from(vec![0x30, 0])), None);
    }
}
