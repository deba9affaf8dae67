use std::fs;

use super::*;

fn write(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

fn refusal(key: Option<ApiKey>, tls: Tls) -> String {
    let files = Files::new(key, tls);
    files.and_then(|files| files.current()).err().expect("a refusal").to_string()
}

/// Certificate and private key, in PEM.
fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["gpu".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn a_key_is_sent_and_never_shown() {
    let text = ApiKey::Text(Zeroizing::new("s3cret".to_owned()));
    let files = Files::new(Some(text), Tls::default()).unwrap();

    let authorization = files.current().unwrap().authorization.unwrap();

    assert_eq!(authorization, "Bearer s3cret");
    assert!(!format!("{files:?} {authorization:?}").contains("s3cret"));
}

#[test]
fn a_key_in_a_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(&folder, "key", "one\n");
    let files = Files::new(Some(ApiKey::File(path.clone())), Tls::default()).unwrap();
    assert_eq!(files.current().unwrap().authorization.unwrap(), "Bearer one");

    let next = write(&folder, "next", "two");
    fs::rename(next, &path).unwrap();
    assert_eq!(files.current().unwrap().authorization.unwrap(), "Bearer two");

    fs::remove_file(&path).unwrap();
    assert_eq!(
        files.current().unwrap().authorization.unwrap(),
        "Bearer two",
        "the last one that was good"
    );
}

#[test]
fn missing_files_are_read_once_they_exist() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let files = Files::new(Some(ApiKey::File(path.clone())), Tls::default()).unwrap();
    for _ in 0..2 {
        let Err(error) = files.current() else { panic!("there is no key") };
        assert!(error.to_string().contains("/key cannot be used"), "{error}");
    }
    fs::write(&path, "one").unwrap();
    assert_eq!(files.current().unwrap().authorization.unwrap(), "Bearer one");
}

#[test]
fn errors_in_the_settings_themselves_are_reported_at_once() {
    let path = Some(PathBuf::from("/cert.pem"));
    for (cert, key) in [(path.clone(), None), (None, path)] {
        let error = Files::new(None, Tls { cert, key, ..Tls::default() }).unwrap_err();
        assert!(error.to_string().contains("set together"), "{error}");
    }
    let empty = ApiKey::Text(Zeroizing::new(String::new()));
    assert!(Files::new(Some(empty), Tls::default()).is_err());
}

#[test]
fn keys_that_no_header_can_hold_are_refused_without_being_repeated() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["", " \n", "two\nlines", "two words", "비밀"] {
        let direct = ApiKey::Text(Zeroizing::new(text.to_owned()));
        assert!(refusal(Some(direct), Tls::default()).starts_with("the API key is"), "{text:?}");
        let path = write(&folder, "key", text);
        let message = refusal(Some(ApiKey::File(path)), Tls::default());
        assert!(message.contains("/key is empty or not one word"), "{message}");
    }
    let missing = ApiKey::File(folder.path().join("none"));
    assert!(refusal(Some(missing), Tls::default()).contains("/none cannot be used"));
}

#[test]
fn certificates_that_cannot_be_used_are_refused_by_file() {
    let folder = tempfile::tempdir().unwrap();
    let ((cert, key), (_, other)) = (pair(), pair());
    let ca = Some(write(&folder, "ca.pem", &cert));
    let cert = Some(write(&folder, "cert.pem", &cert));
    let key = Some(write(&folder, "key.pem", &key));
    let other = Some(write(&folder, "other.pem", &other));
    let text = Some(write(&folder, "text.pem", "no PEM"));
    let none = Some(folder.path().join("none.pem"));
    let tls = |ca: &Option<PathBuf>, cert: &Option<PathBuf>, key: &Option<PathBuf>| {
        let (ca, cert, key) = (ca.clone(), cert.clone(), key.clone());
        Tls { ca, cert, key, server_name: None }
    };

    assert!(Files::new(None, tls(&ca, &cert, &key)).unwrap().current().unwrap().tls.is_some());
    for (tls, named) in [
        (tls(&text, &None, &None), "text.pem cannot be used: it holds no certificate"),
        (tls(&none, &None, &None), "none.pem cannot be used: it cannot be read"),
        (tls(&ca, &cert, &other), "cert.pem cannot be used: it does not belong"),
        (tls(&ca, &cert, &text), "text.pem cannot be used: it holds no private key"),
        (tls(&ca, &cert, &None), "cert.pem cannot be used: a certificate and its key"),
        (tls(&ca, &None, &key), "key.pem cannot be used: a certificate and its key"),
    ] {
        let message = refusal(None, tls);
        assert!(message.contains(named), "{message}");
    }
}
