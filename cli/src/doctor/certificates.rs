//! Checks of the certificates by which devices know this machine's coordinator and relay: how long they still hold.

use std::{
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use chassis::pem::{self, Validity};
use coordinator_api::settings::Settings;
use coordinator_core::time::{self, DAY, Millis};

use super::finding::Finding;

/// A certificate that ends sooner than in so many days is a warning: authorities that are asked by programs give 90, and
/// such programs ask again when 30 are left.
const SOON_DAYS: i64 = 14;
/// Where the coordinator keeps a certificate that it was issued, below the root.
const ISSUED: &str = "var/lib/maru/coordinator/acme/certificate.pem";
/// Where the relay keeps its own, one for each host that it had.
const RELAY: &str = "var/lib/maru/relay";

/// A certificate's place, and what to do if it does not do.
struct Place {
    id: &'static str,
    path: PathBuf,
    fix: &'static str,
}

/// Every certificate that the settings name, and the relay's.
pub(super) fn check(root: &Path, settings: &Settings) -> Vec<Finding> {
    let mut places = Vec::new();
    if let Some(tls) = &settings.tls {
        if tls.acme.is_some() {
            places.push(Place {
                id: "certificate",
                path: root.join(ISSUED),
                fix: "read var/log/maru/coordinator.log: it says why the authority issued none, and whether it is asked \
                      again",
            });
        } else if let Some(path) = &tls.certificate {
            places.push(Place {
                id: "certificate",
                path: root.join(path),
                fix: "renew it, and put the new one into the place of this file, where the coordinator finds it by itself",
            });
        }
    }
    places.extend(relays(root));
    places.iter().map(|place| finding(place, time::from_system(SystemTime::now()))).collect()
}

/// The relay makes its own when it starts.
fn relays(root: &Path) -> Vec<Place> {
    let Ok(entries) = std::fs::read_dir(root.join(RELAY)) else { return Vec::new() };
    let is_certificate = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("certificate-") && name.ends_with(".pem")
    };
    let paths = entries.flatten().map(|entry| entry.path()).filter(is_certificate);
    let fix = "stop `maru up`, remove it and its key beside it, and start again: devices learn the new one";
    paths.map(|path| Place { id: "relay-certificate", path, fix }).collect()
}

fn finding(place: &Place, now: Millis) -> Finding {
    let shown = place.path.display();
    let life = match pem::certificates(&place.path) {
        Ok(chain) => chain.first().and_then(Validity::of),
        Err(error) => {
            return match error.source.as_deref().and_then(|error| error.downcast_ref::<io::Error>())
            {
                Some(error) if error.kind() == io::ErrorKind::PermissionDenied => Finding::warning(
                    place.id,
                    format!("only root may look at {shown}"),
                    "sudo maru doctor",
                ),
                Some(error) if error.kind() == io::ErrorKind::NotFound => {
                    Finding::error(place.id, format!("{shown} is missing"), place.fix)
                }
                Some(_) | None => Finding::error(place.id, error.to_string(), place.fix),
            };
        }
    };
    match life {
        Some(life) => lasts(place, life, now),
        None => Finding::error(place.id, format!("{shown} holds a broken certificate"), place.fix),
    }
}

/// How long it still holds, in whole days.
fn lasts(place: &Place, life: Validity, now: Millis) -> Finding {
    let (id, shown) = (place.id, place.path.display());
    if life.begins > now {
        let text = format!("{shown} holds only in {}", days((life.begins - now) / DAY));
        return Finding::error(id, text, "wait, or correct this machine's clock");
    }
    if life.ends < now {
        let text = format!("{shown} expired {} ago", days((now - life.ends) / DAY));
        return Finding::error(id, text, place.fix);
    }
    let left = (life.ends - now) / DAY;
    if left < SOON_DAYS {
        return Finding::warning(id, format!("{shown} ends in {}", days(left)), place.fix);
    }
    Finding::ok(id, format!("{shown} holds for {}", days(left)))
}

fn days(count: i64) -> String {
    match count {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        _ => format!("{count} days"),
    }
}

#[cfg(test)]
mod tests {
    use coordinator_api::settings::{Acme, Tls};
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;
    use crate::doctor::finding::Severity;

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
        let place =
            |path: &str| Place { id: "certificate", path: root.path().join(path), fix: "renew it" };
        let good = place("cert.pem");
        write(&good.path);
        // 2026-08-01.
        let end = 1_785_542_400_000;

        for (now, severity, said) in [
            (end - 92 * DAY - 1, Severity::Error, "cert.pem holds only in less than a day"),
            (end - 61 * DAY, Severity::Ok, "cert.pem holds for 61 days"),
            (end - 14 * DAY, Severity::Ok, "cert.pem holds for 14 days"),
            (end - 14 * DAY + 1, Severity::Warning, "cert.pem ends in 13 days"),
            (end, Severity::Warning, "cert.pem ends in less than a day"),
            (end + DAY, Severity::Error, "cert.pem expired 1 day ago"),
        ] {
            let finding = finding(&good, now);
            assert_eq!(finding.severity, severity, "{finding:?}");
            assert!(finding.text.ends_with(said), "{finding:?}");
            assert_eq!(finding.fix.is_empty(), severity == Severity::Ok, "{finding:?}");
        }
        std::fs::write(root.path().join("text.pem"), "hello").unwrap();
        for (path, said) in
            [("none.pem", "none.pem is missing"), ("text.pem", "holds no certificate")]
        {
            let finding = finding(&place(path), end);
            assert_eq!(finding.severity, Severity::Error, "{finding:?}");
            assert!(finding.text.contains(said), "{finding:?}");
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
                .map(|finding| (finding.id, finding.text.contains("missing")))
                .collect::<Vec<_>>()
        };

        let relay = ("relay-certificate", false);
        assert_eq!(found(None), [relay]);
        assert_eq!(found(Some(files)), [("certificate", false), relay]);
        assert_eq!(found(Some(asked)), [("certificate", true), relay]);
    }
}
