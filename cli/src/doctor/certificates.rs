//! Checks of the certificates of this machine's coordinator and relay: how long they are still valid.

use std::{
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use chassis::pem::{self, Validity};
use coordinator_api::settings::Settings;
use coordinator_core::time::{self, DAY, Millis};
use messages::{Message, message};

use crate::finding::Finding;

/// A certificate that is valid for fewer days is a warning: ACME authorities issue them for 90 days, and clients renew them when
/// 30 are left.
const SOON_DAYS: i64 = 14;
/// The coordinator's certificate from an ACME authority, below the root.
const ISSUED: &str = "var/lib/maru/coordinator/acme/certificate.pem";
/// The folder of the relay's certificates, one for each host name that it had.
const RELAY: &str = "var/lib/maru/relay";

/// A certificate's file, and what to do if it cannot be used.
struct CertificateFile {
    id: &'static str,
    path: PathBuf,
    fix: Message,
}

/// The state of each of [`files`].
pub(super) fn check(root: &Path, settings: &Settings) -> Vec<Finding> {
    let now = time::from_system(SystemTime::now());
    files(root, settings).iter().map(|file| finding(file, now)).collect()
}

/// The id of each of [`files`], and when that certificate ends; `None` if it cannot be read.
pub(crate) fn ends(root: &Path, settings: &Settings) -> Vec<(&'static str, Option<Millis>)> {
    let end = |file: &CertificateFile| {
        let chain = pem::certificates(&file.path).ok()?;
        chain.first().and_then(Validity::of).map(|life| life.ends)
    };
    files(root, settings).iter().map(|file| (file.id, end(file))).collect()
}

/// Every certificate that the settings name, and the relay's.
fn files(root: &Path, settings: &Settings) -> Vec<CertificateFile> {
    let mut files = Vec::new();
    if let Some(tls) = &settings.tls {
        if tls.acme.is_some() {
            files.push(CertificateFile {
                id: "certificate",
                path: root.join(ISSUED),
                fix: message!("fix-acme"),
            });
        } else if let Some(path) = &tls.certificate {
            files.push(CertificateFile {
                id: "certificate",
                path: root.join(path),
                fix: message!("fix-certificate"),
            });
        }
    }
    files.extend(relays(root));
    files
}

/// The relay's certificates, which it creates when it starts.
fn relays(root: &Path) -> Vec<CertificateFile> {
    let Ok(entries) = std::fs::read_dir(root.join(RELAY)) else { return Vec::new() };
    let is_certificate = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("certificate-") && name.ends_with(".pem")
    };
    let paths = entries.flatten().map(|entry| entry.path()).filter(is_certificate);
    let file = |path| {
        let fix = message!("fix-relay-certificate");
        CertificateFile { id: "relay-certificate", path, fix }
    };
    paths.map(file).collect()
}

fn finding(file: &CertificateFile, now: Millis) -> Finding {
    let shown = file.path.display();
    let life = match pem::certificates(&file.path) {
        Ok(chain) => chain.first().and_then(Validity::of),
        Err(error) => {
            return match error.source.as_deref().and_then(|error| error.downcast_ref::<io::Error>())
            {
                Some(error) if error.kind() == io::ErrorKind::PermissionDenied => Finding::warning(
                    file.id,
                    message!("only-root-looks", path = shown),
                    "sudo maru doctor",
                ),
                Some(error) if error.kind() == io::ErrorKind::NotFound => Finding::error(
                    file.id,
                    message!("file-missing", path = shown),
                    file.fix.clone(),
                ),
                Some(_) | None => Finding::error(file.id, error.to_string(), file.fix.clone()),
            };
        }
    };
    match life {
        Some(life) => remaining(file, life, now),
        None => {
            Finding::error(file.id, message!("certificate-broken", path = shown), file.fix.clone())
        }
    }
}

/// Judges a certificate by its remaining whole days.
fn remaining(file: &CertificateFile, life: Validity, now: Millis) -> Finding {
    let (id, shown) = (file.id, file.path.display());
    if life.begins > now {
        let text = message!("certificate-early", path = shown, days = (life.begins - now) / DAY);
        return Finding::error(id, text, message!("fix-clock"));
    }
    if life.ends < now {
        let text = message!("certificate-expired", path = shown, days = (now - life.ends) / DAY);
        return Finding::error(id, text, file.fix.clone());
    }
    let left = (life.ends - now) / DAY;
    if left < SOON_DAYS {
        return Finding::warning(
            id,
            message!("certificate-ends", path = shown, days = left),
            file.fix.clone(),
        );
    }
    Finding::ok(id, message!("certificate-holds", path = shown, days = left))
}

#[cfg(test)]
mod tests {
    use coordinator_api::settings::{Acme, Tls};
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::finding::Severity;

    /// From 2026-05-01 to 2026-08-01.
    fn write(path: &Path) {
        let mut params = CertificateParams::new(vec!["maru.example.org".to_owned()]).unwrap();
        [params.not_before, params.not_after] = [5, 8].map(|month| date_time_ymd(2026, month, 1));
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, made.pem()).unwrap();
    }

    #[test]
    fn a_certificate_is_judged_by_the_days_that_it_still_holds() {
        let root = tempfile::tempdir().unwrap();
        let file = |path: &str| CertificateFile {
            id: "certificate",
            path: root.path().join(path),
            fix: "renew it".into(),
        };
        let good = file("cert.pem");
        write(&good.path);
        // 2026-08-01.
        let end = 1_785_542_400_000;

        for (now, severity, said) in [
            (end - 92 * DAY - 1, Severity::Error, "cert.pem becomes valid in less than a day"),
            (end - 61 * DAY, Severity::Ok, "cert.pem is valid for 61 days"),
            (end - 14 * DAY, Severity::Ok, "cert.pem is valid for 14 days"),
            (end - 14 * DAY + 1, Severity::Warning, "cert.pem expires in 13 days"),
            (end, Severity::Warning, "cert.pem expires in less than a day"),
            (end + DAY, Severity::Error, "cert.pem expired 1 day ago"),
        ] {
            let finding = finding(&good, now);
            assert_eq!(finding.severity, severity, "{finding:?}");
            assert!(finding.text.to_string().ends_with(said), "{finding:?}");
            assert_eq!(finding.fix.is_none(), severity == Severity::Ok, "{finding:?}");
        }
        std::fs::write(root.path().join("text.pem"), "hello").unwrap();
        for (path, said) in
            [("none.pem", "none.pem is missing"), ("text.pem", "holds no certificate")]
        {
            let finding = finding(&file(path), end);
            assert_eq!(finding.severity, Severity::Error, "{finding:?}");
            assert!(finding.text.to_string().contains(said), "{finding:?}");
        }
    }

    #[test]
    fn the_certificates_of_the_settings_and_the_relays_are_looked_at() {
        let root = tempfile::tempdir().unwrap();
        write(&root.path().join("etc/maru/tls/fullchain.pem"));
        write(&root.path().join(RELAY).join("certificate-maru.example.org.pem"));
        std::fs::write(root.path().join(RELAY).join("derp.key"), "").unwrap();
        let files =
            Tls { certificate: Some("etc/maru/tls/fullchain.pem".into()), ..Tls::default() };
        let asked = Tls { acme: Some(Acme::default()), ..Tls::default() };
        let found = |tls| {
            let findings = check(root.path(), &Settings { tls, ..Settings::default() });
            findings
                .iter()
                .map(|finding| (finding.id, finding.text.to_string().contains("missing")))
                .collect::<Vec<_>>()
        };

        let relay = ("relay-certificate", false);
        assert_eq!(found(None), [relay]);
        assert_eq!(found(Some(files)), [("certificate", false), relay]);
        assert_eq!(found(Some(asked)), [("certificate", true), relay]);
    }
}
