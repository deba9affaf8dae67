//! An authorization request (RFC 6749, section 4.1.1, with PKCE, RFC 7636; MSC2964).

use super::{
    code::Challenge,
    form::Form,
    redirect::{Redirect, ResponseMode},
    registration::App,
    scope::Scope,
};
use crate::Error;

/// Longest `state`, in bytes.
pub const STATE_MAX: usize = 2_000;

/// A request that a person can confirm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The app.
    pub app: App,
    /// To where the browser is sent back.
    pub redirect: Redirect,
    /// How the answer is added to the address.
    pub mode: ResponseMode,
    /// What the app gets back unchanged.
    pub state: Option<String>,
    /// What the app asks for.
    pub scope: Scope,
    /// The app's challenge.
    pub challenge: Challenge,
}

/// Why a request cannot be confirmed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The app or its address is unknown: the person is told, and the browser goes nowhere.
    #[error(transparent)]
    Here(Error),
    /// Anything else: the browser is sent to this address, with an error code (RFC 6749, section 4.1.2.1).
    #[error("the app's request is not understood")]
    There(String),
}

impl Authorization {
    /// Reads a request; `app` finds a registered app by its id.
    ///
    /// # Errors
    ///
    /// See [`Refused`].
    pub fn parse(
        form: &Form,
        app: impl FnOnce(&str) -> Option<App>,
        own_names: &[String],
    ) -> Result<Self, Refused> {
        let unknown = || Error::InvalidParam("this app is not registered".to_owned());
        let client = form.need("client_id").map_err(Refused::Here)?;
        let app = app(client).ok_or_else(unknown).map_err(Refused::Here)?;
        let uri = form.need("redirect_uri").map_err(Refused::Here)?;
        let redirect = app.redirect(uri, own_names).map_err(Refused::Here)?;
        let mode = ResponseMode::parse(form.get("response_mode")).map_err(Refused::Here)?;
        let state = form.get("state");
        if state.is_some_and(|state| state.len() > STATE_MAX) {
            let error = Error::TooLarge { what: "state", max: "2,000 bytes" };
            return Err(Refused::Here(error));
        }
        let refused = |code: &str| Refused::There(answer(&redirect, mode, ("error", code), state));
        if form.get("response_type") != Some("code") {
            return Err(refused("unsupported_response_type"));
        }
        let scope = Scope::parse(form.get("scope").unwrap_or_default());
        let scope = scope.map_err(|_| refused("invalid_scope"))?;
        let challenge = Challenge::parse(
            form.get("code_challenge").unwrap_or_default(),
            form.get("code_challenge_method").unwrap_or_default(),
        );
        let challenge = challenge.map_err(|_| refused("invalid_request"))?;
        let state = state.map(str::to_owned);
        Ok(Self { redirect, mode, state, scope, challenge, app })
    }

    /// The address to which the browser is sent with a code.
    #[must_use]
    pub fn with_code(&self, code: &str) -> String {
        answer(&self.redirect, self.mode, ("code", code), self.state.as_deref())
    }
}

/// The address with a parameter and the app's state.
fn answer(
    redirect: &Redirect,
    mode: ResponseMode,
    parameter: (&str, &str),
    state: Option<&str>,
) -> String {
    let parameters: Vec<(&str, &str)> =
        std::iter::once(parameter).chain(state.map(|state| ("state", state))).collect();
    redirect.with(mode, &parameters)
}

#[cfg(test)]
mod tests {
    use super::{Authorization, Refused, STATE_MAX};
    use crate::sign_in::{form::Form, registration::App};

    fn app() -> App {
        let body = r#"{"redirect_uris":["io.element.android:/"],"client_name":"Element X",
                       "token_endpoint_auth_method":"none"}"#;
        App::register(body.as_bytes(), &[]).unwrap()
    }

    /// Element X's request, with one parameter changed or added.
    fn request(change: (&str, &str)) -> Form {
        let client = app().client_id;
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", &*client),
            ("redirect_uri", "io.element.android:/"),
            ("scope", "urn:matrix:client:api:* urn:matrix:client:device:ABCDEFGHIJ"),
            ("state", "a b&c"),
            ("response_mode", "query"),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
        ];
        parameters.retain(|(name, _)| *name != change.0);
        parameters.push(change);
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        Form::parse(text.extend_pairs(parameters).finish().as_bytes()).unwrap()
    }

    fn parse(change: (&str, &str)) -> Result<Authorization, Refused> {
        let find = |id: &str| Some(app()).filter(|app| app.client_id == id);
        Authorization::parse(&request(change), find, &[])
    }

    #[test]
    fn element_x_gets_its_code_and_state() {
        let authorization = parse(("prompt", "consent")).unwrap();
        assert_eq!(authorization.scope.device, "ABCDEFGHIJ");
        assert_eq!(authorization.with_code("x"), "io.element.android:/?code=x&state=a+b%26c");
        let fragment = parse(("response_mode", "fragment")).unwrap();
        assert_eq!(fragment.with_code("x"), "io.element.android:/#code=x&state=a+b%26c");
        assert_eq!(parse(("state", "")).unwrap().with_code("x"), "io.element.android:/?code=x");
    }

    #[test]
    fn nobody_is_sent_to_an_address_that_no_app_registered() {
        let long = "a".repeat(STATE_MAX + 1);
        for change in [
            ("client_id", ""),
            ("client_id", "other"),
            ("redirect_uri", ""),
            ("redirect_uri", "element://other"),
            ("redirect_uri", "https://evil.example/"),
            ("response_mode", "form_post"),
            ("state", &long),
        ] {
            assert!(matches!(parse(change), Err(Refused::Here(_))), "{change:?}");
        }
    }

    #[test]
    fn an_app_is_told_what_is_wrong_with_its_request() {
        for (change, error) in [
            (("response_type", "token"), "unsupported_response_type"),
            (("scope", "openid"), "invalid_scope"),
            (("code_challenge_method", "plain"), "invalid_request"),
            (("code_challenge", ""), "invalid_request"),
        ] {
            let address = format!("io.element.android:/?error={error}&state=a+b%26c");
            assert_eq!(parse(change), Err(Refused::There(address)), "{change:?}");
        }
    }
}
