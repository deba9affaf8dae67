//! The key of an app in an `Authorization` header, names of apps, and the file of all apps.
#![no_main]

use std::{fs, path::PathBuf, sync::LazyLock};

use ai_gateway::apps::{Apps, bearer};
use ai_gateway_api::apps::{AddApp, AppKey, AppName};
use fuzz::Input;
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use libfuzzer_sys::fuzz_target;
use mesh_listener::Connection;

/// A gateway with one app, and the app's key.
static HELD: LazyLock<(PathBuf, Apps, AppKey)> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("maru-fuzz-apps-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let apps = Apps::load(folder.join("apps.json")).expect("no file yet");
    let key = apps.add("webui", 0).expect("an app").key;
    (folder.join("fuzzed.json"), apps, key)
});

fuzz_target!(|bytes: &[u8]| {
    let (file, apps, real) = &*HELD;
    if bytes.starts_with(b"{") {
        fs::write(file, bytes).expect("a file");
        match Apps::load(file.clone()) {
            Ok(apps) => {
                for app in apps.list() {
                    assert_eq!(app.name.as_str().parse::<AppName>().as_ref(), Ok(&app.name));
                }
            }
            Err(error) => assert_eq!(error.to_string().lines().count(), 1),
        }
    }
    if let Ok(wanted) = serde_json::from_slice::<AddApp>(bytes)
        && let Ok(name) = wanted.name.parse::<AppName>()
    {
        assert_eq!(name.as_str(), wanted.name);
    }
    let mut input = Input::new(bytes);
    let mut headers = HeaderMap::new();
    for _ in 0..input.below(3) {
        // The key itself, in the place of a byte that no header may have.
        let text = input.bytes().split(|byte| *byte == 0).collect::<Vec<_>>();
        let text = text.join(real.reveal().as_bytes());
        if let Ok(value) = HeaderValue::from_bytes(&text) {
            headers.append(AUTHORIZATION, value);
        }
    }
    let shown = bearer(&headers);
    if let Some(key) = shown.and_then(AppKey::read) {
        assert_eq!(format!("{key:?}"), "[redacted]");
    }
    let (connection, _closing) = Connection::new();
    let entered = apps.enter(shown, &connection, 0).is_ok();
    assert_eq!(entered, shown == Some(real.reveal()));
    assert!(!entered || headers.len() == 1);
});
