//! Sign-in through the router, as apps and browsers do it.

mod devices;
mod login;
mod oauth;
mod pages;
mod removal;

use axum::{
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use mesh_identity::Header;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::testing::{TestServer, header as of_node};

/// A response.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        self.headers[header::LOCATION].to_str().unwrap()
    }

    /// The token in a page's form.
    fn token(&self) -> String {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        let rest = self.text.split("name=\"token\" value=\"").nth(1).unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

/// A node without an app that signed in.
struct Node<'a> {
    server: &'a TestServer,
    header: Header,
}

impl Node<'_> {
    async fn call(&self, method: Method, path: &str, body: &str, token: Option<&str>) -> Answer {
        let mut request =
            Request::builder().method(method).uri(path).extension(self.header.clone());
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.server.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = chassis::body::whole(body, 1 << 20, testkit::PATIENCE).await.unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, "", None).await
    }

    async fn post(&self, path: &str, body: &str) -> Answer {
        self.call(Method::POST, path, body, None).await
    }

    /// A one-time password, and the user id for which it is.
    async fn password(&self) -> (String, String) {
        let answer = self.post("/maru/v1/rooms/login", "{}").await;
        let body = answer.json();
        assert_eq!(body["expires_in"], 600, "{body}");
        (
            body["user_id"].as_str().unwrap().to_owned(),
            body["password"].as_str().unwrap().to_owned(),
        )
    }

    async fn log_in(&self, body: &Value) -> Answer {
        self.post("/_matrix/client/v3/login", &body.to_string()).await
    }

    /// Signs an app in with a one-time password. Returns its access token.
    async fn app(&self, device: &str) -> String {
        let (user, password) = self.password().await;
        let answer = self.log_in(&with_password(&user, &password, device)).await;
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// What an app of this token is, as the server says.
    async fn who_am_i(&self, token: &str) -> Answer {
        self.call(Method::GET, "/_matrix/client/v3/account/whoami", "", Some(token)).await
    }
}

impl TestServer {
    /// A node of the person with this number.
    fn node(&self, person: u64, login: &str, node: &str) -> Node<'_> {
        Node { server: self, header: of_node(person, login, node) }
    }
}

fn with_password(user: &str, password: &str, device: &str) -> Value {
    json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": user },
        "password": password,
        "device_id": device,
    })
}

/// The error code of a refusal.
fn code(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.json()["errcode"].as_str().unwrap_or_default().to_owned())
}
