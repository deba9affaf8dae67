//! A household whose first model is a deployment's, with its own as the fallback: what happens while no node proves itself.
//!
//! Fails if the fallback does not answer then, in the clear and under the seal; if its reply claims evidence, or does not
//! say which model it is from; if the deployment is left aside after some refusals, as a server that is broken would be.

use lab::confidential::{Chain, Holder, Measurement};
use serde_json::Value;
use testkit::blocking::http;

use super::support::chain_house::ConfidentialDeployment;

/// A node of which nothing was measured, one that is not what the policy names, and one that is.
const NODES: [(Holder, Measurement); 3] = [
    (Holder::Enclave, Measurement::Zeros),
    (Holder::Tpm, Measurement::OneChangedByte),
    (Holder::Enclave, Measurement::TheImage),
];
/// The one that is.
const PROVES_ITSELF: usize = 2;
/// Replies that are asked for: more than make the circuit breaker open.
const MANY: usize = 8;

/// Makes the deployment's model the household's first one.
fn with_fallback(text: String) -> String {
    let (before, rest) = text.split_once("model: {").expect("the models that answer");
    let (_, after) = rest.split_once('}').unwrap();
    let models = "primary: \"confidential/smollm2\", fallbacks: [\"llamacpp/default\"] ";
    format!("{before}model: {{ {models}}}{after}")
}

/// Asks what the household asks, and says which model answered, and whether evidence stood behind it.
fn ask(house: &ConfidentialDeployment) -> (String, bool) {
    let body = r#"{"model":"maru","max_tokens":4,"messages":[{"role":"user","content":"hello"}]}"#;
    let (path, host) = ("/v1/chat/completions", "chat.maru.home.arpa:18789");
    let connection = house.laptop.instance.dial(18789).unwrap();
    let answer = http::request(connection, "POST", path, host, &[], Some(body)).unwrap();
    let has_evidence = answer.head.contains("maru-evidence: ");
    let (status, said) = (answer.status, answer.body().unwrap());
    assert_eq!(status, 200, "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    (said["model"].as_str().unwrap().to_owned(), has_evidence)
}

#[test]
#[ignore = "needs: root, podman, model, swtpm"]
fn the_listed_fallback_answers_while_no_node_proves_itself() {
    let leave = |chain: &mut Chain| chain.leave(PROVES_ITSELF).unwrap();
    let mut house = ConfidentialDeployment::new(&NODES, leave, with_fallback);
    for _ in 0..MANY {
        assert_eq!(ask(&house), ("llamacpp/default".to_owned(), false));
    }
    let sealed = ["chat", "--max-tokens", "4", "--ask", "hello"];
    let sealed = house.laptop.instance.run(&sealed).unwrap();
    let said = String::from_utf8_lossy(&sealed.stderr);
    assert!(sealed.status.success() && !sealed.stdout.is_empty(), "{said}");
    assert!(!said.contains("SIMULATED"), "{said}");

    // The deployment was not put aside for that: once a node proves itself, the next question is its.
    house.chain.come_back(PROVES_ITSELF).unwrap();
    let (model, has_evidence) = ask(&house);
    assert!(has_evidence && model != "llamacpp/default", "{model} answered");
}
