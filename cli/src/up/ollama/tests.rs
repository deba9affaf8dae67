use proptest::prelude::*;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket},
};

use super::*;
use crate::up::config;

/// As Ollama 0.17.4 answers, without what is not read.
const TAGS: &str = r#"{"models":[
    {"name":"llama3.2:3b","model":"llama3.2:3b","size":2019393189,"details":{"family":"llama"}},
    {"name":"gpt-oss:120b-cloud","model":"gpt-oss:120b-cloud","remote_model":"gpt-oss:120b","remote_host":"https://ollama.com:443"},
    {"name":"kimi:cloud","model":"kimi:cloud"},
    {"name":"renamed:latest","model":"renamed:latest","remote_model":"gpt-oss:120b","remote_host":"https://ollama.com:443"},
    {"name":"bad\u001b[2J","model":"bad"},
    {"name":"hf.co/user/Small-GGUF:Q4_K_M","model":"hf.co/user/Small-GGUF:Q4_K_M"}
]}"#;
const SHOW: &str = r#"{"license":"…","model_info":{"general.architecture":"llama","llama.context_length":131072}}"#;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn found(models: &[(&str, Option<u64>)]) -> OllamaServer {
    let models =
        models.iter().map(|(id, context)| Model { id: (*id).to_owned(), context: *context });
    OllamaServer { at: at("127.0.0.1:11434"), models: models.collect(), left_out: 0 }
}

fn one() -> OllamaServer {
    found(&[("llama3.2:3b", Some(8192))])
}

#[test]
fn models_of_a_cloud_and_names_that_are_none_are_left_out() {
    let names = crate::decoders::names(TAGS.as_bytes()).unwrap();
    let local = ["hf.co/user/Small-GGUF:Q4_K_M", "llama3.2:3b"];
    assert_eq!(names, (local.map(str::to_owned).to_vec(), 4));
}

#[test]
fn a_conversation_is_no_longer_than_memory_allows() {
    assert_eq!(context(SHOW.as_bytes()), Some(CONTEXT));
    assert_eq!(context(br#"{"model_info":{"gemma3.context_length":2048}}"#), Some(2048));
    for none in ["{}", r#"{"model_info":{}}"#, r#"{"model_info":{"a.context_length":"x"}}"#, ""] {
        assert_eq!(context(none.as_bytes()), None, "{none}");
    }
}

/// Answers each request with what its path asks for.
async fn ollama(tags: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let len = stream.read(&mut request).await.unwrap();
            let is_show = request[..len].starts_with(b"POST /api/show ");
            let body = if is_show { SHOW } else { tags };
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    at
}

#[tokio::test]
async fn a_running_ollama_is_asked_for_its_models() {
    let found = ask(&Ollama::new(ollama(TAGS).await, "lo").unwrap()).await.unwrap();
    let model = |id: &str| Model { id: id.to_owned(), context: Some(CONTEXT) };
    assert_eq!(found.models, [model("hf.co/user/Small-GGUF:Q4_K_M"), model("llama3.2:3b")]);
    assert_eq!(found.left_out, 4);
}

#[tokio::test]
async fn what_is_no_ollama_is_one_sentence() {
    // Bound, so nobody else gets the port, and never listened on.
    let away = TcpSocket::new_v4().unwrap();
    away.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    for (place, said) in [
        (away.local_addr().unwrap(), "no Ollama answers at"),
        (ollama("<html>").await, "is no Ollama"),
        (ollama(r#"{"models":[]}"#).await, "ollama pull NAME"),
        (ollama(r#"{"models":[{"name":"a:cloud"}]}"#).await, "ollama pull NAME"),
    ] {
        let error = ask(&Ollama::new(place, "lo").unwrap()).await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert_eq!(format!("{error:#}").lines().count(), 1);
    }
}

const AGENT: &str = "# Mine.\nlisten_port = 4000 # forwarded\n\n[[service]]\nname = \"a\"\nport = 1\nsocket = \"s\"";

#[test]
fn the_dial_is_added_once_and_led_elsewhere_and_the_rest_stays() {
    let Edit::New(text) = dial::edit(AGENT, &one()) else { panic!("not added") };
    assert!(text.starts_with(AGENT), "{text}");
    assert_eq!(dial::edit(&text, &one()), Edit::Same);

    let by_hand =
        text.replace("to = \"127.0.0.1:11434\"", "to =   '127.0.0.1:11434'  # the old box");
    let elsewhere = OllamaServer { at: at("100.64.0.5:11434"), ..one() };
    let Edit::New(moved) = dial::edit(&by_hand, &elsewhere) else { panic!("not moved") };
    assert_eq!(moved, by_hand.replace("'127.0.0.1:11434'", "\"100.64.0.5:11434\""));
    assert_eq!(dial::edit("", &one()), Edit::New(dial::block(one().at)));
}

#[test]
fn settings_that_say_something_else_are_left_alone() {
    let Edit::New(text) = dial::edit("", &one()) else { panic!("not added") };
    for text in [
        text.replace("61002", "1000"),
        text.replace("name = \"ollama\"", "name = \"mine\""),
        text.replace("dial/ollama", "dial/mine"),
        "dial = []\n".to_owned(),
        "listen_prot = 1\n".to_owned(),
        "[[dial]\n".to_owned(),
    ] {
        assert_eq!(dial::edit(&text, &one()), Edit::ByHand, "{text}");
    }
}

/// As an admin may have written it.
const OPENCLAW: &str = r#"// Ours.
{
  models: {
    providers: {
      llamacpp: { baseUrl: 'unix:///a', models: [{ id: "default" }] }, // the small one
    },
  },
  agents: { defaults: { model: "llamacpp/default" } } /* end */
}
"#;

#[test]
fn the_provider_is_added_and_what_was_written_stays() {
    let Edit::New(text) = provider::edit(OPENCLAW, &one()) else { panic!("not added") };
    insta::assert_snapshot!("openclaw", text);
    assert_eq!(provider::edit(&text, &one()), Edit::Same);
    for line in OPENCLAW.lines().filter(|line| line.contains("//") || line.contains("/*")) {
        assert!(text.contains(line), "{line} is gone");
    }
}

#[test]
fn models_that_are_new_are_added_and_those_of_the_admin_stay() {
    let Edit::New(text) = provider::edit(OPENCLAW, &one()) else { panic!("not added") };
    let own = text.replace("8192", "32768 /* there is room */");
    let more = found(&[("llama3.2:3b", Some(8192)), ("qwen3:8b", None)]);
    let Edit::New(text) = provider::edit(&own, &more) else { panic!("not added") };
    assert!(text.contains("32768 /* there is room */") && text.contains("qwen3:8b"), "{text}");
    assert_eq!(text.matches("llama3.2:3b\"").count(), 2, "{text}");
    assert_eq!(provider::edit(&text, &one()), Edit::Same, "a model that is gone stays");
}

#[test]
fn a_file_that_means_something_else_is_left_alone() {
    for text in [
        "",
        "[]",
        "{ models: [] }",
        "{ models: { providers: 1 } }",
        "{ models: { providers: { ollama: { baseUrl: 'http://other', api: 'ollama', models: [] } } } }",
        "{ models: { providers: { ollama: { baseUrl: 'unix:///run/maru/dial/ollama/http.sock', models: [] } } } }",
        "{ models: { providers: { ollama: 1 } } }",
        "{ models: {}, models: {} }",
        "{ models: ",
    ] {
        assert_eq!(provider::edit(text, &one()), Edit::ByHand, "{text}");
    }
    assert!(matches!(provider::edit("{}", &one()), Edit::New(_)));
}

#[test]
fn what_is_to_be_added_by_hand_is_what_would_be_written() {
    let Edit::New(text) = provider::edit("{}", &one()) else { panic!("not added") };
    let value = |text: &str| -> Value {
        jsonc_parser::parse_to_serde_value(text, &jsonc_parser::ParseOptions::default()).unwrap()
    };
    assert_eq!(value(&text), value(&provider::block(&one())));
}

#[test]
fn the_first_configuration_and_one_that_is_there_get_both() {
    let root = tempfile::tempdir().unwrap();
    for folder in ["etc/maru", "var/lib/maru/gateway/config"] {
        std::fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    let read = |path: &str| std::fs::read_to_string(root.path().join(path)).unwrap();
    let (agent, openclaw) = ("etc/maru/agent.toml", "var/lib/maru/gateway/config/openclaw.json");
    let plan = || {
        config::plan(root.path(), Some(config::Reach::Plain("192.0.2.7".to_owned())), None).unwrap()
    };

    let mut first = plan();
    assert!(connect(&one(), &mut first, root.path(), false).unwrap());
    // The other tests look at what `write` gives to whom, which takes root.
    for path in [agent, openclaw] {
        let text = first.text(root.path(), Path::new(path)).unwrap().unwrap();
        std::fs::write(root.path().join(path), text).unwrap();
    }
    assert!(read(agent).contains("[[dial]]") && read(agent).contains("[[service]]"));
    assert!(read(openclaw).contains("dial/ollama") && read(openclaw).contains("llamacpp"));
    assert!(
        !connect(&one(), &mut plan(), root.path(), false).unwrap(),
        "a second time changes nothing"
    );

    std::fs::remove_file(root.path().join(openclaw)).unwrap();
    std::os::unix::fs::symlink("elsewhere.json", root.path().join(openclaw)).unwrap();
    assert!(!connect(&one(), &mut plan(), root.path(), false).unwrap(), "a link is an admin's own");
}

/// Of all commands that change it, this one is run oftenest.
#[test]
fn a_file_that_maru_did_not_write_changes_only_with_leave() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("var/lib/maru/gateway/config/openclaw.json");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, OPENCLAW).unwrap();
    let text = |write| {
        let reach = config::Reach::Plain("192.0.2.7".to_owned());
        let mut plan = config::plan(root.path(), Some(reach), None).unwrap();
        connect(&one(), &mut plan, root.path(), write).unwrap();
        let is_planned = plan.writes(root.path()).contains(&path.display().to_string());
        (is_planned, provider::edit_of_maru(OPENCLAW, &one()))
    };

    assert_eq!(text(false), (false, Edit::Foreign));
    assert_eq!(text(true), (true, Edit::Foreign));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), OPENCLAW, "what is planned is not written");
}

#[test]
#[ignore = "needs: root"]
fn a_changed_file_keeps_its_owner_and_mode() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let root = tempfile::tempdir().unwrap();
    for folder in ["etc/maru", "var/lib/maru/gateway/config"] {
        std::fs::create_dir_all(root.path().join(folder)).unwrap();
    }
    let path = root.path().join("etc/maru/agent.toml");
    std::fs::write(&path, AGENT).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::chown(&path, Some(0), Some(61_005)).unwrap();
    let mut plan =
        config::plan(root.path(), Some(config::Reach::Plain("192.0.2.7".to_owned())), None)
            .unwrap();

    assert!(connect(&one(), &mut plan, root.path(), false).unwrap());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), AGENT, "not yet");
    plan.write(root.path()).unwrap();

    let meta = std::fs::metadata(&path).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains("[[dial]]"));
    assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (0, 61_005, 0o640));
}

/// The line, put into the policy that a network starts with, opens this port of this node for the home node alone.
#[test]
fn the_policy_line_is_what_the_home_node_needs() {
    for (own, other) in [("100.64.0.5", "100.64.0.6"), ("fd7a:115c:a1e0::5", "fd7a:115c:a1e0::6")] {
        let node = |name: &str, address: &str, tags: &[&str]| acl::Node {
            name: name.to_owned(),
            user: tags.is_empty().then_some(1),
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            addresses: vec![address.parse().unwrap()],
            routable_ips: Vec::new(),
            approved_routes: Vec::new(),
        };
        let (home, laptop) = ("100.64.0.1", "100.64.0.9");
        let mina = acl::User { id: 1, name: "mina".to_owned(), email: String::new() };
        let network = acl::Network {
            users: vec![mina],
            nodes: vec![
                node("home", home, &["tag:home"]),
                node("pc", own, &[]),
                node("other", other, &[]),
                node("laptop", laptop, &[]),
            ],
        };
        let line = policy_line(SocketAddr::new(own.parse().unwrap(), 11434));
        let first = coordinator_core::policy::first();
        let policy = first.replace("\"acls\": [\n", &format!("\"acls\": [\n    {line}\n"));
        assert!(policy.contains(&line));

        let policy = acl::Policy::parse(&policy).unwrap();

        let rules = policy.compile(&network, 1);
        let [rule] = rules.as_slice() else { panic!("{rules:?}") };
        assert_eq!(rule.src_ips, [home]);
        assert_eq!(rule.ip_proto, [6]);
        let to = acl::DstPort { ip: own.to_owned(), first: 11434, last: 11434 };
        assert_eq!(rule.dst_ports, [to]);
        assert!(policy.compile(&network, 2).is_empty(), "the other is as closed as before");
        assert!(acl::Policy::parse(&first).unwrap().compile(&network, 1).is_empty(), "the control");
    }
}

proptest! {
    /// Whatever the files hold: a new text says what the old one said, and the rest is left alone.
    #[test]
    fn any_text_of_a_file_is_survived(text in any::<String>(), context in any::<Option<u64>>()) {
        let found = found(&[("llama3.2:3b", context)]);
        for text in [text.clone(), format!("{OPENCLAW}{text}"), format!("{AGENT}{text}")] {
            let _ = provider::edit(&text, &found);
            if let Edit::New(new) = dial::edit(&text, &found) {
                prop_assert!(new.starts_with(text.trim_end()));
            }
        }
    }
}
