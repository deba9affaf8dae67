use std::net::SocketAddr;

use lab::Machine;
use proptest::prelude::*;
use serde_json::json;
use testkit::server::{Server, chunk, chunked, read_request, response};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{
    answer::{MODELS_MAX, Model, Step, description, models},
    name::{check, is_name},
    *,
};
use crate::{decoders, error::Usage};

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn what_is_typed_is_a_place_that_can_be_dialled() {
    for (text, place) in [
        (USUAL, "127.0.0.1:11434"),
        ("127.0.0.1", "127.0.0.1:11434"),
        ("http://localhost:8080/", "127.0.0.1:8080"),
        ("localhost", "127.0.0.1:11434"),
        ("http://[::1]", "[::1]:11434"),
        ("http://[::1]:1", "[::1]:1"),
        ("http://100.64.0.5:11434", "100.64.0.5:11434"),
        ("[fd7a:115c:a1e0::5]:80", "[fd7a:115c:a1e0::5]:80"),
    ] {
        assert_eq!(address(text), Ok(at(place)), "{text}");
    }
    for text in [
        "",
        "http://",
        "https://127.0.0.1:11434",
        "http://192.168.1.10:11434",
        "http://0.0.0.0:11434",
        "http://ollama.com",
        "127.0.0.1:0",
        "http://127.0.0.1:11434/v1",
        "localhosts:1",
        "unix:///run/ollama.sock",
    ] {
        assert!(address(text).unwrap_err().contains(USUAL), "{text}");
    }
}

#[test]
fn a_name_leads_nowhere_else_and_names_no_cloud() {
    let good = [
        "llama3.2",
        "llama3.2:3b",
        "mine/sea:latest",
        "hf.co/user/Small-GGUF:Q4_K_M",
        "localhost:5000/library/sea:1b",
        "_a",
    ];
    for name in good {
        check(name).unwrap();
    }
    let long = "a".repeat(201);
    for wrong in [
        "",
        "-h",
        ".",
        "..",
        "a b",
        "a\u{1b}[2J",
        "가",
        "a:",
        ":a",
        "a:b:c",
        "http://x/y",
        "https:/x/y",
        "a//b",
        "../b",
        "a/../b",
        "/a",
        "a/",
        "a/b/c/d",
        "a:b/c:d/e",
        "x:70000/a/b",
        "a?b",
        &long,
    ] {
        assert!(!is_name(wrong), "{wrong}");
        assert!(check(wrong).unwrap_err().is::<Usage>(), "{wrong}");
    }
    for cloud in ["big:cloud", "gpt-oss:120b-cloud", "Kimi:1T-CLOUD"] {
        let error = check(cloud).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().contains("cloud, which"), "{error}");
    }
}

#[test]
fn an_ambiguous_name_is_nobodys() {
    let model = |name: &str| Model { name: name.to_owned(), bytes: 1, kind: String::new() };
    let all = ["sea:1b", "sea:8b", "sky:latest", "sky:1b", "lake:2b", "me/lake:3b"].map(model);
    for (wanted, found) in [
        ("sea:8b", "sea:8b"),
        ("sky", "sky:latest"),
        ("lake", "lake:2b"),
        ("me/lake", "me/lake:3b"),
    ] {
        assert_eq!(find(&all, wanted).unwrap().name, found, "{wanted}");
    }
    let said = |wanted| find(&all, wanted).unwrap_err().to_string();
    assert!(said("sea").contains("several") && said("sea").ends_with("sea:1b, sea:8b"));
    assert!(said("sea:2b").contains("has no model") && said("se").contains("me/lake:3b"));
    assert!(find(&[], "sea").unwrap_err().to_string().contains("maru model pull"));
    let many: Vec<_> = (0..50).map(|n| model(&format!("m{n}"))).collect();
    assert!(find(&many, "x").unwrap_err().to_string().ends_with("m19, …"));
}

/// A server that answers each request with these bytes, and then, if `endless`, with an `x` for ever.
async fn lying(bytes: Vec<u8>, endless: bool) -> (Server, Ollama) {
    let (server, at) = Server::tcp(move |mut io: TcpStream| {
        let bytes = bytes.clone();
        async move {
            read_request(&mut io).await.unwrap();
            io.write_all(&bytes).await.unwrap();
            while endless && io.write_all(&chunk([b'x'; 1024])).await.is_ok() {}
        }
    })
    .await;
    (server, Ollama::new(at, "lo").unwrap())
}

/// What is said of a pull from such a server.
async fn pulled(lines: &str) -> String {
    let (_server, ollama) = lying(response("200 OK", "a/b", lines).into(), false).await;
    match ollama.pull("sea", |_, _| ()).await {
        Ok(()) => "pulled".to_owned(),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test]
async fn a_lying_ollama_is_one_clean_and_bounded_sentence() {
    let head = chunked("200 OK", "application/json").into_bytes();
    let (_server, ollama) = lying(head.clone(), true).await;
    let error = ollama.pull("sea", |_, _| ()).await.unwrap_err().to_string();
    assert!(error.contains("is no Ollama"), "{error}");
    let error = ollama.models().await.unwrap_err().to_string();
    assert!(error.contains("is no Ollama"), "{error}");
    let error = ollama.describe("sea").await.unwrap_err().to_string();
    assert!(error.contains("is no Ollama"), "{error}");
    let (_server, ollama) = lying(chunked("500 No", "a/b").into_bytes(), true).await;
    let error = ollama.remove("sea").await.unwrap_err().to_string();
    assert!(error.ends_with("refused: 500 Internal Server Error"), "{error}");

    // Well-formed, and longer than anything that Ollama says.
    let long = json!({ "status": "x".repeat(100 << 10) }).to_string();
    assert!(
        pulled(&format!("{long}\n{{\"status\":\"success\"}}\n")).await.contains("is no Ollama")
    );
    let long = format!("{{\"models\":[]}}{}", " ".repeat(9 << 20));
    let (_server, ollama) = lying(response("200 OK", "a/b", &long).into(), false).await;
    assert!(ollama.models().await.unwrap_err().to_string().contains("is no Ollama"));

    let steers = json!({ "error": format!("\u{1b}[2Ja\nb\u{202e}{}", "c".repeat(9000)) });
    let said = pulled(&steers.to_string()).await;
    assert!(said.contains("[2Ja b") && said.chars().count() < 400, "{said}");
    assert!(!said.chars().any(common::foreign::steers), "{said}");
    assert!(pulled("<html>\n").await.contains("is no Ollama"));
    assert!(pulled("").await.ends_with("the same command continues from there"));
    assert!(pulled("{\"status\":\"pulling\"}\n").await.contains("ended early"));
}

#[tokio::test]
async fn a_pull_says_its_steps_and_a_cloud_is_not_even_asked() {
    let lines = r#"{"status":"pulling manifest"}
        {"status":"pulling 1a","total":10,"completed":99}
        {"status":"pulling 1a","total":-1,"completed":"x"}
        {"status":"success"}"#;
    // Ollama ends its last line, or the stream.
    for body in [lines.to_owned(), format!("{lines}\n\n")] {
        let (_server, ollama) = lying(response("200 OK", "a/b", &body).into(), false).await;
        let mut steps = Vec::new();
        ollama.pull("sea", |what, bytes| steps.push((what.to_owned(), bytes))).await.unwrap();
        let steps: Vec<_> = steps.iter().map(|(what, bytes)| (what.as_str(), *bytes)).collect();
        let one = "pulling 1a";
        assert_eq!(steps, [("pulling manifest", None), (one, Some((10, 10))), (one, None)]);
    }
    let nobody = Ollama::new(at("127.0.0.1:1"), "lo").unwrap();
    let error = nobody.pull("big:cloud", |_, _| ()).await.unwrap_err();
    assert!(error.to_string().contains("cloud, which"), "{error}");
}

/// An address of the mesh may be somebody else's while there is no tunnel.
#[test]
#[ignore = "needs: root"]
fn a_mesh_address_is_asked_through_the_tunnel_alone() {
    let machine = Machine::new("model").unwrap();
    machine.sh("ip link set lo up && ip addr add 100.64.0.9/32 dev lo").unwrap();
    let listed = machine.in_network(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("100.64.0.9:11434").await.unwrap();
            tokio::spawn(async move {
                while let Ok((mut io, _)) = listener.accept().await {
                    read_request(&mut io).await.unwrap();
                    let empty = response("200 OK", "a/b", r#"{"models":[]}"#);
                    io.write_all(empty.as_bytes()).await.unwrap();
                }
            });
            let asked = async |interface| {
                let ollama = Ollama::new(at("100.64.0.9:11434"), interface).unwrap();
                ollama.models().await.map_err(|error| error.to_string())
            };
            [asked("lo").await, asked("maru0").await]
        })
    });
    assert!(listed[0].is_ok(), "the control: {:?}", listed[0]);
    assert!(listed[1].as_ref().unwrap_err().contains("maru status"), "{:?}", listed[1]);
}

proptest! {
    /// Whatever answers: what is kept are short texts that steer nothing, names that Ollama could give, and no more than so many.
    #[test]
    fn any_answer_is_survived(
        bytes in prop::collection::vec(any::<u8>(), 0..256),
        texts in prop::collection::vec(any::<String>(), 0..4),
        size: i64,
        count in 0..300_usize,
    ) {
        let _ = (models(&bytes), description(&bytes), decoders::pull([bytes.as_slice()]));
        let details = |word: &str| json!({ "family": word, "parameter_size": 7 });
        let mut tags: Vec<_> = texts
            .iter()
            .map(|text| json!({ "name": text, "size": size, "details": details(text) }))
            .collect();
        tags.extend((0..count).map(|n| json!({ "name": format!("m{n}") })));
        let answer = json!({ "models": tags, "capabilities": texts }).to_string();
        let found = models(answer.as_bytes()).unwrap();
        prop_assert!(found.here.len() <= MODELS_MAX);
        prop_assert_eq!(found.here.len() + found.left_out, tags.len());
        prop_assert!(found.here.iter().all(|it| is_name(&it.name)));
        let words = found.here.into_iter().map(|it| it.kind);
        let words = words.chain(description(answer.as_bytes()).unwrap().capabilities);
        for word in words {
            prop_assert!(word.chars().count() <= 32 && !word.chars().any(common::foreign::steers));
        }
    }

    /// A pull that is cut anywhere is the same pull; nothing has come that is more than the whole.
    #[test]
    fn a_pull_is_read_the_same_however_it_arrives(
        texts in prop::collection::vec(any::<String>(), 0..4),
        numbers: [i64; 2],
        cut in 1..40_usize,
    ) {
        let lines: String = texts
            .iter()
            .map(|text| {
                let [total, completed] = numbers;
                json!({ "status": text, "total": total, "completed": completed }).to_string() + "\n"
            })
            .collect();
        let whole = decoders::pull([lines.as_bytes()]).unwrap();
        prop_assert_eq!(whole.len(), texts.len());
        prop_assert_eq!(decoders::pull(lines.as_bytes().chunks(cut)), Some(whole.clone()));
        for step in whole {
            let Step::Going(what, bytes) = step else { continue };
            prop_assert!(!what.chars().any(common::foreign::steers));
            prop_assert!(bytes.is_none_or(|(done, total)| done <= total));
        }
    }
}
