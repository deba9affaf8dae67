//! Checks that devices will accept the coordinator's certificate.

use std::{path::Path, sync::Arc};

use chassis::pem::{self, FileError, Validity};
use coordinator_core::time::{Millis, to_rfc3339};
use rustls::{
    client::verify_server_name,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
    server::ParsedCertificate,
    sign::CertifiedKey,
};

/// Reads a certificate and its key, and checks that it is valid for `host`.
pub(super) fn read(
    certificate: &Path,
    key: &Path,
    host: &str,
    now: Millis,
) -> Result<Arc<CertifiedKey>, FileError> {
    let chain = pem::certificates(certificate)?;
    let private = pem::private_key(key)?;
    check(certificate, &chain, host, now)?;
    let certified = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider());
    let certified = certified.map_err(|error| {
        let reason = format!("it does not belong to the private key in {}", key.display());
        FileError::caused(certificate, reason, error)
    })?;
    Ok(Arc::new(certified))
}

/// Checks the first certificate of the chain.
fn check(
    path: &Path,
    chain: &[CertificateDer<'static>],
    host: &str,
    now: Millis,
) -> Result<(), FileError> {
    let broken = || FileError::new(path, "a certificate in it is broken");
    let first = chain.first().ok_or_else(broken)?;
    let life = Validity::of(first).ok_or_else(broken)?;
    if life.ends < now {
        let reason = format!("it expired at {}: renew it", to_rfc3339(life.ends));
        return Err(FileError::new(path, reason));
    }
    if life.begins > now {
        let begins = to_rfc3339(life.begins);
        let reason = format!("it is valid from {begins} on: wait, or correct this machine's clock");
        return Err(FileError::new(path, reason));
    }
    let name = ServerName::try_from(host).map_err(|_| broken())?;
    let parsed = ParsedCertificate::try_from(first).map_err(|_| broken())?;
    verify_server_name(&parsed, &name).map_err(|error| {
        let reason = format!(
            "it is not for {host}: get one for that host, or correct `server_url` in coordinator.toml"
        );
        FileError::caused(path, reason, error)
    })
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use coordinator_core::time::parse_rfc3339;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn at(text: &str) -> Millis {
        parse_rfc3339(&format!("{text}T00:00:00Z")).unwrap()
    }

    /// From the first of a month of 2026 to that of another.
    fn made(folder: &Path, name: &str, months: [u8; 2]) -> [PathBuf; 2] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["maru.example.org".to_owned()]).unwrap();
        [params.not_before, params.not_after] = months.map(|month| date_time_ymd(2026, month, 1));
        let files = ["cert", "key"].map(|what| folder.join(format!("{name}-{what}.pem")));
        fs::write(&files[0], params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&files[1], key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn what_devices_would_not_take_is_refused_by_file() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name, months| made(folder.path(), name, months);
        let now = at("2026-06-01");
        let [good, key] = made("good", [5, 8]);
        let [past, past_key] = made("past", [2, 5]);
        let [early, early_key] = made("early", [7, 9]);
        let host = "maru.example.org";
        let refusal = |certificate: &Path, key: &Path, host: &str| {
            read(certificate, key, host, now).unwrap_err().to_string()
        };

        assert!(read(&good, &key, host, now).is_ok());
        for (refused, said) in [
            (
                refusal(&past, &past_key, host),
                "past-cert.pem cannot be used: it expired at 2026-05-01T00",
            ),
            (
                refusal(&early, &early_key, host),
                "early-cert.pem cannot be used: it is valid from 2026-07-01T00",
            ),
            (refusal(&good, &past_key, host), "past-key.pem"),
            (refusal(&good, &key, "maru.example.com"), "it is not for maru.example.com"),
            (refusal(&good, &key, "192.0.2.1"), "it is not for 192.0.2.1"),
            (refusal(&key, &key, host), "good-key.pem cannot be used: it holds no certificate"),
            (refusal(&good, &good, host), "good-cert.pem cannot be used: it holds no private key"),
            (
                refusal(&folder.path().join("none"), &key, host),
                "none cannot be used: it cannot be read",
            ),
        ] {
            assert!(refused.contains(said), "{refused}");
        }
    }
}
