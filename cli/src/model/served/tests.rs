use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use services::MODELS;
use testkit::server::{Request, Server, read_request, response};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::*;
use crate::{
    model::{
        answering::{GiveBack, May},
        folder::Folder,
    },
    openclaw,
    up::ollama::client,
};

const AGENT: &str = "etc/maru/agent.toml";
const OPENCLAW: &str = "var/lib/maru/gateway/config/openclaw.json";
const OUTPUT: OutputArgs = OutputArgs { output: Format::Json };
/// As Ollama 0.17.4 answers, without what is not read.
const TAGS: &str = r#"{"models":[
    {"name":"sea:1b","size":98362712,"details":{"family":"llama","parameter_size":"135M","quantization_level":"Q4_1"}},
    {"name":"sky:latest","size":5,"details":{}},
    {"name":"vec:latest","size":5,"details":{}},
    {"name":"far:latest","remote_model":"gpt-oss:120b","remote_host":"https://ollama.com:443"}]}"#;
const SHOW: &str =
    r#"{"model_info":{"llama.context_length":131072},"capabilities":["completion"]}"#;
/// Of `vec`.
const SHOW_EMBEDDING: &str =
    r#"{"model_info":{"bert.context_length":512},"capabilities":["embedding"]}"#;

/// An Ollama with four models, which agrees to everything, and what it was asked.
struct Scripted {
    root: tempfile::TempDir,
    ollama: Ollama,
    asked: Arc<Mutex<Vec<Request>>>,
    _server: Server,
}

impl Scripted {
    async fn start() -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        let (server, at) = Server::tcp(move |mut io: TcpStream| {
            let heard = Arc::clone(&heard);
            async move {
                let request = read_request(&mut io).await.unwrap();
                let body = match request.path() {
                    "/api/tags" => TAGS,
                    "/api/show" if request.json()["model"] == "vec:latest" => SHOW_EMBEDDING,
                    "/api/show" => SHOW,
                    "/api/pull" => r#"{"status":"success"}"#,
                    _ => "",
                };
                heard.lock().unwrap().push(request);
                io.write_all(response("200 OK", "a/b", body).as_bytes()).await.unwrap();
            }
        })
        .await;
        let root = tempfile::tempdir().unwrap();
        let ollama = client(root.path(), at).unwrap();
        Self { root, ollama, asked, _server: server }
    }

    /// A home whose gateway has a dial to `at`, and this `openclaw.json`.
    fn home(&self, at: SocketAddr, openclaw: &str) -> &Path {
        let root = self.root.path();
        for folder in ["etc/maru", "var/lib/maru/gateway/config"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let dial = "[[dial]]\nname = \"ollama\"\nsocket = \"run/maru/dial/ollama/http.sock\"\nuid = 61002\n";
        fs::write(root.join(AGENT), format!("{dial}to = \"{at}\"\n")).unwrap();
        fs::write(root.join(OPENCLAW), openclaw).unwrap();
        root
    }

    /// The paths that were asked for, and the bodies.
    fn asked(&self) -> Vec<(String, Value)> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|it| (it.path().to_owned(), it.json())).collect()
    }
}

const FIRST: &str = r#"// Models and agents of Maru, in OpenClaw's format (JSON5).
{
  models: {
    providers: {
      llamacpp: {
        baseUrl: "unix:///run/maru/inference/llm.sock", // here
        models: [{ id: "default" }],
      },
    },
  },
  agents: {
    defaults: {
      // Mine.
      model: { primary: "llamacpp/default", fallbacks: ["spare/default"] },
    },
  },
}
"#;

fn choice(root: &Path) -> (Option<String>, Vec<String>) {
    openclaw::choice(&openclaw::read(&fs::read_to_string(root.join(OPENCLAW)).unwrap()).unwrap())
}

fn give_back(root: &Path, write: bool) -> anyhow::Result<bool> {
    GiveBack::plan(root, write)?.write()
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test]
async fn a_cloud_is_refused_by_name_before_anything_is_asked() {
    let it = Scripted::start().await;
    let (root, ollama) = (it.root.path(), &it.ollama);
    for error in [
        pull(root, ollama, "big:cloud", OUTPUT).await.unwrap_err(),
        copy(root, ollama, "sea:1b", "big:cloud", OUTPUT).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("cloud, which"), "{error}");
    }
    assert_eq!(it.asked(), []);
    for error in [
        choose(root, ollama, "big:cloud", false, Format::Json).await.unwrap_err(),
        copy(root, ollama, "big:cloud", "small", OUTPUT).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("cloud, which"), "{error}");
    }
    assert!(it.asked().iter().all(|(path, _)| path == "/api/tags"));
}

#[tokio::test]
async fn what_turns_out_to_run_in_a_cloud_is_not_said_to_be_there() {
    let it = Scripted::start().await;
    for (name, is_there) in [("sky", true), ("far", false), ("never", false)] {
        let pulled = pull(it.root.path(), &it.ollama, name, OUTPUT).await;
        assert_eq!(pulled.is_ok(), is_there, "{name}");
        let said = pulled.map_err(|error| error.to_string()).err();
        assert!(said.is_none_or(|said| said.contains("does not list it")), "{name}");
    }
    let error = choose(it.root.path(), &it.ollama, "far", false, Format::Json).await.unwrap_err();
    assert!(error.to_string().contains("has no model \"far\""), "{error}");
}

#[tokio::test]
async fn each_command_asks_for_what_it_says() {
    let it = Scripted::start().await;
    let (root, ollama) = (it.root.path(), &it.ollama);
    list(root, ollama, OUTPUT).await.unwrap();
    show(root, ollama, "sea", OUTPUT).await.unwrap();
    copy(root, ollama, "sea", "two", OUTPUT).await.unwrap();
    remove(root, ollama, "sky", OUTPUT).await.unwrap();
    pull(root, ollama, "sky", OUTPUT).await.unwrap();
    let asked = it.asked().into_iter().filter(|(path, _)| path != "/api/tags");
    let expected = [
        ("/api/show", r#"{"model":"sea:1b"}"#),
        ("/api/copy", r#"{"source":"sea:1b","destination":"two:latest"}"#),
        ("/api/delete", r#"{"model":"sky:latest"}"#),
        ("/api/pull", r#"{"model":"sky","insecure":false,"stream":true}"#),
    ];
    let expected = expected
        .map(|(path, body)| (path.to_owned(), serde_json::from_str::<Value>(body).unwrap()));
    assert_eq!(asked.collect::<Vec<_>>(), expected);

    // Ollama itself would replace the other one.
    for taken in ["SKY", "library/sky"] {
        let error = copy(root, ollama, "sea", taken, OUTPUT).await.unwrap_err().to_string();
        assert!(error.contains(&format!("already a {taken}:latest")), "{error}");
    }
    assert_eq!(it.asked().last().unwrap().0, "/api/tags");
}

#[tokio::test]
async fn the_chosen_model_answers_and_what_answered_before_stands_in_for_it() {
    let it = Scripted::start().await;
    let root = it.home(it.ollama.at, FIRST);

    choose(root, &it.ollama, "sea", false, Format::Json).await.unwrap();
    let before = (Some("ollama/sea:1b".to_owned()), texts(&["llamacpp/default", "spare/default"]));
    assert_eq!(choice(root), before);
    let text = fs::read_to_string(root.join(OPENCLAW)).unwrap();
    assert!(text.contains("// here") && text.contains("// Mine."), "{text}");
    assert!(text.contains("\"sea:1b\"") && text.contains("\"contextWindow\": 8192"), "{text}");
    let former = fs::read_to_string(root.join(format!("{OPENCLAW}.former"))).unwrap();
    assert_eq!(former, FIRST);

    let error = remove(root, &it.ollama, "sea", OUTPUT).await.unwrap_err().to_string();
    assert!(error.contains("in use"), "{error}");
    assert!(it.asked().iter().all(|(path, _)| path != "/api/delete"));

    // Of several models of Ollama's one answers.
    choose(root, &it.ollama, "sky", false, Format::Json).await.unwrap();
    assert_eq!(choice(root), (Some("ollama/sky:latest".to_owned()), before.1));
    assert!(give_back(root, false).unwrap());
    let engine = (Some("llamacpp/default".to_owned()), texts(&["spare/default"]));
    assert_eq!(choice(root), engine);

    // OpenClaw's own file often chooses an Ollama; the engine's model is changed all the same.
    let foreign = "// Mine\n".to_owned() + &text.replacen("// Models and agents of Maru", "//", 1);
    let root = it.home(it.ollama.at, &foreign);
    assert!(!give_back(root, false).unwrap());
    assert_eq!(fs::read_to_string(root.join(OPENCLAW)).unwrap(), foreign);
    assert!(give_back(root, true).unwrap());
    assert_eq!(choice(root), engine);
}

#[tokio::test]
async fn a_model_that_answers_is_not_removed_however_the_file_calls_it() {
    let it = Scripted::start().await;
    let here = it.ollama.at;
    let removed = async |at, model: &str| {
        let now = "primary: \"llamacpp/default\", fallbacks: [\"spare/default\"]";
        let root = it.home(at, &FIRST.replace(now, model));
        let is_used = Chosen::of(root, &it.ollama).unwrap().is_primary("sky:latest");
        let removed = remove(root, &it.ollama, "sky", OUTPUT).await;
        (is_used, removed.map_err(|error| error.to_string()).err().unwrap_or_default())
    };

    for name in ["sky", "sky:latest", "Sky", "library/sky", "registry.ollama.ai/library/sky:latest"]
    {
        let (is_used, error) = removed(here, &format!("primary: \"ollama/{name}\"")).await;
        assert!(is_used && error.contains("is in use"), "{name}: {error}");
        let second = format!("primary: \"pc/a\", fallbacks: [\"pc/b\", \"ollama/{name}\"]");
        let (is_used, error) = removed(here, &second).await;
        assert!(!is_used && error.contains("model.fallbacks"), "{name}: {error}");
    }
    let primary = "primary: \"ollama/sky\"";
    let (is_used, error) =
        removed(SocketAddr::new([0, 0, 0, 0, 0, 0, 0, 1].into(), here.port()), primary).await;
    assert!(is_used && error.contains("is in use"), "{error}");
    assert!(it.asked().iter().all(|(path, _)| path != "/api/delete"));

    // Another model, another provider's, another Ollama's.
    for (at, model) in [
        (here, "primary: \"ollama/sky:1b\", fallbacks: [\"ollama/me/sky\"]"),
        (here, "primary: \"pc/sky\", fallbacks: [\"sky\"]"),
        ("127.0.0.1:1".parse().unwrap(), primary),
    ] {
        assert_eq!(removed(at, model).await, (false, String::new()), "{model}");
    }
}

#[tokio::test]
async fn a_model_that_answers_no_chats_is_not_chosen() {
    let it = Scripted::start().await;
    let root = it.home(it.ollama.at, FIRST);
    let error = choose(root, &it.ollama, "vec", false, Format::Json).await.unwrap_err();
    assert!(error.to_string().contains("answers no chats"), "{error}");
    assert_eq!(fs::read_to_string(root.join(OPENCLAW)).unwrap(), FIRST);
    // An old Ollama does not say what a model can do.
    assert!(Description::default().chats());
}

#[tokio::test]
async fn a_choice_that_the_gateway_could_not_follow_changes_nothing() {
    let it = Scripted::start().await;
    let elsewhere = "127.0.0.1:1".parse().unwrap();
    let root = it.home(elsewhere, FIRST);
    let choose = async |write| {
        let chosen = choose(root, &it.ollama, "sea", write, Format::Json).await;
        chosen.map_err(|error| error.to_string())
    };

    let error = choose(false).await.unwrap_err();
    assert!(error.contains("sudo maru up --ollama"), "{error}");
    assert_eq!(fs::read_to_string(root.join(OPENCLAW)).unwrap(), FIRST);

    // Another's file, and one that cannot be edited.
    let foreign = FIRST.replacen("// Models and agents of Maru", "// Mine", 1);
    it.home(it.ollama.at, &foreign);
    assert!(choose(false).await.unwrap_err().contains("--write"));
    assert_eq!(fs::read_to_string(root.join(OPENCLAW)).unwrap(), foreign);
    it.home(it.ollama.at, "// Mine\n{ agents: 1 }");
    assert!(choose(true).await.unwrap_err().contains("cannot be edited safely"));
    it.home(it.ollama.at, &foreign);
    choose(true).await.unwrap();
    assert_eq!(choice(root).0.as_deref(), Some("ollama/sea:1b"));
}

#[tokio::test]
async fn the_gateway_gets_its_dial_together_with_the_choice_or_not_at_all() {
    let it = Scripted::start().await;
    let may = |write| May { write, dial: true };
    let chosen = |may| {
        answering::choose(it.root.path(), &it.ollama, "sea:1b", None, may)
            .map_err(|it| it.to_string())
    };
    let foreign = FIRST.replacen("// Models and agents of Maru", "// Mine", 1);
    let root = it.home("127.0.0.1:1".parse().unwrap(), &foreign);
    let read = |path| fs::read_to_string(root.join(path)).unwrap();
    let elsewhere = read(AGENT);
    assert!(chosen(may(false)).unwrap_err().contains("--write"));
    assert_eq!((read(AGENT), read(OPENCLAW)), (elsewhere.clone(), foreign.clone()));
    fs::write(root.join(AGENT), elsewhere.replace("61002", "1000")).unwrap();
    assert!(chosen(may(true)).unwrap_err().contains("cannot be edited safely"));
    assert_eq!((read(AGENT), read(OPENCLAW)), (elsewhere.replace("61002", "1000"), foreign));

    let there = format!("to = \"{}\"", it.ollama.at);
    for before in ["# Mine.\nlisten_port = 4000\n", &elsewhere] {
        it.home("127.0.0.1:1".parse().unwrap(), FIRST);
        fs::write(root.join(AGENT), before).unwrap();
        assert_eq!(chosen(may(false)), Ok(true));
        let now = read(AGENT);
        assert!(now.contains(&there) && now.starts_with(&before[..7]), "{now}");
        assert_eq!(read("etc/maru/agent.toml.former"), before);
        assert_eq!(choice(root).0.as_deref(), Some("ollama/sea:1b"));
        assert_eq!(chosen(may(false)), Ok(false), "it is there");
        assert_eq!(read(AGENT), now);
    }
}

#[tokio::test]
async fn every_way_to_write_a_choice_is_changed() {
    let it = Scripted::start().await;
    for (model, fallbacks) in [
        ("", &["llamacpp/default"][..]),
        ("model: \"llamacpp/default\"", &["llamacpp/default"]),
        ("model: { primary: \"pc/a\" }", &["pc/a"]),
        ("model: { fallbacks: [\"pc/a\", \"ollama/old\"] }", &["llamacpp/default", "pc/a"]),
    ] {
        let model_now = "model: { primary: \"llamacpp/default\", fallbacks: [\"spare/default\"] }";
        let root = it.home(it.ollama.at, &FIRST.replace(&format!("{model_now},"), model));
        choose(root, &it.ollama, "sea", false, Format::Json).await.unwrap();
        let expected = (Some("ollama/sea:1b".to_owned()), texts(fallbacks));
        assert_eq!(choice(root), expected, "{model}");
    }
}

/// What is said of the engine's model is true of requests that name none.
#[tokio::test]
async fn the_engine_answers_unless_the_file_leads_elsewhere() {
    let it = Scripted::start().await;
    let now = r#"model: { primary: "llamacpp/default", fallbacks: ["spare/default"] },"#;
    let own = r#""unix:///run/maru/inference/llm.sock""#;
    let spare = r#""unix:///run/maru/inference-2/llm.sock""#;
    let elsewhere = r#""unix:///run/maru/dial/ollama/http.sock""#;
    let nodes = |at: &str| {
        FIRST.replace(&format!("baseUrl: {own}"), &format!("nodes: [{{ baseUrl: {at} }}]"))
    };
    let of_ollama = |text: &str| {
        let provider = format!("providers: {{\n ollama: {{ baseUrl: {elsewhere}, models: [] }},");
        text.replace("providers: {", &provider).replace(now, "model: \"ollama/sky\",")
    };
    for (text, answers) in [
        (FIRST.to_owned(), true),
        (FIRST.replace(own, spare), true),
        (nodes(own), true),
        (FIRST.replace(now, ""), true),
        // The gateway leaves out what the file does not describe.
        (FIRST.replace(now, "model: \"anthropic/claude\","), true),
        (String::new(), true),
        (FIRST.replace(own, elsewhere), false),
        (nodes(elsewhere), false),
        (of_ollama(FIRST), true),
        (of_ollama(&FIRST.replace(own, elsewhere)), false),
    ] {
        let root = it.home(it.ollama.at, &text);
        assert_eq!(give_back(root, false).unwrap(), answers, "{text}");
        let is_same = fs::read_to_string(root.join(OPENCLAW)).unwrap() == text;
        assert_eq!(is_same, text != of_ollama(FIRST), "{text}");
    }
}

#[tokio::test]
async fn the_engines_keep_their_model_if_the_file_cannot_be_edited() {
    let it = Scripted::start().await;
    let text = FIRST.replace("llamacpp/default", "ollama/sky").replace(
        "providers: {",
        "providers: {\n ollama: { baseUrl: \"unix:///run/maru/dial/ollama/http.sock\", models: [] },",
    );
    let root = it.home(it.ollama.at, &text);
    fs::create_dir_all(root.join(MODELS)).unwrap();
    fs::write(root.join(MODELS).join("tiny.gguf"), model_sample::tiny().bytes()).unwrap();
    let folder = Folder::of(root);
    let chosen = async || {
        let chosen = crate::model::choose(&folder, root, "tiny.gguf", false, OUTPUT).await;
        (chosen.map_err(|error| error.to_string()), folder.list().unwrap()[0].in_use)
    };

    let (file, other) = (root.join(OPENCLAW), root.join("etc/maru/openclaw.json"));
    fs::rename(&file, &other).unwrap();
    symlink(&other, &file).unwrap();
    let (said, is_used) = chosen().await;
    assert!(said.unwrap_err().contains("nothing is changed") && !is_used);

    fs::rename(&other, &file).unwrap();
    assert_eq!(chosen().await, (Ok(()), true));
    assert_eq!(choice(root), (Some("llamacpp/default".to_owned()), texts(&["spare/default"])));
}

#[test]
fn what_a_machine_lacks_for_a_file_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut bounds = Bounds { memory: Some(1 << 40), folder: Some(folder.path().to_owned()) };
    assert!(bounds.lacks(0, 1).is_empty());
    assert!(bounds.lacks((1 << 39) - 1, 1 << 39).is_empty(), "the rest fits");

    let said = bounds.lacks(0, 1 << 60);

    assert!(said[0].contains("memory") && said[1].contains("no room"), "{said:?}");
    assert!(bounds.lacks(1, 1 << 60).is_empty());
    assert!(Bounds::default().lacks(0, u64::MAX).is_empty(), "of another machine nothing is known");
}
