//! Sign-in by OAuth, as the app does it: over HTTPS, whose certificate the network's own authority signed, with a code and
//! its proof (PKCE). Of the browser only what it asks is here: the page, and the press of its button.

use anyhow::{Context as _, Result, ensure};
use matrix_sdk::{
    authentication::oauth::{
        ClientRegistrationData,
        registration::{ApplicationType, ClientMetadata, Localized, OAuthGrantType},
    },
    ruma::serde::Raw,
    utils::UrlOrQuery,
};
use reqwest::{Certificate, StatusCode, Url, header, redirect::Policy};

use crate::{device::Found, walk::Walk};

/// Where the browser sends the answer, as the Android app registers it.
const REDIRECT: &str = "io.element.android:/";
/// Before the token in the page's form.
const TOKEN: &str = "name=\"token\" value=\"";

/// Signs another device of the person in and out.
pub(crate) async fn device(walk: &Walk) -> Result<()> {
    let secure = walk.url.replacen("http://", "https://", 1);
    let root = reqwest::get(format!("{}:443/root.pem", walk.url)).await?.error_for_status()?;
    let root = Certificate::from_pem(&root.bytes().await?)?;
    let browser = reqwest::Client::builder()
        .tls_certs_only([root.clone()])
        .redirect(Policy::none())
        .build()?;

    let found = Found::at(&secure, vec![root]).await?;
    let (redirect, home) = (Url::parse(REDIRECT)?, Url::parse("https://element.io/")?);
    let grant = OAuthGrantType::AuthorizationCode { redirect_uris: vec![redirect.clone()] };
    let home = Localized::new(home, None);
    let mut app = ClientMetadata::new(ApplicationType::Native, vec![grant], home);
    app.client_name = Some(Localized::new("Element X".to_owned(), None));
    let app = ClientRegistrationData::new(Raw::new(&app)?);
    let oauth = found.client.oauth();
    let asked = oauth.login(redirect, None, Some(app), None).build().await.context("the page")?;
    let answer = press(&browser, asked.url).await?;
    oauth.finish_login(UrlOrQuery::Url(answer)).await.context("the code")?;
    let token = found.client.access_token().context("no token")?;
    let device = found.start(walk).await?;
    device.sign_out().await?;
    let who = format!("{secure}/_matrix/client/v3/account/whoami");
    let status = browser.get(who).bearer_auth(token).send().await?.status();
    ensure!(status == StatusCode::UNAUTHORIZED, "the token still works: {status}");
    Ok(())
}

/// Opens the page and presses its button; returns the address to which the browser is sent.
async fn press(browser: &reqwest::Client, url: Url) -> Result<Url> {
    let page = browser.get(url.clone()).send().await?.error_for_status()?.text().await?;
    let (_, rest) = page.split_once(TOKEN).context("no form")?;
    let (token, _) = rest.split_once('"').context("no token")?;
    let sent = browser
        .post(url.join("/sign-in/confirm")?)
        .header(header::ORIGIN, url.origin().ascii_serialization())
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(format!("token={token}"))
        .send()
        .await?;
    let to = sent.headers().get(header::LOCATION).context("no redirection")?;
    Ok(Url::parse(to.to_str()?)?)
}
