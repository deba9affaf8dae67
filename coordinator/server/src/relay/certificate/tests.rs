use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;

const HOST: &str = "10.0.0.1";
const AT_ONCE: Duration = Duration::ZERO;

fn paths() -> (tempfile::TempDir, Paths) {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::new(dir.path());
    (dir, paths)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn the_coordinator_finds_the_certificate_that_the_relay_made() {
    let (_dir, paths) = paths();

    let first = load_or_create(&paths, HOST).unwrap();
    let second = load_or_create(&paths, HOST).unwrap();
    let other = load_or_create(&paths, "relay.example.org").unwrap();

    let pin = pin(&paths, HOST, AT_ONCE).await.unwrap();
    assert_eq!(pin, pin_of(&first.certificate));
    assert_eq!(pin.len(), "sha256-raw:".len() + 64);
    assert_eq!((&first.certificate, &first.derp), (&second.certificate, &second.derp));
    assert_ne!(first.certificate, other.certificate);
    assert_eq!(format!("{first:?}"), "Identity([redacted])");
    let files = CertificateFiles::of(&paths, HOST);
    assert_eq!((mode(&files.certificate), mode(&files.key)), (0o644, 0o600));
    assert_eq!(mode(&paths.relay().join("derp.key")), 0o600);
    let text = fs::read_to_string(&files.certificate).unwrap();
    assert!(!text.contains("PRIVATE KEY"), "{text}");
}

#[tokio::test]
async fn the_coordinator_waits_for_the_relay_and_says_if_it_does_not_come() {
    let (_dir, paths) = paths();
    let error = pin(&paths, HOST, AT_ONCE).await.unwrap_err();
    assert!(matches!(error, CertificateError::Missing(_)));
    assert!(error.to_string().contains("check that `maru-coordinator relay` runs"), "{error}");

    let waiting = tokio::spawn({
        let paths = paths.clone();
        async move { pin(&paths, HOST, Duration::from_secs(60)).await.unwrap() }
    });
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    let made = load_or_create(&paths, HOST).unwrap();

    assert_eq!(waiting.await.unwrap(), pin_of(&made.certificate));
}

#[tokio::test]
async fn a_link_in_the_certificates_place_is_not_followed() {
    let (_dir, paths) = paths();
    load_or_create(&paths, HOST).unwrap();
    let files = CertificateFiles::of(&paths, HOST);
    fs::rename(&files.certificate, paths.relay().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", &files.certificate).unwrap();

    assert!(pin(&paths, HOST, AT_ONCE).await.is_err());
}

#[test]
fn a_certificate_without_its_key_is_not_replaced() {
    let (_dir, paths) = paths();
    load_or_create(&paths, HOST).unwrap();
    let files = CertificateFiles::of(&paths, HOST);
    fs::remove_file(&files.key).unwrap();

    assert!(matches!(load_or_create(&paths, HOST), Err(CertificateError::NoKey(_))));
    assert!(!files.key.exists());
}

#[test]
fn a_host_is_no_path() {
    assert_eq!(file_name("../../etc/x"), ".._.._etc_x");
    assert_eq!(file_name("fd00::1"), "fd00__1");
}
