//! What they answer: auth to a fetch of the configuration, relay and gateway, behind them router and node.

use std::{convert::Infallible, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use confidential_api::{
    NodeId,
    evidence::EvidenceList,
    names::{NODE_GONE, OHTTP_KEY_PROBLEM, header, media},
    routing::{AttestRequest, ComputeManifest, ComputeManifestList, ComputeRequestInfo},
    signed::Signed,
};
use confidential_envelope::{
    Plaintext, ResponseSealer,
    bhttp::{self, Encoder, RequestHead, ResponseHead},
    inner, ohttp,
};
use futures_util::{StreamExt as _, stream};
use uuid::Uuid;

use super::{Deployment, MODEL, Script, SecondRelay, certificate, key};

impl Deployment {
    /// What the router says: status, fields, content.
    fn route(&self, head: &RequestHead, content: &[u8]) -> (u16, HeaderMap, Vec<u8>) {
        let mut script = self.script.lock().unwrap();
        let none = HeaderMap::new;
        match head.path.as_str() {
            "/ping" => (200, none(), b"pong".to_vec()),
            "/compute-manifests" => {
                let tags = vec![format!("model={MODEL}")];
                let nodes = [Some(self.node), script.second.map(|_| self.second)];
                let manifest = |id| {
                    let (tags, evidence) = (tags.clone(), EvidenceList::default());
                    ComputeManifest { id, tags, evidence }
                };
                let nodes = nodes.into_iter().flatten().map(manifest).collect();
                (200, none(), ComputeManifestList(nodes).encode())
            }
            "/attest" if script.no_attest => (404, none(), Vec::new()),
            "/attest" if script.gone => {
                let mut fields = HeaderMap::new();
                fields.insert(CONTENT_TYPE, media::PROBLEM.parse().unwrap());
                let problem =
                    format!("{{\"type\":\"urn:maru:problem:{NODE_GONE}\",\"status\":404}}");
                (404, fields, problem.into_bytes())
            }
            "/attest" => {
                script.attested += 1;
                let AttestRequest { node, nonce } = AttestRequest::decode(content).unwrap();
                if script.attest_is_full && node == self.node {
                    return (503, none(), Vec::new());
                }
                assert!(node == self.node || script.second.is_some() && node == self.second);
                (200, none(), self.evidence(&script, node, nonce).encode())
            }
            "/" => self.answer(&mut script, &head.headers, content),
            _ => (404, none(), Vec::new()),
        }
    }

    /// What the node says.
    fn answer(
        &self,
        script: &mut Script,
        headers: &HeaderMap,
        body: &[u8],
    ) -> (u16, HeaderMap, Vec<u8>) {
        script.questions += 1;
        if script.refuses > 0 {
            script.refuses -= 1;
            return (400, HeaderMap::new(), Vec::new());
        }
        let info =
            ComputeRequestInfo::decode_text(headers[header::ROUTING_INFO].as_bytes()).unwrap();
        script.candidates = info.candidates.iter().map(|it| it.id).collect();
        let rek = Arc::clone(&self.rek.lock().unwrap());
        let Ok(opened) = inner::open(&info.candidates[0].encapsulated_key, body, &*rek) else {
            return (400, HeaderMap::new(), Vec::new());
        };
        let (_, question) = bhttp::decode::<RequestHead>(&opened.plaintext, 1 << 20).unwrap();
        script.heard.push(String::from_utf8(question.to_vec()).unwrap());
        script.sealed_keys.push(info.candidates[0].encapsulated_key.clone());
        let mut fields = HeaderMap::new();
        let node = if script.not_offered {
            NodeId::new(Uuid::now_v7()).unwrap()
        } else {
            info.candidates[0].id
        };
        fields.insert(header::NODE_ID, node.to_string().parse().unwrap());
        if script.unsealed == Some("inner") {
            fields.insert(CONTENT_TYPE, "text/event-stream".parse().unwrap());
            return (200, fields, EVENTS.as_bytes().to_vec());
        }
        fields.insert(CONTENT_TYPE, media::CHUNKED_RESPONSE.parse().unwrap());
        let mut sealed = sealed(opened.response, script.status);
        sealed.truncate(sealed.len().checked_sub(script.cut).unwrap());
        (200, fields, sealed)
    }
}

const EVENTS: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"}}]}\n\n\
                      data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
                      data: [DONE]\n\n";

/// A reply of the engine, sealed chunk by chunk.
fn sealed(sealer: ResponseSealer, status: u16) -> Vec<u8> {
    let mut sealer = sealer.chunked().unwrap();
    let mut headers = HeaderMap::new();
    let (kind, content) = match status {
        200 => ("text/event-stream", EVENTS),
        _ => ("application/json", "{\"error\":{\"message\":\"no\"}}"),
    };
    headers.insert(CONTENT_TYPE, kind.parse().unwrap());
    let head = ResponseHead { status: StatusCode::from_u16(status).unwrap(), headers };
    let (mut encoder, head) = Encoder::new(&head, inner::PADDING);
    let mut bytes = sealer.write(&head).unwrap();
    bytes.extend(sealer.write(&encoder.content(content.as_bytes())).unwrap());
    bytes.extend(sealer.finish(&encoder.finish()).unwrap());
    bytes
}

/// Counts a request that waits, or an answer that has no end, until its caller leaves.
struct Hanging(Deployment);

impl Hanging {
    fn new(deployment: &Deployment) -> Self {
        deployment.change(|script| script.hanging += 1);
        Self(deployment.clone())
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.0.change(|script| script.hanging -= 1);
    }
}

pub(super) async fn config(State(deployment): State<Deployment>) -> Response {
    let script = {
        let mut script = deployment.script.lock().unwrap();
        script.fetched += 1;
        script.clone()
    };
    if script.auth_hangs {
        let _hanging = Hanging::new(&deployment);
        std::future::pending::<()>().await;
    }
    let certificate = certificate(2, script.certified_for, script.old.certificate);
    let signed = Signed::sign(&deployment.config(&script), &key(script.signer), Some(certificate));
    let signed = signed.unwrap();
    let headers = [
        (header::SIGNATURE, signed.signature.to_string()),
        (header::CERTIFICATE, signed.certificate.unwrap().to_header()),
    ];
    (headers, signed.payload).into_response()
}

/// What of a node's answer comes before it stops.
fn begun<'a>(content: &'a [u8], after: &str) -> &'a [u8] {
    match after {
        // A node's nonce, and a little of the chunk with its head.
        "node" => &content[..40],
        "reply" => &content[..content.len() - 1],
        _ => &[],
    }
}

/// An answer that begins like this, and stops.
fn without_end(deployment: &Deployment, begins: Vec<u8>) -> Body {
    let begins = stream::once(async { Ok::<_, Infallible>(Bytes::from(begins)) });
    let hanging = Hanging::new(deployment);
    let silence = stream::once(async move {
        let _hanging = hanging;
        std::future::pending().await
    });
    Body::from_stream(begins.chain(silence))
}

/// Relay and gateway.
pub(super) async fn relay(
    State(deployment): State<Deployment>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    {
        let mut script = deployment.script.lock().unwrap();
        if script.key_problems > 0 {
            script.key_problems -= 1;
            let problem = format!("{{\"type\":\"{OHTTP_KEY_PROBLEM}\"}}");
            return (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, media::PROBLEM)], problem)
                .into_response();
        }
        if script.unsealed == Some("outer") {
            return "hello".into_response();
        }
    }
    let keys = [Arc::clone(&deployment.gateway)];
    let chunked = headers[CONTENT_TYPE] == media::OHTTP_CHUNKED_REQUEST;
    let (question, sealer) = if chunked {
        let mut stream = ohttp::RequestStream::new(keys.to_vec(), ohttp::REQUEST_LIMITS);
        let mut question = Plaintext::default();
        stream.push(&body, &mut question).unwrap();
        let sealer = stream.finish(&mut question).unwrap();
        (question, sealer)
    } else {
        let opened = ohttp::open(&keys, &body).unwrap();
        (opened.plaintext, opened.response)
    };
    let (head, content) = bhttp::decode::<RequestHead>(&question, 4 << 20).unwrap();
    let is_question = head.path.as_str() == "/";
    if !is_question {
        let Script { second, slow, .. } = deployment.seen();
        let hangs = second == Some(SecondRelay::Hangs) && head.path.as_str() == "/attest";
        if hangs && AttestRequest::decode(&content).unwrap().node == deployment.second {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(slow).await;
    }
    let (status, headers, content) = deployment.route(&head, &content);
    let stops = deployment.seen().stops.filter(|_| is_question);
    let head = ResponseHead { status: StatusCode::from_u16(status).unwrap(), headers };
    let (kind, sealed) = if chunked {
        let mut sealer = sealer.chunked().unwrap();
        let (mut encoder, head) = Encoder::new(&head, 1);
        let mut sealed = sealer.write(&head).unwrap();
        if let Some(after) = stops {
            sealed.extend(sealer.write(&encoder.content(begun(&content, after))).unwrap());
            let body = without_end(&deployment, sealed);
            return ([(CONTENT_TYPE, media::OHTTP_CHUNKED_RESPONSE)], body).into_response();
        }
        sealed.extend(sealer.write(&encoder.content(&content)).unwrap());
        sealed.extend(sealer.finish(&encoder.finish()).unwrap());
        (media::OHTTP_CHUNKED_RESPONSE, sealed)
    } else {
        (media::OHTTP_RESPONSE, sealer.seal(&bhttp::encode(&head, &content, 1)).unwrap())
    };
    ([(CONTENT_TYPE, kind)], Body::from(sealed)).into_response()
}
