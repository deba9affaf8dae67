//! Latencies, speed, statuses and the queue in the counters of root's socket.

use serde_json::json;

use super::{TestGateway, ada, backend::Script, bob, client, gateway_without_fallback, member};
use crate::{Access, Socket, routes::metrics};

/// Everything that the counters say, as Prometheus asks for it.
async fn scrape(gateway: &TestGateway) -> String {
    let path = gateway.root.path().join(&gateway.config.metrics_socket);
    let socket = Socket::bind(&path, Access::Group).unwrap();
    let app = gateway.app.clone();
    let serving =
        tokio::spawn(async move { metrics::serve(socket, &app, std::future::pending()).await });
    let request = testkit::http::request(axum::http::Method::GET, "/metrics", "localhost", None);
    let answer = client::try_send(&path, None, request).await.expect("an answer");
    assert_eq!(answer.status, 200);
    let text = answer.text().await;
    serving.abort();
    text
}

/// The value of this line.
fn value(text: &str, line: &str) -> f64 {
    let of = |it: &str| it.strip_prefix("maru_gateway_")?.strip_prefix(line)?.parse().ok();
    text.lines().find_map(of).unwrap_or_else(|| panic!("no {line} in {text}"))
}

#[tokio::test]
#[ignore = "needs: root"]
async fn metrics_have_latencies_and_the_queue_but_no_names_of_people() {
    let gateway = gateway_without_fallback(|config| config.line.waiting = 0);
    let body = json!({"messages": [{"role": "user", "content": "canary"}], "stream": true});
    for path in ["/v1/chat/completions", "/v1/chat/completions", "/api/chat"] {
        let mut body = body.clone();
        body["model"] = "maru".into();
        let answer = gateway.post(&ada(), path, &body).await;
        assert!(answer.text().await.contains("Hello"), "{path}");
    }
    let unknown = json!({"model": "canary", "messages": body["messages"]});
    assert_eq!(gateway.post(&ada(), "/v1/chat/completions", &unknown).await.status, 404);
    let embed = json!({"model": "llamacpp/smollm2", "input": "canary"});
    assert_eq!(gateway.post(&ada(), "/v1/embeddings", &embed).await.status, 200);
    gateway.one.script(Script::Endless);
    let mut open = Vec::new();
    for who in [bob(), member(33)] {
        let answer = gateway.post(&who, "/v1/chat/completions", &body).await;
        assert_eq!(answer.status, 200);
        open.push(answer);
    }
    assert_eq!(gateway.post(&ada(), "/v1/chat/completions", &body).await.status, 503);
    // Sealed requests and rooms count there, which nobody sends here. Without a value no metric is in the answer.
    gateway.app.metrics.refuse("expired");

    let text = scrape(&gateway).await;
    let count = |line: &str| value(&text, &format!("{line} "));
    assert_eq!(count("chat_seconds_count{surface=\"openai\"}"), 3.0, "{text}");
    assert_eq!(count("chat_seconds_count{surface=\"ollama\"}"), 1.0);
    assert_eq!(count("backend_seconds_count{provider=\"llamacpp\"}"), 4.0);
    assert_eq!(count("backend_first_delta_seconds_count{provider=\"llamacpp\"}"), 5.0);
    assert_eq!(count("first_delta_seconds_count"), 5.0, "vectors have none");
    assert_eq!(count("tokens_per_second_count{provider=\"llamacpp\"}"), 3.0);
    // The scripted backend has two milliseconds before each of its three parts, and two tokens.
    assert!(count("backend_seconds_sum{provider=\"llamacpp\"}") > 0.015, "{text}");
    let whole =
        ["openai", "ollama"].map(|it| count(&format!("chat_seconds_sum{{surface=\"{it}\"}}")));
    assert!(whole[0] + whole[1] >= count("backend_seconds_sum{provider=\"llamacpp\"}"), "{text}");
    let speed = count("tokens_per_second_sum{provider=\"llamacpp\"}") / 3.0;
    assert!(speed > 0.0 && speed < 500.0, "a token in two milliseconds or more: {speed}");
    for (surface, status, times) in
        [("openai", 200, 5.0), ("openai", 404, 1.0), ("openai", 503, 1.0), ("ollama", 200, 1.0)]
    {
        let line = format!("answers_total{{surface=\"{surface}\",status=\"{status}\"}}");
        assert_eq!(count(&line), times, "{text}");
    }
    let line = |what: &str| count(&format!("line_{what}{{provider=\"llamacpp\"}}"));
    assert_eq!((line("slots"), line("running"), line("waiting")), (2.0, 2.0, 0.0));
    assert_eq!(count("line_refused_total{reason=\"total\"}"), 1.0);
    for said in ["canary", "Hello", "smollm2", "person11", "user:11"] {
        assert!(!text.contains(said), "{said}: {text}");
    }
    assert!(text.ends_with("# EOF\n"));
    testkit::metrics::listed(&text, "maru_gateway_");
    drop(open);
}
