//! Commands of the administrator to a coordinator over HTTPS, with an API key.
//!
//! Fails if one does not do there what it does on the home machine, if a key does what it may not, if a key is sent to
//! somebody who is not the coordinator, or if what cannot be is said in more than a sentence.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use lab::ROOT;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

use super::control_plane::{ControlPlane, last_word};

const URL: &str = "https://127.0.0.1:8443";

/// Leaves an authority's certificate, and one that it issued with its key.
fn certificates(root: &Path) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("cert.pem", certificate.pem()),
        ("key.pem", key.serialize_pem()),
    ] {
        fs::write(root.join(name), text).unwrap();
    }
}

fn coordinator() -> ControlPlane {
    let settings = format!(
        "server_url = {URL:?}\nlisten = \"127.0.0.1:8443\"\n\
         [tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n"
    );
    ControlPlane::with(&settings, certificates)
}

/// Makes an API key and leaves it in a file below the root, for its owner alone; where programs find it.
fn key(plane: &ControlPlane, name: &str, args: &[&str]) -> String {
    let made = plane.json(&[&["api-key", "create", name], args].concat());
    file(plane, name, made["key"].as_str().unwrap(), 0o600)
}

fn file(plane: &ControlPlane, name: &str, text: &str, mode: u32) -> String {
    let path = plane.instance.root.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    format!("{ROOT}/{name}")
}

#[test]
#[ignore = "needs: root"]
fn an_admin_key_does_from_elsewhere_what_root_does_at_home() {
    let plane = coordinator();
    let key = key(&plane, "laptop", &["--admin"]);
    let ca = format!("{ROOT}/ca.pem");
    let there = ["--server", URL, "--ca", &ca, "--api-key-file", &key];
    let ask = |args: &[&str]| plane.json(&[args, &there].concat());

    ask(&["user", "create", "ann"]);
    assert_eq!(ask(&["user", "list"]), plane.json(&["user", "list"]));
    assert!(ask(&["invite", "ann"])["url"].as_str().unwrap().starts_with("https://127.0.0.1"));
    ask(&["key", "create", "--user", "ann"]);
    let policy = file(&plane, "policy.json", "/* from elsewhere */ {}", 0o644);
    ask(&["policy", "check", &policy]);
    assert_eq!(ask(&["device", "list"]), json!([]));
    assert_eq!(ask(&["route", "list"]), json!([]));
    ask(&["api-key", "create", "ci"]);
    assert_eq!(ask(&["api-key", "remove", "ci"])["name"], "ci");
    // It may take itself away.
    assert_eq!(ask(&["api-key", "remove", "laptop"])["access"], "admin");
    assert_eq!(plane.json(&["api-key", "list"]), json!([]));
}

#[test]
#[ignore = "needs: root"]
fn what_cannot_be_says_one_sentence_and_changes_nothing() {
    let plane = coordinator();
    let admin = key(&plane, "laptop", &["--admin"]);
    let read = key(&plane, "monitor", &["--read"]);
    let over = key(&plane, "over", &["--admin", "--expires", "0s"]);
    let open = file(&plane, "open", "maru-api-1", 0o644);
    let other = file(&plane, "other", "marukey-1", 0o600);
    let keys = ["laptop", "monitor", "over", "open", "other"]
        .map(|name| fs::read_to_string(plane.instance.root.join(name)).unwrap());
    let before = plane.state();
    let ca = format!("{ROOT}/ca.pem");
    let trusted = |key: &str| {
        ["--server", URL, "--ca", &ca, "--api-key-file", key].map(str::to_owned).to_vec()
    };
    let there = |url: &str, rest: &[&str]| {
        let all = [&["--server", url, "--api-key-file", admin.as_str()], rest].concat();
        all.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let create: &[&str] = &["user", "create", "bob"];
    let list: &[&str] = &["user", "list"];

    for (args, at, words) in [
        (create, trusted(&read), "is read-only: create one with write access"),
        (list, trusted(&over), "a valid API key is needed: create one"),
        (list, trusted(&open), "chmod 600"),
        (list, trusted(&other), "holds no API key"),
        (list, trusted("/nowhere"), "check its name"),
        (list, vec!["--server".to_owned(), URL.to_owned()], "maru api-key create NAME"),
        (create, there(URL, &[]), "is not trusted"),
        (create, there("https://127.0.0.1:9", &["--ca", &ca]), "cannot reach https://127.0.0.1:9"),
        (create, there(URL, &["--ca", &admin]), "holds no certificate"),
    ] {
        let args: Vec<_> = args.iter().copied().chain(at.iter().map(String::as_str)).collect();
        let said = plane.refused(&args, 1);
        assert!(said.contains(words), "{args:?}: {said}");
        assert!(!keys.iter().any(|key| said.contains(key.trim())), "{said}");
    }
    assert!(plane.refused(&["user", "list", "--ca", &ca], 2).contains("--server"));
    let plain = plane.instance.run(&["user", "list", "--server", "http://127.0.0.1:8443"]).unwrap();
    assert_eq!(plain.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&plain.stderr).contains("never sent over plain HTTP"));
    assert_eq!(plane.state(), before);
}

#[test]
#[ignore = "needs: root"]
fn address_and_key_are_also_taken_from_the_environment_and_the_usual_file() {
    let plane = coordinator();
    let key = plane.json(&["api-key", "create", "monitor"])["key"].as_str().unwrap().to_owned();
    let ask = |variable: Option<&str>| {
        let mut command = plane.instance.maru(&["api-key", "list", "-o", "json"]);
        command.env("MARU_SERVER", URL).args(["--ca", &format!("{ROOT}/ca.pem")]);
        if let Some(key) = variable {
            command.env("MARU_API_KEY", key);
        }
        command.output().unwrap()
    };
    let names = |output: std::process::Output| {
        let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
        listed[0]["name"].clone()
    };

    assert!(last_word(&ask(None), 1, 1).contains("etc/maru/api-key"));
    assert_eq!(names(ask(Some(&key))), "monitor");
    file(&plane, "etc/maru/api-key", &key, 0o600);
    assert_eq!(names(ask(None)), "monitor");
    assert!(last_word(&ask(Some("marukey-1")), 1, 1).contains("MARU_API_KEY cannot be used"));
}
