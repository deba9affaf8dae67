//! OAuth as Element X speaks it, on a connection to the port of HTTPS.

use axum::http::Method;
use serde_json::{Value, json};
use telmeet_core::sign_in::metadata;
use url::form_urlencoded::{Serializer, parse};

use super::{Node, code};
use crate::testing::TestServer;

const REDIRECT: &str = "io.element.android:/";
const SCOPE: &str = "urn:matrix:client:api:* urn:matrix:client:device:ABCDEFGHIJ";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn form(parameters: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(parameters).finish()
}

impl Node<'_> {
    fn over_https(mut self) -> Self {
        self.header.destination.set_port(443);
        self
    }

    async fn register(&self) -> Value {
        let app = json!({
            "client_name": "Element <X>",
            "client_uri": "https://element.io/",
            "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        });
        let answer = self.post(metadata::REGISTER_PATH, &app.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        answer.json()
    }

    /// The address of the page at which the person confirms.
    fn authorization(client: &str) -> String {
        let query = form(&[
            ("response_type", "code"),
            ("response_mode", "query"),
            ("client_id", client),
            ("redirect_uri", REDIRECT),
            ("scope", SCOPE),
            ("state", "a&b"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ]);
        format!("{}?{query}", metadata::AUTHORIZE_PATH)
    }

    /// Confirms. Returns the app's id and its code.
    async fn code(&self) -> (String, String) {
        let client = self.register().await["client_id"].as_str().unwrap().to_owned();
        let page = self.get(&Self::authorization(&client)).await;
        assert!(page.text.contains("Element &lt;X&gt;"), "{}", page.text);
        let confirmed = self.post("/sign-in/confirm", &form(&[("token", &page.token())])).await;
        let query = confirmed.location().strip_prefix("io.element.android:/?").unwrap();
        let answer: Vec<_> = parse(query.as_bytes()).collect();
        assert_eq!(answer[1], ("state".into(), "a&b".into()));
        assert_eq!(answer[0].0, "code");
        (client, answer[0].1.clone().into_owned())
    }

    async fn exchange(&self, client: &str, code: &str, verifier: &str) -> super::Answer {
        let body = form(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", client),
            ("redirect_uri", REDIRECT),
            ("code_verifier", verifier),
        ]);
        self.post(metadata::TOKEN_PATH, &body).await
    }
}

#[tokio::test]
async fn an_app_signs_in_and_out() {
    let server = TestServer::start().await;
    let kim = server.node(1, "kim", "n1").over_https();
    let metadata = kim.get("/_matrix/client/v1/auth_metadata").await.json();
    assert_eq!(metadata["token_endpoint"], "https://rooms.maru.test/sign-in/token");

    let (client, code) = kim.code().await;
    let answer = kim.exchange(&client, &code, VERIFIER).await;
    assert_eq!(answer.headers["cache-control"], "no-store");
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["scope"]), (&json!("Bearer"), &json!(SCOPE)));
    let token = body["access_token"].as_str().unwrap();
    let me = kim.who_am_i(token).await.json();
    assert_eq!(me, json!({"user_id": "@kim:maru.test", "device_id": "ABCDEFGHIJ"}));
    let device =
        kim.call(Method::GET, "/_matrix/client/v3/devices/ABCDEFGHIJ", "", Some(token)).await;
    assert_eq!(device.json()["display_name"], "Element <X>");

    let revoke = form(&[("token", token), ("client_id", &client)]);
    for other in [server.node(1, "kim", "n2"), server.node(2, "min", "n1")] {
        let answer = other.over_https().post(metadata::REVOKE_PATH, &revoke).await;
        assert_eq!(answer.status, 200);
        assert_eq!(kim.who_am_i(token).await.status, 200, "somebody else signed nobody out");
    }
    assert_eq!(kim.post(metadata::REVOKE_PATH, &revoke).await.status, 200);
    assert_eq!(kim.who_am_i(token).await.status, 401);
}

#[tokio::test]
async fn a_code_is_exchanged_by_its_app_alone() {
    let server = TestServer::start().await;
    let kim = server.node(1, "kim", "n1").over_https();
    let other_node = server.node(1, "kim", "n2").over_https();
    let wrong = "a".repeat(43);
    for (sender, client, verifier) in [
        (&other_node, None, VERIFIER),
        (&kim, Some("other"), VERIFIER),
        (&kim, None, &*wrong),
        (&kim, None, ""),
    ] {
        let (own, code) = kim.code().await;
        let answer = sender.exchange(client.unwrap_or(&own), &code, verifier).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (400, json!({"error": "invalid_grant"}))
        );
        assert_eq!(kim.exchange(&own, &code, VERIFIER).await.status, 400, "void after a try");
    }
    let (client, code) = kim.code().await;
    assert_eq!(kim.exchange(&client, &code, VERIFIER).await.status, 200);
    assert_eq!(kim.exchange(&client, &code, VERIFIER).await.status, 400, "used");
    for (body, error) in [
        ("grant_type=refresh_token&refresh_token=x", "invalid_grant"),
        ("grant_type=password", "unsupported_grant_type"),
        ("", "unsupported_grant_type"),
        ("grant_type=a&grant_type=b", "invalid_request"),
    ] {
        let answer = kim.post(metadata::TOKEN_PATH, body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (400, json!({"error": error})),
            "{body}"
        );
    }
}

#[tokio::test]
async fn an_app_of_one_kind_of_sign_in_cannot_use_the_other() {
    let server = TestServer::start().await;
    let kim = server.node(1, "kim", "n1").over_https();
    let (_, code_of_oauth) = kim.code().await;
    let login = json!({"type": "m.login.token", "token": code_of_oauth});
    assert_eq!(code(&kim.log_in(&login).await), (403, "M_FORBIDDEN".to_owned()));
}

#[tokio::test]
async fn an_unknown_app_or_request_leads_nowhere() {
    let server = TestServer::start().await;
    let (kim, min) = (server.node(1, "kim", "n1").over_https(), server.node(2, "min", "n2"));
    let client = kim.register().await["client_id"].as_str().unwrap().to_owned();
    let page = Node::authorization(&client);
    assert_eq!(kim.get(&page).await.status, 200);
    assert_eq!(min.over_https().get(&page).await.status, 400, "registered by somebody else");
    let evil = page.replace("io.element.android", "https");
    assert_eq!(kim.get(&evil).await.status, 400);
    let plain = kim.get(&page.replace("S256", "plain")).await;
    assert_eq!(plain.location(), "io.element.android:/?error=invalid_request&state=a%26b");
    for body in [json!({}), json!({"redirect_uris": [REDIRECT]})] {
        let answer = kim.post(metadata::REGISTER_PATH, &body.to_string()).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    let evil =
        json!({"redirect_uris": ["https://evil.example/"], "token_endpoint_auth_method": "none"});
    let answer = kim.post(metadata::REGISTER_PATH, &evil.to_string()).await;
    assert_eq!(answer.json(), json!({"error": "invalid_redirect_uri"}));
}

#[tokio::test]
async fn there_is_no_oauth_over_plain_http() {
    let server = TestServer::start().await;
    let kim = server.node(1, "kim", "n1");
    for path in [metadata::REGISTER_PATH, metadata::TOKEN_PATH, metadata::REVOKE_PATH] {
        assert_eq!(code(&kim.post(path, "").await), (404, "M_UNRECOGNIZED".to_owned()), "{path}");
    }
    let page = kim.get(&Node::authorization("x")).await;
    assert_eq!(code(&page), (404, "M_UNRECOGNIZED".to_owned()));
}
