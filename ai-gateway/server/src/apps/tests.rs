use axum::http::HeaderValue;
use proptest::prelude::*;

use super::*;

/// 2026-11-22, noon.
const NOON_MS: u64 = 1_795_348_800_000;

fn apps() -> (tempfile::TempDir, Apps) {
    let folder = tempfile::tempdir().unwrap();
    let apps = Apps::load(folder.path().join("apps.json")).unwrap();
    (folder, apps)
}

fn enter(apps: &Apps, key: &str) -> Result<Person, KeyRejection> {
    let (connection, _closing) = Connection::new();
    apps.enter(Some(key), &connection, NOON_MS)
}

fn person(name: &str) -> Person {
    Person::App(name.to_owned())
}

#[test]
fn a_key_is_shown_once_stored_as_a_digest_and_valid_after_a_restart() {
    let (folder, apps) = apps();
    let webui = apps.add("webui", NOON_MS).unwrap();
    let home = apps.add("home-assistant", NOON_MS).unwrap();
    assert_ne!(webui.key.reveal(), home.key.reveal());

    let file = folder.path().join("apps.json");
    let text = std::fs::read_to_string(&file).unwrap();
    for secret in [webui.key.reveal(), &webui.key.reveal()[9..]] {
        assert!(!text.contains(secret), "{text}");
    }
    assert!(text.contains("\"version\":1"), "{text}");
    for apps in [apps, Apps::load(file).unwrap()] {
        assert_eq!(enter(&apps, webui.key.reveal()), Ok(person("webui")));
        assert_eq!(enter(&apps, home.key.reveal()), Ok(person("home-assistant")));
        let names: Vec<_> = apps.list().iter().map(|app| app.name.to_string()).collect();
        assert_eq!(names, ["webui", "home-assistant"]);
    }
}

#[test]
fn one_bearer_key_is_read_and_nothing_else() {
    let of = |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for text in values {
            let value = HeaderValue::from_bytes(text.as_bytes()).unwrap();
            headers.append(header::AUTHORIZATION, value);
        }
        bearer(&headers).map(str::to_owned)
    };
    assert_eq!(of(&["Bearer abc"]).as_deref(), Some("abc"));
    assert_eq!(of(&["bearer  abc "]).as_deref(), Some("abc"));
    let two = ["Bearer abc"; 2];
    for wrong in
        [&[][..], &["abc"], &["Basic abc"], &["Bearer"], &["Bearerabc"], &["Bearer é"], &two]
    {
        assert_eq!(of(wrong), None, "{wrong:?}");
    }
}

#[test]
fn the_day_of_last_use_is_listed_and_stored() {
    let (folder, apps) = apps();
    let key = apps.add("webui", NOON_MS).unwrap().key;
    let [app] = &apps.list()[..] else { panic!("one app") };
    assert_eq!((app.created.as_str(), &app.last_used), ("2026-11-22T12:00:00Z", &None));

    assert_eq!(enter(&apps, key.reveal()), Ok(person("webui")));
    assert_eq!(apps.list()[0].last_used.as_deref(), Some("2026-11-22"));
    let stored = || Apps::load(folder.path().join("apps.json")).unwrap().list()[0].clone();
    assert_eq!(stored().last_used, None, "not written at each request");
    apps.keep();
    assert_eq!(stored().last_used.as_deref(), Some("2026-11-22"));
}

#[test]
fn invalid_calls_of_the_admin_change_nothing() {
    let (folder, apps) = apps();
    let key = apps.add("webui", NOON_MS).unwrap().key;
    let before = std::fs::read(folder.path().join("apps.json")).unwrap();
    assert!(matches!(apps.add("webui", NOON_MS), Err(AppError::Taken(_))));
    assert!(matches!(apps.add("../x", NOON_MS), Err(AppError::Name(_))));
    assert!(matches!(apps.remove("other"), Err(AppError::Unknown)));
    assert!(matches!(apps.remove(""), Err(AppError::Unknown)));
    assert_eq!(std::fs::read(folder.path().join("apps.json")).unwrap(), before);
    assert_eq!(enter(&apps, key.reveal()), Ok(person("webui")));

    for number in 1..MAX {
        apps.add(&format!("app-{number}"), NOON_MS).unwrap();
    }
    assert!(matches!(apps.add("one-more", NOON_MS), Err(AppError::TooMany)));
    apps.remove("app-7").unwrap();
    apps.add("one-more", NOON_MS).unwrap();
}

#[test]
fn removing_an_app_spends_its_key_and_ends_its_connections_alone() {
    let (folder, apps) = apps();
    let (webui, home) = (apps.add("webui", 0).unwrap().key, apps.add("home", 0).unwrap().key);
    let [(one, closing_one), (two, mut closing_two), (other, _closing_other)] =
        [(); 3].map(|()| Connection::new());
    for connection in [&one, &two, &two] {
        apps.enter(Some(webui.reveal()), connection, NOON_MS).unwrap();
    }
    apps.enter(Some(home.reveal()), &other, NOON_MS).unwrap();
    drop(closing_one);
    apps.enter(Some(webui.reveal()), &two, NOON_MS).unwrap();
    assert_eq!(apps.lock().apps[0].connections.len(), 1, "what has ended is forgotten");

    assert_eq!(apps.remove("webui").unwrap().name.as_str(), "webui");

    assert!(ready(closing_two.requested()).is_some(), "its connection is ended");
    assert!(!other.is_over());
    assert_eq!(enter(&apps, webui.reveal()), Err(KeyRejection::Unknown));
    assert_eq!(enter(&apps, home.reveal()), Ok(person("home")));
    // Neither comes back, and a new one of its name has another key.
    let apps = Apps::load(folder.path().join("apps.json")).unwrap();
    assert_eq!(enter(&apps, webui.reveal()), Err(KeyRejection::Unknown));
    assert_ne!(apps.add("webui", 0).unwrap().key.reveal(), webui.reveal());
}

/// What a future gives, if it is ready.
fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(&mut context) {
        std::task::Poll::Ready(value) => Some(value),
        std::task::Poll::Pending => None,
    }
}

#[test]
fn wrong_keys_are_rate_limited_and_the_right_one_is_accepted_nevertheless() {
    let (_folder, apps) = apps();
    let key = apps.add("webui", NOON_MS).unwrap().key;
    let wrong = AppKey::new([1; 32]);
    let said: Vec<_> =
        (0..200).map(|_| enter(&apps, wrong.reveal()).expect_err("a wrong key")).collect();
    assert_eq!(said[0], KeyRejection::Unknown);
    let KeyRejection::TooOften(Exceeded { limit: Limit::Rate, retry_after_s: 1..=61 }) = said[199]
    else {
        panic!("{:?}", said[199]);
    };
    assert_eq!(enter(&apps, key.reveal()), Ok(person("webui")));
    let (connection, _closing) = Connection::new();
    assert_eq!(apps.enter(None, &connection, NOON_MS), Err(KeyRejection::Unknown));
}

proptest! {
    /// A damaged file upsets nobody: it is refused, or its apps can be listed.
    #[test]
    fn any_file_is_listed_or_refused(
        created_s: u64,
        used_day: Option<u64>,
        noise: Vec<u8>,
        at: prop::sample::Index,
        byte: u8,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("apps.json");
        let (name, key_sha256) = ("webui".parse().unwrap(), Fixed([7; 32]));
        let apps = vec![StoredApp { name, key_sha256, created_s, used_day }];
        FORMAT.write(&file, &File { apps }).unwrap();
        let to_app = Apps::load(file.clone()).unwrap().list();
        prop_assert!(to_app[0].created.ends_with('Z'));
        prop_assert_eq!(to_app[0].last_used.as_ref().map(String::len), used_day.map(|_| 10));

        let mut json = std::fs::read(&file).unwrap();
        let at = at.index(json.len());
        json[at] = byte;
        for damaged in [json, noise] {
            std::fs::write(&file, damaged).unwrap();
            let _ = Apps::load(file.clone()).map(|apps| apps.list());
        }
    }

    #[test]
    fn any_header_shows_one_key_or_none(values: Vec<Vec<u8>>) {
        let mut headers = HeaderMap::new();
        for value in values.iter().filter_map(|value| HeaderValue::from_bytes(value).ok()) {
            headers.append(header::AUTHORIZATION, value);
        }
        if let Some(key) = bearer(&headers) {
            prop_assert_eq!(headers.len(), 1);
            prop_assert!(headers[header::AUTHORIZATION].to_str().unwrap().contains(key));
        }
    }

    #[test]
    fn no_text_is_the_key_but_the_key(text in "\\PC{0,80}|maru-app-[A-Za-z0-9_-]{43}", at in any::<prop::sample::Index>()) {
        let (_folder, apps) = apps();
        let key = apps.add("webui", NOON_MS).unwrap().key;
        prop_assert!(enter(&apps, &text).is_err());
        // Nor one that differs in one place, is cut, or goes on.
        let key = key.reveal();
        let at = at.index(key.len());
        let other = if &key[at..=at] == "A" { "B" } else { "A" };
        for near in [format!("{}{other}{}", &key[..at], &key[at + 1..]), key[..at].to_owned(), format!("{key}{other}"), key.to_ascii_uppercase()] {
            prop_assert!(enter(&apps, &near).is_err(), "{}", near);
        }
        prop_assert!(enter(&apps, key).is_ok());
    }
}
