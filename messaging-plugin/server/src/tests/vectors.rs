//! The exchanges of `docs/protocols/vectors/plugin.json`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
    digits.map(Result::unwrap).collect()
}

/// First line, headers and body of a message.
fn parts(message: &str) -> (&str, BTreeSet<&str>, &str) {
    let (head, body) = message.split_once("\r\n\r\n").unwrap();
    let mut lines = head.split("\r\n");
    (lines.next().unwrap(), lines.collect(), body)
}

fn set(list: &Value) -> BTreeSet<&str> {
    list.as_array().unwrap().iter().map(|header| header.as_str().unwrap()).collect()
}

/// Plays the gateway: hears what the vector says, and answers.
async fn play(gateway: &Socket, preface: &[u8], exchange: &Value) {
    let expected = &exchange["to_gateway"];
    let body = expected["body"].as_str().unwrap();
    let (mut io, _) = timeout(SOON, gateway.accept()).await.unwrap().unwrap();
    let mut heard = vec![0; preface.len()];
    io.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, preface, "the header goes on unchanged");
    let end = if body.is_empty() { "\r\n\r\n" } else { body };
    let request = until(&mut io, end).await;
    let (line, headers, heard) = parts(&request);
    assert_eq!((line, heard), (expected["line"].as_str().unwrap(), body));
    assert_eq!(headers, set(&expected["headers"]));
    io.write_all(exchange["from_gateway"].as_str().unwrap().as_bytes()).await.unwrap();
}

#[tokio::test]
async fn the_published_exchanges_are_what_happens() {
    let file = include_str!("../../../../docs/protocols/vectors/plugin.json");
    let vectors: Value = serde_json::from_str(file).unwrap();
    let preface = bytes(vectors["preface"].as_str().unwrap());
    for exchange in vectors["exchanges"].as_array().unwrap() {
        let name = exchange["name"].as_str().unwrap();
        let running = start();
        let gateway = running.gateway();
        let socket = running.root.path().join(&running.config.socket);
        let mut client = UnixStream::connect(socket).await.unwrap();
        let request = exchange["from_client"].as_str().unwrap();
        client.write_all(&[preface.as_slice(), request.as_bytes()].concat()).await.unwrap();
        let is_relayed = !exchange["to_gateway"].is_null();
        if is_relayed {
            play(&gateway, &preface, exchange).await;
        }

        let answer = rest(&mut client).await;

        let expected = &exchange["to_client"];
        let (line, headers, body) = parts(&answer);
        assert!(line.starts_with(&format!("HTTP/1.1 {} ", expected["status"])), "{name}: {line}");
        if is_relayed {
            let own = [
                "connection",
                "content-security-policy",
                "cross-origin-resource-policy",
                "date",
                "x-content-type-options",
            ];
            let headers = headers.into_iter();
            let passed = headers.filter(|header| !own.iter().any(|own| header.starts_with(own)));
            assert_eq!(passed.collect::<BTreeSet<_>>(), set(&expected["headers"]), "{name}");
            assert_eq!(body, expected["body"].as_str().unwrap(), "{name}");
        } else {
            let problem: Value = serde_json::from_str(body).unwrap();
            assert_eq!(problem["type"], expected["type"], "{name}");
            running.nobody_came(&gateway).await;
        }
    }
}
