mod server;

use std::{
    fs::{self, File},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    sync::atomic::Ordering,
};

use model_sample::{Value, damage::seen_in_header, tiny};
use proptest::prelude::*;
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, LAST_MODIFIED};
use serde_json::json;
use server::Server;
use services::MODELS;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

use super::{
    OllamaArgs, PullArgs,
    folder::{Folder, is_name},
    ollama::manifest,
    part::Part,
    pull,
    source::{Location, Source},
};
use crate::output::{Format, OutputArgs};

fn model() -> Vec<u8> {
    tiny().bytes()
}

fn args(source: &str) -> PullArgs {
    let output = OutputArgs { output: Format::Table };
    let ollama = OllamaArgs::default();
    PullArgs { source: source.to_owned(), name: None, model: None, sha256: None, ollama, output }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// What the folder of models holds, parts included.
fn names(root: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(root.join(MODELS))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_name_leads_nowhere_else() {
    for good in ["a.gguf", "SmolLM2-135M.Q4_1.gguf"] {
        assert!(is_name(good), "{good}");
    }
    for wrong in
        ["", ".gguf", "a", "../a.gguf", "a/b.gguf", ".a.gguf", "-a.gguf", "a b.gguf", "a\n.gguf"]
    {
        assert!(!is_name(wrong), "{wrong}");
    }
    assert!(!is_name(&("x".repeat(130) + ".gguf")));
}

#[test]
fn a_source_is_understood_or_refused_in_one_sentence() {
    let source = Source::of(&args("https://models.example/a/b.gguf?download=true")).unwrap();
    assert_eq!(source.name, "b.gguf");
    assert!(matches!(source.place, Location::Url(_)));
    let named = PullArgs { name: Some("mine".to_owned()), ..args("https://models.example/x") };
    assert_eq!(Source::of(&named).unwrap().name, "mine.gguf");
    for (wrong, what) in [
        ("http://models.example/a.gguf", "--sha256"),
        ("ftp://models.example/a.gguf", "https://"),
        ("https://me:secret@models.example/a.gguf", "password"),
        ("https://models.example/", "--name"),
        ("https://", "not a URL"),
        ("/nowhere/a.gguf", "no model at"),
    ] {
        let error = Source::of(&args(wrong)).unwrap_err().to_string();
        assert!(error.contains(what), "{wrong}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[tokio::test]
async fn a_file_is_copied_checked_listed_and_removed() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path());
    let file = root.path().join("sea.gguf");
    fs::write(&file, model()).unwrap();
    let mut asked = args(file.to_str().unwrap());

    asked.sha256 = Some([0; 32]);
    let error = pull::run(&folder, &asked).await.unwrap_err().to_string();
    assert!(error.contains("SHA-256"), "{error}");
    assert!(names(root.path()).is_empty(), "nothing is kept");

    asked.sha256 = Some(sha256(&model()));
    let entry = pull::run(&folder, &asked).await.unwrap();
    assert_eq!(entry.kind.as_deref(), Some("llama 20K"));
    assert_eq!(names(root.path()), ["sea.gguf"]);
    assert_eq!(fs::read(root.path().join(MODELS).join("sea.gguf")).unwrap(), model());

    let error = pull::run(&folder, &asked).await.unwrap_err().to_string();
    assert!(error.contains("already"), "{error}");
    assert_eq!(folder.list().unwrap().len(), 1);
    folder.remove("sea.gguf").unwrap();
    assert!(names(root.path()).is_empty());
    let error = folder.remove("sea.gguf").unwrap_err().to_string();
    assert!(error.contains("no model here yet"), "{error}");
}

#[tokio::test]
async fn what_is_cut_or_no_model_is_not_kept() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path());
    let whole = model();
    for bytes in [&whole[..whole.len() - 70], b"not a model at all", b"GG"] {
        let file = root.path().join("x.gguf");
        fs::write(&file, bytes).unwrap();
        pull::run(&folder, &args(file.to_str().unwrap())).await.unwrap_err();
        assert!(names(root.path()).is_empty());
    }
}

/// Pulls a file and expects it to be refused; returns what is said.
async fn refused(bytes: &[u8]) -> String {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path());
    let file = root.path().join("x.gguf");
    fs::write(&file, bytes).unwrap();
    let error = pull::run(&folder, &args(file.to_str().unwrap())).await.unwrap_err().to_string();
    assert!(names(root.path()).is_empty(), "{error}");
    // One that somebody put there all the same is not chosen.
    fs::write(root.path().join(MODELS).join("x.gguf"), bytes).unwrap();
    let chosen = folder.choose("x.gguf").unwrap_err().to_string();
    assert!(chosen.starts_with("x.gguf cannot be used: "), "{chosen}");
    error
}

#[tokio::test]
async fn what_the_engine_cannot_use_is_not_kept() {
    for damage in seen_in_header() {
        // What is shorter than any header is told of before.
        if damage.bytes.len() >= 24 {
            let error = refused(&damage.bytes).await;
            assert!(error.contains(damage.says), "{}: {error}", damage.what);
        }
    }
}

/// As a bug report about llama.cpp has it.
#[tokio::test]
#[ignore = "needs: shared"]
async fn the_file_of_a_bug_report_is_not_kept() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases");
    let cases = fs::read_to_string(folder.join("cases.json")).unwrap();
    let cases: Vec<serde_json::Value> = serde_json::from_str(&cases).unwrap();
    let case = cases.iter().find(|case| case["id"] == "gguf-that-aborts-llama.cpp").unwrap();
    let error = refused(&fs::read(folder.join(case["file"].as_str().unwrap())).unwrap()).await;
    assert!(
        error.contains("llama.block_count is 0") && error.contains("nothing was kept"),
        "{error}"
    );
}

#[tokio::test]
async fn models_are_found_in_ollamas_folder() {
    let root = tempfile::tempdir().unwrap();
    let ollama = root.path().join("ollama");
    let manifests = ollama.join("manifests/registry.ollama.ai");
    let digits = hex::encode(sha256(&model()));
    let manifest = json!({ "layers": [
        { "mediaType": "application/vnd.ollama.image.license", "digest": "sha256:00" },
        { "mediaType": "application/vnd.ollama.image.model", "digest": format!("sha256:{digits}") },
    ]});
    for tag in ["library/sea/1b", "me/sky/latest"] {
        let path = manifests.join(tag);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, manifest.to_string()).unwrap();
    }
    fs::create_dir_all(ollama.join("blobs")).unwrap();
    let blob = ollama.join("blobs").join(format!("sha256-{digits}"));
    fs::write(&blob, model()).unwrap();
    let folder = Folder::of(root.path());
    let mut asked = args(ollama.to_str().unwrap());

    let error = pull::run(&folder, &asked).await.unwrap_err().to_string();
    assert!(error.contains("sea:1b") && error.contains("--model"), "{error}");
    asked.model = Some("sea".to_owned());
    assert!(pull::run(&folder, &asked).await.unwrap_err().to_string().contains("sea:1b"));
    asked.model = Some("sea:1b".to_owned());
    assert_eq!(pull::run(&folder, &asked).await.unwrap().name, "sea-1b.gguf");

    // A blob that is not what its name says.
    fs::write(&blob, [model(), vec![0]].concat()).unwrap();
    asked.model = Some("registry.ollama.ai/me/sky".to_owned());
    let error = pull::run(&folder, &asked).await.unwrap_err().to_string();
    assert!(error.contains("SHA-256"), "{error}");
    assert_eq!(names(root.path()), ["sea-1b.gguf"]);
}

#[tokio::test]
async fn the_model_in_use_fits_into_memory_and_stays() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path());
    let file = root.path().join("sea.gguf");
    fs::write(&file, model()).unwrap();
    pull::run(&folder, &args(file.to_str().unwrap())).await.unwrap();
    // Terabytes of cache, by its own account.
    let large = tiny()
        .with("llama.block_count", Value::U32(512))
        .with("llama.attention.key_length", Value::U32(1 << 20));
    fs::write(root.path().join(MODELS).join("large.gguf"), large.bytes()).unwrap();

    let error = folder.choose("large.gguf").unwrap_err().to_string();
    assert!(error.contains("memory") && error.contains("sea.gguf"), "{error}");
    assert!(!folder.list().unwrap().iter().any(|entry| entry.in_use), "nothing half-done");

    assert!(folder.choose("sea.gguf").unwrap().in_use);
    assert!(folder.remove("sea.gguf").unwrap_err().to_string().contains("in use"));
    let error = folder.choose("lake.gguf").unwrap_err().to_string();
    assert!(error.contains("large.gguf, sea.gguf"), "{error}");
}

#[tokio::test]
async fn a_download_that_was_cut_goes_on_from_there() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path());
    let server = Server::start(model()).await;
    let asked = PullArgs { sha256: Some(sha256(&model())), ..args(&server.url) };

    server.shared.cut_after.store(100, Ordering::SeqCst);
    let error = pull::run(&folder, &asked).await.unwrap_err().to_string();
    assert!(error.contains("the same command"), "{error}");
    assert_eq!(names(root.path()), [".sea.gguf.part", ".sea.gguf.part.json"]);
    let part = fs::metadata(root.path().join(MODELS).join(".sea.gguf.part")).unwrap();
    assert_eq!(part.permissions().mode() & 0o777, 0o600);

    server.shared.cut_after.store(usize::MAX, Ordering::SeqCst);
    pull::run(&folder, &asked).await.unwrap();
    assert_eq!(names(root.path()), ["sea.gguf"]);
    assert_eq!(fs::read(root.path().join(MODELS).join("sea.gguf")).unwrap(), model());
    let ranges = server.shared.ranges.lock().unwrap().clone();
    assert_eq!(ranges, [None, Some("bytes=100-".to_owned())]);
}

/// A server that sends the beginning, and says of the rest that it is as long as HTTP can say.
#[tokio::test]
async fn a_rest_that_is_longer_than_can_be_counted_has_no_room() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/sea.gguf", listener.local_addr().unwrap());
    let says = tokio::spawn(async move {
        let rest = format!("content-range: bytes 8-/*\r\ncontent-length: {}", u64::MAX - 2);
        for (status, length, body) in
            [("200 OK", "content-length: 9", "GGUF....."), ("206 Partial Content", &rest, "")]
        {
            let (mut connection, _) = listener.accept().await.unwrap();
            connection.read_u8().await.unwrap();
            let head = format!("HTTP/1.1 {status}\r\netag: \"a\"\r\n{length}\r\n\r\n");
            connection.write_all(head.as_bytes()).await.unwrap();
            connection.write_all(body.get(..8).unwrap_or_default().as_bytes()).await.unwrap();
        }
    });
    let asked = PullArgs { sha256: Some([0; 32]), ..args(&url) };
    let error = pull::run(&folder, &asked).await.unwrap_err().to_string();
    assert!(error.contains("the same command continues"), "{error}");
    let error = pull::run(&folder, &asked).await.unwrap_err().to_string();
    assert!(error.contains("no room"), "{error}");
    says.await.unwrap();
}

#[tokio::test]
async fn what_became_another_file_meanwhile_is_begun_anew() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path());
    let server = Server::start(model()).await;
    server.shared.cut_after.store(100, Ordering::SeqCst);
    let asked = |bytes: &[u8]| PullArgs { sha256: Some(sha256(bytes)), ..args(&server.url) };
    pull::run(&folder, &asked(&model())).await.unwrap_err();

    let other = [model(), vec![9; 50]].concat();
    *server.shared.content.lock().unwrap() = (other.clone(), "\"two\"");
    server.shared.cut_after.store(usize::MAX, Ordering::SeqCst);
    pull::run(&folder, &asked(&other)).await.unwrap();

    assert_eq!(fs::read(root.path().join(MODELS).join("sea.gguf")).unwrap(), other);
}

#[test]
fn of_ollamas_folder_no_link_is_followed_and_no_other_name_is_shown() {
    let root = tempfile::tempdir().unwrap();
    let ollama = root.path().join("ollama");
    let model = ollama.join("manifests/registry.ollama.ai/library/sea");
    fs::create_dir_all(&model).unwrap();
    let manifest = |digest: &str| {
        let layer = json!({ "mediaType": "application/vnd.ollama.image.model", "digest": digest });
        json!({ "layers": [layer] }).to_string()
    };
    fs::write(model.join("1b"), manifest(&"0".repeat(64))).unwrap();
    let only = || super::ollama::find(&ollama, None);
    assert_eq!(only().unwrap().name, "sea-1b.gguf");

    // One that leads back, one to another file, a name for a terminal, and one too deep for a tag.
    symlink(&ollama, model.join("again")).unwrap();
    symlink(model.join("1b"), model.join("2b")).unwrap();
    fs::write(model.join("\u{1b}[2J"), manifest(&"0".repeat(64))).unwrap();
    fs::create_dir(model.join("3b")).unwrap();
    fs::write(model.join("3b/deep"), manifest(&"0".repeat(64))).unwrap();
    assert_eq!(only().unwrap().name, "sea-1b.gguf");

    for wrong in [manifest("sha256:00"), "{}".to_owned(), " ".repeat(2 << 20)] {
        fs::write(model.join("1b"), &wrong).unwrap();
        assert!(only().unwrap_err().to_string().contains("not a manifest"));
    }
    fs::write(model.join("1b"), r#"{"layers":[]}"#).unwrap();
    assert!(only().unwrap_err().to_string().contains("has no model file"));
}

#[test]
fn only_a_name_of_this_very_content_is_gone_on_with() {
    for (tag, date, name) in [
        ("\"one\"", "Wed", Some("\"one\"")),
        ("W/\"one\"", "Wed", Some("Wed")),
        ("", "Wed", Some("Wed")),
        ("W/\"one\"", "W/\"two\"", None),
        ("", "", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, HeaderValue::from_static(tag));
        headers.insert(LAST_MODIFIED, HeaderValue::from_static(date));
        assert_eq!(crate::decoders::download(&headers).1.as_deref(), name, "{tag} {date}");
    }
}

proptest! {
    /// Whatever a manifest is: it names one model by its SHA-256, or nothing.
    #[test]
    fn any_manifest_is_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..200), digests in prop::collection::vec(any::<String>(), 0..4), at: [u8; 32],
    ) {
        let _ = manifest(&bytes);
        let mut layers: Vec<_> =
            digests.iter().map(|it| json!({ "mediaType": it, "digest": it })).collect();
        let written = |layers: &[serde_json::Value]| json!({ "layers": layers }).to_string();
        prop_assert_eq!(manifest(written(&layers).as_bytes()), Some(None));
        let media = "application/vnd.ollama.image.model";
        layers.push(json!({ "mediaType": media, "digest": format!("sha256:{}", hex::encode(at)) }));
        layers.push(json!({ "mediaType": media, "digest": "sha256:00" }));
        prop_assert_eq!(manifest(written(&layers).as_bytes()), Some(Some(at)));
    }

    /// Whatever a server says of what it sends: only a whole number is a place, and only what can be sent back a name.
    #[test]
    fn any_answer_of_a_model_server_is_survived(texts: [String; 3], begin: u64) {
        let mut headers = HeaderMap::new();
        for (name, text) in [CONTENT_RANGE, ETAG, LAST_MODIFIED].into_iter().zip(&texts) {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        }
        let (place, name) = crate::decoders::download(&headers);
        prop_assert!(place.is_none() || texts[0].starts_with("bytes "));
        prop_assert!(name.is_none_or(|name| HeaderValue::from_str(&name).is_ok()));
        headers.insert(CONTENT_RANGE, HeaderValue::from_str(&format!("bytes {begin}-9/10")).unwrap());
        prop_assert_eq!(crate::decoders::download(&headers).0, Some(begin));
    }
}

/// More than any disk has free.
const TOO_LARGE: u64 = 8 << 40;

#[tokio::test]
async fn what_never_began_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path());
    let fails = async |source: &str, why: &str| {
        let asked = PullArgs { sha256: Some([1; 32]), ..args(source) };
        let error = pull::run(&folder, &asked).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(names(root.path()).is_empty(), "{why}: {:?}", names(root.path()));
    };

    let server = Server::start(model()).await;
    server.shared.missing.store(true, Ordering::SeqCst);
    fails(&server.url, "404 Not Found; is the URL right?").await;
    server.shared.missing.store(false, Ordering::SeqCst);
    server.shared.claims.store(TOO_LARGE, Ordering::SeqCst);
    fails(&server.url, "there is no room").await;

    // Bound, so nobody else gets the port, and never listened on.
    let away = TcpSocket::new_v4().unwrap();
    away.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}/sea.gguf", away.local_addr().unwrap());
    fails(&url, "cannot reach 127.0.0.1").await;

    let large = root.path().join("sea.gguf");
    File::create(&large).unwrap().set_len(TOO_LARGE).unwrap();
    fails(large.to_str().unwrap(), "there is no room").await;
}

#[tokio::test]
async fn what_cannot_be_gone_on_with_is_not_kept_and_what_can_is() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path());
    let server = Server::start(model()).await;
    server.shared.cut_after.store(100, Ordering::SeqCst);
    let asked = PullArgs { sha256: Some(sha256(&model())), ..args(&server.url) };

    server.shared.tells.store(false, Ordering::SeqCst);
    let error = pull::run(&folder, &asked).await.unwrap_err().to_string();
    assert!(error.contains("begins anew"), "{error}");
    assert!(names(root.path()).is_empty());

    server.shared.tells.store(true, Ordering::SeqCst);
    pull::run(&folder, &asked).await.unwrap_err();
    server.shared.missing.store(true, Ordering::SeqCst);
    pull::run(&folder, &asked).await.unwrap_err();
    let kept = [".sea.gguf.part", ".sea.gguf.part.json"];
    assert_eq!(names(root.path()), kept, "the server may have it again later");

    let unfinished = folder.unfinished().unwrap();
    let [part] = &unfinished[..] else { panic!("{unfinished:?}") };
    assert_eq!((part.name.as_str(), part.bytes, part.in_use), ("sea.gguf", 100, false));
    assert_eq!(folder.list().unwrap(), []);
    assert_eq!(folder.remove("sea.gguf").unwrap(), *part);
    assert!(names(root.path()).is_empty());
}

#[tokio::test]
async fn a_page_instead_of_a_model_is_not_fetched_to_its_end() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path());
    let server = Server::start(b"<!doctype html><title>Log in</title>".to_vec()).await;
    let asked = PullArgs { sha256: Some([1; 32]), ..args(&server.url) };

    let error = pull::run(&folder, &asked).await.unwrap_err().to_string();

    assert!(error.contains("not a GGUF model"), "{error}");
    assert!(names(root.path()).is_empty());
}

#[tokio::test]
async fn two_at_a_time_do_not_write_one_model() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path());
    folder.make().unwrap();
    let _first = Part::open(&folder.path, "sea.gguf").unwrap();

    let error = Part::open(&folder.path, "sea.gguf").unwrap_err().to_string();

    assert!(error.contains("another `maru model pull`"), "{error}");
    assert_eq!(folder.remove("sea.gguf").unwrap_err().to_string(), error);
}

#[tokio::test]
async fn a_model_with_two_names_is_one_file_and_each_name_goes_alone() {
    let root = tempfile::tempdir().unwrap();
    let folder = Folder::of(root.path());
    let file = root.path().join("sea.gguf");
    fs::write(&file, model()).unwrap();
    pull::run(&folder, &args(file.to_str().unwrap())).await.unwrap();

    assert_eq!(folder.copy("sea.gguf", "lake").unwrap().name, "lake.gguf");
    let details = folder.details("lake.gguf").unwrap();
    assert!(details.fits.unwrap() && details.memory_bytes.unwrap() > details.entry.bytes);
    assert_eq!(details.path, root.path().join(MODELS).join("lake.gguf"));
    for (from, to, why) in [
        ("sea.gguf", "lake.gguf", "already a lake.gguf"),
        ("sea.gguf", "../lake", "cannot be a model's name"),
        ("sky.gguf", "new", "lake.gguf, sea.gguf"),
        ("../sea.gguf", "new", "lake.gguf, sea.gguf"),
    ] {
        let error = folder.copy(from, to).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    folder.remove("sea.gguf").unwrap();
    assert_eq!(names(root.path()), ["lake.gguf"]);
    assert_eq!(fs::read(details.path).unwrap(), model());
}
