//! An app that introduces itself (RFC 7591, MSC2966).

use std::collections::{HashMap, VecDeque};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::redirect::Redirect;
use crate::{Error, person::display_name};

/// Largest request, in bytes.
pub const REGISTRATION_MAX: usize = 16_384;

/// Most addresses of an app.
pub const REDIRECTS_MAX: usize = 10;

/// Most apps of one person that are remembered; the oldest is forgotten.
pub const APPS_PER_PERSON: usize = 16;

/// What an app is called that does not say it.
const NAMELESS: &str = "Matrix";

/// An app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Made from the rest, so that an app that registers again has the same, and nothing is added.
    pub client_id: String,
    /// Its name, as it calls itself: nothing proves it.
    pub name: String,
    /// To where its browser is sent back.
    pub redirects: Vec<Redirect>,
}

/// The apps that introduced themselves on nodes of each person. In memory: an app that is forgotten registers again.
#[derive(Debug, Default)]
pub struct Apps(HashMap<OwnedUserId, VecDeque<App>>);

impl Apps {
    /// Remembers an app.
    pub fn add(&mut self, person: OwnedUserId, app: App) {
        let apps = self.0.entry(person).or_default();
        apps.retain(|other| other.client_id != app.client_id);
        apps.push_back(app);
        if apps.len() > APPS_PER_PERSON {
            apps.pop_front();
        }
    }

    /// The app with this id, if it introduced itself on a node of the person.
    #[must_use]
    pub fn find(&self, person: &UserId, client_id: &str) -> Option<App> {
        self.0.get(person)?.iter().find(|app| app.client_id == client_id).cloned()
    }
}

/// The members that are used. Links to the app's pages are not shown, since nothing proves them.
#[derive(Deserialize)]
struct Request {
    redirect_uris: Vec<String>,
    #[serde(default)]
    client_name: Option<String>,
    #[serde(default)]
    token_endpoint_auth_method: Option<String>,
}

impl App {
    /// Reads a registration request.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] beyond a limit; [`Error::BadJson`] if it is malformed; [`Error::InvalidParam`] if it has no
    /// address, one that is not allowed, or wants a secret.
    pub fn register(body: &[u8], own_names: &[String]) -> Result<Self, Error> {
        if body.len() > REGISTRATION_MAX {
            return Err(Error::TooLarge { what: "the registration", max: "16,384 bytes" });
        }
        let request: Request = serde_json::from_slice(body)
            .map_err(|error| Error::BadJson(format!("the registration is malformed: {error}")))?;
        if request.redirect_uris.len() > REDIRECTS_MAX {
            return Err(Error::TooLarge { what: "redirect_uris", max: "10" });
        }
        // A missing method means one with a secret (RFC 7591, section 2); an app on a device cannot keep one.
        if request.token_endpoint_auth_method.as_deref() != Some("none") {
            return Err(Error::InvalidParam("token_endpoint_auth_method is \"none\"".to_owned()));
        }
        let redirects: Vec<Redirect> = request
            .redirect_uris
            .iter()
            .map(|uri| Redirect::parse(uri, own_names))
            .collect::<Result<_, _>>()?;
        if redirects.is_empty() {
            return Err(Error::InvalidParam("redirect_uris is empty".to_owned()));
        }
        let name = request
            .client_name
            .as_deref()
            .and_then(display_name)
            .unwrap_or_else(|| NAMELESS.to_owned());
        Ok(Self { client_id: client_id(&name, &redirects), name, redirects })
    }

    /// The response: what was registered.
    #[must_use]
    pub fn response(&self) -> Value {
        json!({
            "client_id": self.client_id,
            "client_name": self.name,
            "redirect_uris": self.redirects.iter().map(Redirect::as_str).collect::<Vec<_>>(),
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
        })
    }

    /// The address of an authorization request, if the app registered it.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParam`] if it did not: the browser is not sent there.
    pub fn redirect(&self, uri: &str, own_names: &[String]) -> Result<Redirect, Error> {
        let redirect = Redirect::parse(uri, own_names)?;
        if self.redirects.iter().any(|registered| redirect.is_registered(registered)) {
            Ok(redirect)
        } else {
            Err(Error::InvalidParam("this app did not register the address".to_owned()))
        }
    }
}

/// A hash, each part of which is preceded by its length.
fn client_id(name: &str, redirects: &[Redirect]) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(name).chain(redirects.iter().map(Redirect::as_str)) {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    URL_SAFE_NO_PAD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{APPS_PER_PERSON, App, Apps, REDIRECTS_MAX};
    use crate::{Error, testing::user};

    fn register(request: &Value) -> Result<App, Error> {
        App::register(request.to_string().as_bytes(), &[])
    }

    /// What matrix-sdk 0.18 sends, as it was recorded.
    fn element_x() -> Value {
        json!({
            "application_type": "native",
            "token_endpoint_auth_method": "none",
            "grant_types": ["refresh_token", "authorization_code"],
            "response_types": ["code"],
            "redirect_uris": ["io.element.android:/"],
            "client_name": "Element",
            "client_uri": "https://element.io",
        })
    }

    #[test]
    fn an_app_registers_and_is_the_same_the_next_time() {
        let app = register(&element_x()).unwrap();
        assert_eq!((&*app.name, app.client_id.len()), ("Element", 43));
        assert_eq!(register(&element_x()).unwrap(), app);
        let response = app.response();
        assert_eq!(
            (&response["client_id"], &response["redirect_uris"]),
            (&json!(app.client_id), &json!(["io.element.android:/"]))
        );
        let mut other = element_x();
        other["client_name"] = json!("Other");
        assert_ne!(register(&other).unwrap().client_id, app.client_id);
    }

    #[test]
    fn only_registered_addresses_are_used() {
        let mut request = element_x();
        request["redirect_uris"] = json!(["http://localhost/sso"]);
        let app = register(&request).unwrap();
        assert!(app.redirect("http://localhost:4321/sso", &[]).is_ok());
        for address in ["http://localhost:4321/", "io.element.android:/", "https://evil.example/"] {
            assert!(matches!(app.redirect(address, &[]), Err(Error::InvalidParam(_))), "{address}");
        }
    }

    #[test]
    fn what_is_not_allowed_is_refused() {
        for (field, value) in [
            ("redirect_uris", json!([])),
            ("redirect_uris", json!(["https://evil.example/"])),
            ("redirect_uris", json!(["io.element.android:/", "https://evil.example/"])),
            ("redirect_uris", json!("io.element.android:/")),
            ("redirect_uris", json!(vec!["io.element.android:/"; REDIRECTS_MAX + 1])),
            ("token_endpoint_auth_method", json!("client_secret_basic")),
            ("token_endpoint_auth_method", json!(null)),
            ("client_name", json!(7)),
            ("client_name", json!("a".repeat(20_000))),
        ] {
            let mut request = element_x();
            request[field] = value.clone();
            assert!(register(&request).is_err(), "{field}");
        }
        let mut bidi = element_x();
        bidi["client_name"] = json!("\u{202e}tnemelE\u{7}");
        assert_eq!(register(&bidi).unwrap().name, "tnemelE");
        bidi["client_name"] = json!("\u{200b}");
        assert_eq!(register(&bidi).unwrap().name, "Matrix");
    }

    #[test]
    fn an_app_is_known_to_the_person_on_whose_node_it_is() {
        let (mut apps, kim, min) = (Apps::default(), user("kim"), user("min"));
        let named = |name: String| {
            let mut request = element_x();
            request["client_name"] = json!(name);
            register(&request).unwrap()
        };
        let first = named("0".to_owned());
        apps.add(kim.clone(), first.clone());
        assert_eq!(apps.find(&kim, &first.client_id).as_ref(), Some(&first));
        assert!(apps.find(&min, &first.client_id).is_none() && apps.find(&kim, "").is_none());
        for number in 1..APPS_PER_PERSON {
            apps.add(kim.clone(), named(number.to_string()));
        }
        apps.add(kim.clone(), first.clone());
        apps.add(kim.clone(), named("last".to_owned()));
        assert!(apps.find(&kim, &first.client_id).is_some(), "it registered again");
        assert!(apps.find(&kim, &named("1".to_owned()).client_id).is_none(), "the oldest");
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_app_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = App::register(&bytes, &[]);
        }
    }
}
