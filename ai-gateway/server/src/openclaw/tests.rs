mod habitual;

use chat_vocabulary::Capability;
use llm_backend::{ApiKey, Tls};
use proptest::prelude::*;

use super::*;

fn failure(text: &str) -> String {
    OpenClaw::parse(text).unwrap_err().to_string()
}

#[test]
fn the_shipped_example_is_what_holds_without_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let loaded = OpenClaw::load(&dir.path().join("openclaw.json")).unwrap();
    assert_eq!(loaded, OpenClaw::parse(DEFAULT).unwrap());
    assert_eq!(loaded.primary.to_string(), "llamacpp/smollm2");
    assert_eq!(loaded.fallbacks, ["spare/smollm2".parse().unwrap()]);
    assert_eq!(
        loaded.providers["spare"].nodes[0].base_url,
        "unix:///run/maru/inference-2/llm.sock"
    );
    assert_eq!(loaded.warnings, Vec::<String>::new());
}

/// The smallest file that OpenClaw 2026.9.6 itself works with.
const THEIRS: &str = r#"{"gateway":{"mode":"local","port":18789,"bind":"loopback","auth":{"mode":"token","token":"x"},
  "http":{"endpoints":{"chatCompletions":{"enabled":true}}}},
 "models":{"mode":"merge","providers":{"local":{"baseUrl":"http://127.0.0.1:18080/v1","apiKey":"none","api":"openai-completions",
   "models":[{"id":"smollm2","name":"SmolLM2","reasoning":false,"input":["text"],"cost":{"input":0,"output":0,"cacheRead":0,"cacheWrite":0},"contextWindow":8192,"maxTokens":256}]}}},
 "agents":{"defaults":{"model":{"primary":"local/smollm2"}}}}"#;

#[test]
fn openclaws_own_file_works_and_says_what_has_no_effect() {
    let loaded = OpenClaw::parse(THEIRS).unwrap();
    let without = ["auth", "bind", "http", "mode", "port"];
    let without = without.map(|key| format!("`gateway.{key}` has no effect in Maru"));
    assert_eq!(loaded.warnings, without);
    let model = &loaded.providers["local"].models[0];
    assert_eq!((model.context_window, model.max_tokens), (Some(8192), Some(256)));
}

#[test]
fn conversations_are_kept_for_ever_unless_the_file_says_otherwise() {
    let with = |session: &str| {
        OpenClaw::parse(&DEFAULT.trim_end().replacen(
            '{',
            &format!("{{ \"session\": {session},"),
            1,
        ))
    };
    let retention = |maintenance: &str| {
        with(&format!("{{maintenance: {maintenance}}}")).map(|file| file.retention)
    };
    assert_eq!(retention("{}").unwrap(), Retention::default());
    assert_eq!(
        retention("{pruneAfter: '30d', maxEntries: 500, maxDiskBytes: '500mb'}").unwrap(),
        Retention {
            age_ms: Some(30 * 86_400_000),
            conversations: Some(500),
            person_bytes: Some(500 << 20),
        }
    );
    assert_eq!(retention("{pruneAfter: 7}").unwrap().age_ms, Some(7 * 86_400_000));
    assert_eq!(retention("{mode: 'warn', pruneAfter: '1h'}").unwrap(), Retention::default());
    for (wrong, said) in [
        ("{pruneAfter: '30 years'}", "session.maintenance.pruneAfter"),
        ("{pruneAfter: '0d'}", "a number above 0"),
        ("{maxDiskBytes: '99999999999tb'}", "session.maintenance.maxDiskBytes"),
        ("{mode: 'later'}", "session.maintenance.mode"),
    ] {
        let error = retention(wrong).unwrap_err().to_string();
        assert!(error.contains(said), "{wrong}: {error}");
    }
    let warnings =
        with("{dmScope: 'per-peer', maintenance: {rotateBytes: '10mb'}}").unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "`session.dmScope` has no effect in Maru",
            "`session.maintenance.rotateBytes` has no effect in Maru"
        ]
    );
}

#[test]
fn the_file_decides_what_a_model_lacks() {
    let with = |more: &str| {
        let text = format!(
            "{{models: {{providers: {{a: {{baseUrl: 'unix:///s', models: [{{id: 'm', {more}}}]}}}}}}}}"
        );
        let loaded = OpenClaw::parse(&text).unwrap();
        (loaded.providers["a"].models[0].clone(), loaded.warnings)
    };
    let all = [Capability::Tools, Capability::Vision, Capability::Thinking, Capability::Insert];
    let lacking = |model: &Model| all.map(|capability| model.lacks(capability));
    assert_eq!(lacking(&with("").0), [false; 4], "unknown");
    let some = "input: ['text', 'image'], reasoning: true, compat: {supportsTools: true, supportsInsert: true}";
    let model = with(some).0;
    assert_eq!(lacking(&model), [false; 4]);
    assert!(all.iter().all(|&capability| model.has(capability)));
    let none =
        "input: ['text'], reasoning: false, compat: {supportsTools: false, supportsInsert: false}";
    assert_eq!(lacking(&with(none).0), [true; 4]);
    let warnings = with("compat: {supportsTools: true, maxTokensField: 'x'}").1;
    assert_eq!(
        warnings,
        ["`models.providers.a.models[0].compat.maxTokensField` has no effect in Maru"]
    );
}

#[test]
fn mistyped_keys_are_named_where_they_stand_with_the_nearest() {
    for (text, named) in [
        ("{model: {}}", "`model`: write `models`"),
        ("{zzz: {}}", "`zzz`: correct or remove it"),
        ("{models: {provider: {}}}", "`models.provider`"),
        (
            "{models: {providers: {a: {baseURL: 'x'}}}}",
            "`models.providers.a.baseURL`: write `baseUrl`",
        ),
        (
            "{models: {providers: {a: {baseUrl: 'x', models: [{id: 'm'}, {idd: 'm'}]}}}}",
            "`models.providers.a.models[1].idd`",
        ),
        ("{agents: {default: {}}}", "`agents.default`"),
        ("{agents: {defaults: {modle: 'a/b'}}}", "`agents.defaults.modle`: write `model`"),
        ("{agents: {defaults: {model: {primry: 'a/b'}}}}", "`agents.defaults.model.primry`"),
    ] {
        let error = failure(text);
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn models_that_are_not_there_are_refused_by_name() {
    let with = |choice: &str| {
        format!(
            "{{models: {{providers: {{a: {{baseUrl: 'unix:///s', models: [{{id: 'm/x'}}]}}}}}},
               agents: {{defaults: {{model: {choice}}}}}}}"
        )
    };
    assert_eq!(OpenClaw::parse(&with("'a/m/x'")).unwrap().primary.model, "m/x");
    assert!(failure(&with("'a/other'")).contains("\"a/other\""));
    assert!(failure(&with("'m'")).contains("provider/model"));
    assert!(failure(&with("{primary: 'a/m/x', fallbacks: ['b/c']}")).contains("\"b/c\""));
    let none = "{models: {providers: {a: {baseUrl: 'unix:///s', models: []}}}}";
    assert!(failure(none).contains("no model"));
    assert!(failure("{ models: ").contains("JSON5"));
    assert!(failure("[]").contains("wrong"));
}

#[test]
fn the_mode_of_reloading_has_openclaws_values() {
    let with = |mode: &str| {
        let text = format!(
            "{{gateway: {{reload: {{mode: '{mode}'}}}}, models: {{providers: {{a: {{baseUrl: 'unix:///s', models: [{{id: 'm'}}]}}}}}}}}"
        );
        OpenClaw::parse(&text).map(|loaded| (loaded.reload, loaded.warnings.len()))
    };
    assert_eq!(with("off").unwrap(), (Reload::Off, 0));
    assert_eq!(with("hybrid").unwrap(), (Reload::Hybrid, 0));
    // Retired, with a warning.
    assert_eq!(with("hot").unwrap(), (Reload::Hybrid, 1));
    assert_eq!(with("restart").unwrap(), (Reload::Hybrid, 1));
    assert!(with("always").unwrap_err().to_string().contains("`gateway.reload.mode`"));
}

#[test]
fn a_provider_without_a_list_has_the_models_it_is_named_with() {
    let text = r#"{"models": {"providers": {"maru": {"baseUrl": "unix:///a"}, "two": {"baseUrl": "unix:///b"}}},
        "agents": {"defaults": {"model": {"primary": "maru/default", "fallbacks": ["two/x"]}}}}"#;
    let loaded = OpenClaw::parse(text).unwrap();
    assert_eq!(loaded.primary.to_string(), "maru/default");
    assert_eq!(loaded.providers["two"].models[0].id, "x");
}

#[test]
fn a_provider_of_another_api_is_ignored_with_a_warning() {
    let text = "{models: {providers: {
        a: {baseUrl: 'unix:///s', models: [{id: 'm'}]},
        o: {baseUrl: 'http://127.0.0.1:11434', api: 'anthropic-messages', models: [{id: 'm'}]}}}}";
    let loaded = OpenClaw::parse(text).unwrap();
    assert_eq!(loaded.primary.to_string(), "a/m");
    assert!(loaded.warnings[0].contains("models.providers.o"), "{:?}", loaded.warnings);
    assert!(failure("{models: {providers: {a: {baseUrl: 'x', api: 'soap'}}}}").contains("soap"));
}

#[test]
fn an_ollama_answers_with_the_models_that_it_has_at_home() {
    let text =
        "{models: {providers: {o: {baseUrl: 'http://127.0.0.1:11434', api: 'ollama', models: [
        {id: 'big:120b-cloud'}, {id: 'qwen3:8b', contextWindow: 16384}]}}}}";
    let loaded = OpenClaw::parse(text).unwrap();
    assert_eq!(loaded.providers["o"].api, Api::Ollama);
    assert_eq!(loaded.primary.to_string(), "o/qwen3:8b");
    assert_eq!(
        loaded.warnings,
        ["o/big:120b-cloud is ignored: it runs in Ollama's cloud, not at home"]
    );
    let openai = text.replace("api: 'ollama', ", "");
    assert_eq!(OpenClaw::parse(&openai).unwrap().providers["o"].models.len(), 2);
}

/// Reads a provider with these variables.
fn provider(extra: &str) -> Result<Provider, OpenClawError> {
    let variables = Variables::parse("/c/.env", "GPU_KEY=s3cret\nCA_PEM='-----BEGIN'").unwrap();
    let text = format!(
        "{{models: {{providers: {{a: {{baseUrl: 'https://gpu', models: [{{id: 'm'}}], {extra}}}}}}}}}"
    );
    OpenClaw::parse_with(&text, &variables).map(|mut loaded| loaded.providers.remove("a").unwrap())
}

#[test]
fn a_key_comes_from_the_file_itself_a_variable_or_another_file() {
    let key =
        |text: &str| provider(&format!("apiKey: {text}")).unwrap().nodes[0].access.key.clone();
    let text = |text: &str| Some(ApiKey::Text(text.to_owned().into()));
    let package = env!("CARGO_PKG_NAME");
    assert_eq!(key("'none'"), text("none"));
    assert_eq!(key("'${CARGO_PKG_NAME}'"), text(package));
    assert_eq!(key("'Bearer ${GPU_KEY}'"), text("Bearer s3cret"));
    assert_eq!(key("'$${GPU_KEY}'"), text("${GPU_KEY}"));
    assert_eq!(key("{source: 'env', provider: 'default', id: 'CARGO_PKG_NAME'}"), text(package));
    let path = "/var/lib/maru/gateway/config/gpu.key";
    assert_eq!(
        key(&format!("{{source: 'file', path: '{path}'}}")),
        Some(ApiKey::File(path.into()))
    );
    assert!(!format!("{:?}", provider("apiKey: 's3cret'").unwrap()).contains("s3cret"));
}

#[test]
fn keys_that_cannot_be_had_are_refused_with_what_to_write() {
    for (text, said) in [
        ("'${NO_SUCH_KEY}'", "`models.providers.a.apiKey` needs the variable NO_SUCH_KEY"),
        ("'x${NO_SUCH_KEY}'", "write `NO_SUCH_KEY=…` into /c/.env"),
        ("{source: 'env', id: 'NO_SUCH_KEY'}", "write `NO_SUCH_KEY=…` into /c/.env"),
        ("'$s3cret{'", ""),
        ("{source: 'exec', id: 'x'}", "\"file\""),
        ("{source: 'file', provider: 'filemain', id: '/providers/a'}", "\"path\""),
        ("{source: 'file', file: 'x'}", "`models.providers.a.apiKey.file`"),
        ("7", "apiKey"),
    ] {
        match provider(&format!("apiKey: {text}")) {
            Ok(provider) => assert!(said.is_empty(), "{provider:?}"),
            Err(error) => assert!(!said.is_empty() && error.to_string().contains(said), "{error}"),
        }
    }
}

#[test]
fn certificates_are_files() {
    let text = "request: {tls: {ca: '/etc/ca.pem', cert: {source: 'file', path: 'c.pem'}, key: 'k.pem', serverName: 'gpu'}}";
    let expected = Tls {
        ca: Some("/etc/ca.pem".into()),
        cert: Some("c.pem".into()),
        key: Some("k.pem".into()),
        server_name: Some("gpu".to_owned()),
    };
    assert_eq!(provider(text).unwrap().nodes[0].access.tls, expected);
    for (text, said) in [
        ("request: {tls: {ca: '-----BEGIN CERTIFICATE-----'}}", "its own file"),
        ("request: {tls: {ca: '${CA_PEM}'}}", "its own file"),
        ("request: {tls: {ca: {source: 'env', id: 'CA_PEM'}}}", "its own file"),
        ("request: {tls: {cafile: 'x'}}", "`models.providers.a.request.tls.cafile`"),
    ] {
        let error = provider(text).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn nodes_share_what_they_do_not_say_themselves() {
    let text = "apiKey: 'all', timeouts: {firstSeconds: 0.5}, nodes: [
        {baseUrl: 'https://one', slots: 4},
        {baseUrl: 'https://two', apiKey: 'own', request: {tls: {ca: 'two.pem'}}, draining: true}],
        request: {tls: {ca: 'all.pem'}}";
    let read = provider(text).unwrap();
    let last = |node: &Node| {
        let Some(ApiKey::Text(key)) = node.access.key.clone() else { panic!("{node:?}") };
        let ca = node.access.tls.ca.clone().unwrap().display().to_string();
        (node.base_url.clone(), key.to_string(), ca, node.slots, node.draining)
    };
    let expected = |url: &str, key: &str, ca: &str, slots, draining| {
        (url.to_owned(), key.to_owned(), ca.to_owned(), slots, draining)
    };
    assert_eq!(
        read.nodes.iter().map(last).collect::<Vec<_>>(),
        [
            expected("https://gpu", "all", "all.pem", None, false),
            expected("https://one", "all", "all.pem", Some(4), false),
            expected("https://two", "own", "two.pem", None, true),
        ]
    );
    assert_eq!(read.timeouts.first, Duration::from_millis(500));
    assert_eq!(read.timeouts.budget, Duration::from_secs(600));
}

#[test]
fn a_base_url_among_the_nodes_is_one_node_and_may_be_left_out() {
    let urls = |text: &str| {
        let nodes = provider(text).unwrap().nodes;
        nodes.into_iter().map(|node| (node.base_url, node.slots)).collect::<Vec<_>>()
    };
    let gpu = |slots| ("https://gpu".to_owned(), slots);
    let two = ("https://two".to_owned(), None);
    assert_eq!(urls("nodes: []"), [gpu(None)]);
    let both = "nodes: [{baseUrl: 'https://two'}, {baseUrl: 'https://gpu', slots: 2}]";
    assert_eq!(urls(both), [two.clone(), gpu(Some(2))]);

    let alone =
        "{models: {providers: {a: {nodes: [{baseUrl: 'https://two'}], models: [{id: 'm'}]}}}}";
    let nodes = &OpenClaw::parse(alone).unwrap().providers["a"].nodes;
    assert_eq!((nodes.len(), &nodes[0].base_url), (1, &two.0));
}

#[test]
fn a_sockets_listener_is_set_for_all_nodes_or_for_one() {
    let text = "uid: 61004, nodes: [{baseUrl: 'unix:///b'}, {baseUrl: 'unix:///c', uid: 1000}]";
    let uids =
        |text| provider(text).unwrap().nodes.iter().map(|node| node.access.uid).collect::<Vec<_>>();
    assert_eq!(uids(text)[1..], [Some(61004), Some(1000)]);
    assert_eq!(uids("nodes: [{baseUrl: 'unix:///b'}]")[1..], [None]);
}

#[test]
fn nodes_and_times_that_cannot_be_are_named() {
    let many = (0..64).map(|n| format!("{{baseUrl: 'https://n{n}'}}")).collect::<Vec<_>>();
    for (text, named) in [
        ("nodes: [{}]".to_owned(), "`models.providers.a.nodes[0]`"),
        ("nodes: [{baseUrl: 'https://b', weight: 1}]".to_owned(), "nodes[0].weight`"),
        ("nodes: [{baseUrl: 'https://b', slots: 0}]".to_owned(), "nodes[0].slots`"),
        ("nodes: [{baseUrl: 'https://b', uid: 7}]".to_owned(), "nodes[0].uid`"),
        ("uid: 7".to_owned(), "`models.providers.a.uid`"),
        ("nodes: [{baseUrl: 'https://b'}, {baseUrl: 'https://b'}]".to_owned(), "twice"),
        (format!("nodes: [{}]", many.join(", ")), "fewer than 64"),
        ("timeouts: {first: 1}".to_owned(), "timeouts.first`"),
        ("timeouts: {firstSeconds: 0}".to_owned(), "timeouts.firstSeconds`"),
        ("timeouts: {healthSeconds: 61}".to_owned(), "at most 60"),
        ("timeouts: {idleSeconds: 1e9}".to_owned(), "timeouts.idleSeconds`"),
        ("timeouts: {idleSeconds: '5'}".to_owned(), "wrong"),
    ] {
        let error = provider(&text).unwrap_err().to_string();
        assert!(error.contains(named), "{text}: {error}");
    }
}

#[test]
fn a_reply_may_take_as_long_as_the_agents_settings_say() {
    let text = "{models: {providers: {
        a: {baseUrl: 'unix:///a', models: [{id: 'm'}]},
        b: {baseUrl: 'unix:///b', models: [{id: 'm'}], timeouts: {replySeconds: 7}}}},
        agents: {defaults: {timeoutSeconds: 30}}}";
    let loaded = OpenClaw::parse(text).unwrap();
    let budget = |name: &str| loaded.providers[name].timeouts.budget.as_secs();
    assert_eq!((budget("a"), budget("b")), (30, 7));
}

/// In errors and warnings the variable's name stands for its value.
#[test]
fn a_variables_value_is_in_no_error_and_no_warning() {
    let variables = Variables::parse("/c/.env", "TOKEN='s3cret \"token\"'").unwrap();
    let with = |provider: &str, rest: &str| {
        let text = format!(
            "{{models: {{providers: {{a: {{baseUrl: 'unix:///s', models: [{{id: 'm'}}], {provider}}}}}}}, {rest}}}"
        );
        OpenClaw::parse_with(&text, &variables)
    };
    for (provider, rest) in [
        ("api: '${TOKEN}'", ""),
        ("apiKey: {source: '${TOKEN}'}", ""),
        ("uid: '${TOKEN}'", ""),
        ("", "agents: {defaults: {model: '${TOKEN}'}}"),
        ("", "agents: {defaults: {model: 'a/${TOKEN}'}}"),
        ("", "channels: {matrix: {dmPolicy: '${TOKEN}'}}"),
    ] {
        let error = with(provider, rest).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    }
    let cloud = "api: 'ollama', models: [{id: 'm'}, {id: '${TOKEN}-cloud'}]";
    let warnings = with(cloud, "").unwrap().warnings;
    assert_eq!(warnings, ["a/${TOKEN}-cloud is ignored: it runs in Ollama's cloud, not at home"]);
}

/// As in files that were written for OpenClaw.
#[test]
fn a_variable_that_is_missing_where_it_has_no_effect_is_no_error() {
    let text = "{env: {vars: {HOST: 'gpu'}, shellEnv: {enabled: true}}, models: {providers: {
        a: {baseUrl: 'http://${HOST}', models: [{id: 'm', headers: {x: '${MISSING}'}}]},
        c: {api: 'anthropic-messages', apiKey: '${MISSING}'}}},
        gateway: {auth: {token: '${MISSING}'}}, channels: {telegram: {botToken: '${MISSING}'}}}";
    let loaded = OpenClaw::parse(text).unwrap();
    assert_eq!(loaded.providers["a"].nodes[0].base_url, "http://gpu");
    assert!(failure(&text.replace("'gpu'", "''")).contains("`models.providers.a.baseUrl` needs"));
}

#[test]
fn a_key_is_read_from_the_file_of_variables_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("openclaw.json");
    std::fs::write(&path, "{models: {providers: {a: {baseUrl: 'unix:///s', apiKey: '${GPU_KEY}', models: [{id: 'm'}]}}}}").unwrap();
    let error = OpenClaw::load(&path).unwrap_err().to_string();
    assert!(error.contains(&folder.path().join(".env").display().to_string()), "{error}");
    std::fs::write(folder.path().join(".env"), "GPU_KEY=k").unwrap();
    let loaded = OpenClaw::load(&path).unwrap();
    assert_eq!(
        loaded.providers["a"].nodes[0].access.key,
        Some(ApiKey::Text("k".to_owned().into()))
    );
}

proptest! {
    #[test]
    fn no_text_upsets_it(text in "\\PC{0,200}") {
        let _ = OpenClaw::parse(&text);
    }

    /// Pieces of real files in any order.
    #[test]
    fn no_pieces_upset_it(pieces in prop::collection::vec(prop::sample::select(vec![
        "{", "}", "[", "]", ":", ",", "models", "providers", "agents", "defaults", "model", "\"a/b\"", "1e999", "null",
    ]), 0..40)) {
        let _ = OpenClaw::parse(&pieces.concat());
    }
}

#[test]
fn a_deployment_has_relays_and_is_never_the_default_model() {
    let lab = "lab: {api: 'maru-confidential', baseUrl: 'unix:///auth', relays: [{baseUrl: 'unix:///relay', \
               request: {tls: {ca: '/ca', serverName: 'r'}}}], models: [{id: 'm'}]}";
    let ours = "z: {baseUrl: 'unix:///s', models: [{id: 'm'}]}";
    let file = |providers: &str| format!("{{models: {{providers: {{{providers}}}}}}}");

    let loaded = OpenClaw::parse(&file(&format!("{lab}, {ours}"))).unwrap();
    assert_eq!(loaded.primary.to_string(), "z/m", "though lab comes first");
    let provider = &loaded.providers["lab"];
    assert_eq!(provider.api, Api::Confidential);
    assert_eq!(provider.relays[0].base_url, "unix:///relay");
    assert_eq!(provider.relays[0].access.tls.server_name.as_deref(), Some("r"));
    assert_eq!(loaded.warnings, Vec::<String>::new());

    assert!(failure(&file(lab)).contains("no model is configured"), "unless the file says so");
    let said =
        format!("{{models: {{providers: {{{lab}}}}}, agents: {{defaults: {{model: 'lab/m'}}}}}}");
    assert_eq!(OpenClaw::parse(&said).unwrap().primary.to_string(), "lab/m");

    let without = "lab: {api: 'maru-confidential', baseUrl: 'unix:///auth', models: [{id: 'm'}]}";
    assert!(failure(&file(without)).contains("lab.relays"));
    let foreign =
        "z: {baseUrl: 'unix:///s', relays: [{baseUrl: 'unix:///r'}], models: [{id: 'm'}]}";
    assert!(failure(&file(foreign)).contains("z.relays"));
    let nodes = lab.replace("relays:", "nodes: [{baseUrl: 'unix:///n'}], relays:");
    assert!(failure(&file(&nodes)).contains("lab.nodes"));
}

/// As people name it when they ask: else the gateway would not start with what an admin writes.
#[test]
fn a_deployment_is_listed_by_the_names_that_people_ask_it_by() {
    let lab = |name: &str| {
        format!(
            "{name}: {{api: 'maru-confidential', baseUrl: 'unix:///{name}', relays: [{{baseUrl: 'unix:///r'}}], \
             models: [{{id: 'm'}}, {{id: 'of-{name}'}}]}}"
        )
    };
    let file = |listed: &str| {
        format!(
            "{{models: {{providers: {{z: {{baseUrl: 'unix:///s', models: [{{id: 'own'}}]}}, {}, {}}}}}, \
             agents: {{defaults: {{model: {{primary: 'z/own', fallbacks: ['{listed}']}}}}}}}}",
            lab("one"),
            lab("two")
        )
    };
    for (listed, meant) in [
        ("one/of-one", "one/of-one"),
        ("confidential/two", "two/m"),
        ("confidential/of-two", "two/of-two"),
    ] {
        let loaded = OpenClaw::parse(&file(listed)).unwrap();
        assert_eq!(loaded.fallbacks, [meant.parse().unwrap()], "{listed}");
    }
    for none in ["confidential/m", "confidential/own", "confidential/z"] {
        assert!(failure(&file(none)).contains("not among models.providers"), "{none}");
    }
}
