//! The pages: SSO, and a person's apps.

use axum::http::{Method, header};
use serde_json::json;

use super::{Node, code};
use crate::testing::TestServer;

const SSO: &str =
    "/_matrix/client/v3/login/sso/redirect/mesh?redirectUrl=http%3A%2F%2Flocalhost%3A4321%2Fsso";
const CONFIRM: &str = "/sign-in/confirm";

impl Node<'_> {
    /// Opens the page of SSO and presses its button. Returns the login token.
    async fn login_token(&self) -> String {
        let page = self.get(self.get(SSO).await.location()).await;
        let form = format!("token={}", page.token());
        let confirmed = self.post(CONFIRM, &form).await;
        let address = confirmed.location();
        let token = address.strip_prefix("http://localhost:4321/sso?loginToken=");
        token.unwrap_or_else(|| panic!("{address}")).to_owned()
    }
}

#[tokio::test]
async fn sso_signs_an_app_in_by_one_press() {
    let server = TestServer::start().await;
    let kim = server.node(1, "kim", "n1");
    let redirect = kim.get(SSO).await;
    let page = kim.get(redirect.location()).await;
    for part in ["@kim:maru.test", "100.64.0.2", "http://localhost:4321", "lang=\"ko\""] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    for part in
        ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self' http://localhost:4321"]
    {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!page.text.contains("<script"));
    // Otherwise the browser would send the form with `Origin: null`.
    assert_eq!(page.headers[header::REFERRER_POLICY], "same-origin");

    let login = json!({"type": "m.login.token", "token": kim.login_token().await});
    let body = kim.log_in(&login).await.json();
    assert_eq!(body["user_id"], "@kim:maru.test");
    assert_eq!(body["device_id"].as_str().unwrap().len(), 10);
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(kim.who_am_i(token).await.status, 200);
    assert_eq!(code(&kim.log_in(&login).await), (403, "M_FORBIDDEN".to_owned()), "used");
}

#[tokio::test]
async fn a_login_token_is_bound_to_person_and_node() {
    let server = TestServer::start().await;
    let kim = server.node(1, "kim", "n1");
    for other in [server.node(1, "kim", "n2"), server.node(2, "min", "n1")] {
        let login = json!({"type": "m.login.token", "token": kim.login_token().await});
        assert_eq!(code(&other.log_in(&login).await), (403, "M_FORBIDDEN".to_owned()));
        assert_eq!(code(&kim.log_in(&login).await), (403, "M_FORBIDDEN".to_owned()), "stolen");
    }
}

#[tokio::test]
async fn a_form_is_sent_once_by_who_was_shown_it() {
    let server = TestServer::start().await;
    let kim = server.node(1, "kim", "n1");
    let (other_node, min) = (server.node(1, "kim", "n2"), server.node(2, "min", "n1"));
    let page = kim.get(SSO).await.location().to_owned();
    for (sender, what) in [(&other_node, "another node"), (&min, "another person")] {
        let form = format!("token={}", kim.get(&page).await.token());
        assert_eq!(sender.post(CONFIRM, &form).await.status, 403, "{what}");
        assert_eq!(kim.post(CONFIRM, &form).await.status, 403, "a stolen token is void");
    }
    let form = format!("token={}", kim.get(&page).await.token());
    assert_eq!(kim.post(CONFIRM, &form).await.status, 303);
    assert_eq!(kim.post(CONFIRM, &form).await.status, 403, "sent already");
    assert_eq!(kim.post(CONFIRM, "").await.status, 403);
    assert_eq!(kim.post("/sign-in/account", &form).await.status, 403);
    // Opening a page makes nobody a member.
    let people = sqlx::query_scalar::<_, String>("SELECT user_id FROM people");
    min.get(&page).await;
    let people = people.fetch_all(server.homeserver.pool()).await.unwrap();
    assert_eq!(people, ["@kim:maru.test"]);
}

#[tokio::test]
async fn nobody_is_sent_to_a_website() {
    let server = TestServer::start().await;
    let kim = server.node(1, "kim", "n1");
    for address in
        ["", "redirectUrl=", "redirectUrl=https://evil.example/", "redirectUrl=javascript:x"]
    {
        let answer = kim.get(&format!("/sign-in/sso?{address}")).await;
        assert_eq!(answer.status, 400, "{address}");
        assert!(!answer.text.contains("evil") && !answer.text.contains("<form"), "{address}");
        assert!(!answer.headers.contains_key(header::LOCATION));
    }
    let element = kim.get("/sign-in/sso?redirectUrl=element%3A%2F%2Fconnect").await;
    let policy = element.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.ends_with("form-action 'self' element:"), "{policy}");
    let form = format!("token={}", element.token());
    let confirmed = kim.post(CONFIRM, &form).await;
    assert!(confirmed.location().starts_with("element://connect?loginToken="));
    let other = "/_matrix/client/v3/login/sso/redirect/other?redirectUrl=element%3A%2F%2Fconnect";
    assert_eq!(code(&kim.get(other).await), (404, "M_UNRECOGNIZED".to_owned()));
}

#[tokio::test]
async fn the_account_page_signs_an_app_out() {
    let server = TestServer::start().await;
    let (kim, min) = (server.node(1, "kim", "n1"), server.node(2, "min", "n2"));
    let (phone, laptop, other) =
        (kim.app("PHONE").await, kim.app("LAPTOP").await, min.app("OTHER").await);
    let name = json!({"display_name": "<b>x</b>"}).to_string();
    let path = "/_matrix/client/v3/devices/PHONE";
    kim.call(Method::PUT, path, &name, Some(&phone)).await;
    let query = "action=org.matrix.device_delete&device_id=PHONE";
    let page = kim.get(&format!("/sign-in/account?{query}")).await;
    assert!(page.text.contains("value=\"PHONE\" required checked>"), "{}", page.text);
    assert!(page.text.contains("value=\"LAPTOP\" required>") && !page.text.contains("OTHER"));
    assert!(page.text.contains("&lt;b&gt;x&lt;/b&gt;") && !page.text.contains("<b>x"));
    let form = format!("token={}&device_id=PHONE", page.token());
    let removed = kim.post("/sign-in/account", &form).await;
    assert_eq!(removed.location(), "/sign-in/account");
    assert_eq!(kim.who_am_i(&phone).await.status, 401);
    let page = kim.get("/sign-in/account").await;
    let form = format!("token={}&device_id=OTHER", page.token());
    let foreign = kim.post("/sign-in/account", &form).await;
    assert_eq!(foreign.location(), "/sign-in/account");
    assert_eq!(min.who_am_i(&other).await.status, 200, "somebody else's app");
    assert_eq!(kim.who_am_i(&laptop).await.status, 200);
    let reset = kim.get("/sign-in/account?action=org.matrix.cross_signing_reset").await;
    assert!(reset.status == 200 && !reset.text.contains("<form"));
}

#[tokio::test]
async fn websites_get_no_password() {
    let server = TestServer::start().await;
    let mut kim = server.node(1, "kim", "n1");
    kim.password().await;
    for name in ["origin", "sec-fetch-site"] {
        let request = axum::http::Request::post("/maru/v1/rooms/login")
            .header(name, "http://rooms.maru.test")
            .extension(kim.header.clone())
            .body(axum::body::Body::empty())
            .unwrap();
        let router = server.router.clone();
        let response = tower::ServiceExt::oneshot(router, request).await.unwrap();
        assert_eq!(response.status(), 403, "{name}");
    }
    kim.header.identity.user = None;
    assert_eq!(kim.post("/maru/v1/rooms/login", "{}").await.status, 403);
}
