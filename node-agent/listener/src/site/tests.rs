use axum::http::Request;
use proptest::prelude::*;

use crate::{Guard, Refusal, Site, Website};

const HERE: &str = "100.64.0.1:80";
const NAME: &str = "rooms.maru.home.arpa";
const EVIL: (&str, &str) = ("origin", "https://evil.example");
const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const TEXT: (&str, &str) = ("content-type", "text/plain");
const TOKEN: (&str, &str) = ("authorization", "Bearer abc");
const OWN: (&str, &str) = ("origin", "http://rooms.maru.home.arpa");

fn guard() -> Guard {
    let rules = &[
        ("/_matrix", Website::Everything),
        ("/_matrix/sso", Website::Page),
        ("/_matrix/oauth/token", Website::Forms),
    ];
    Guard::new(["chat.maru.home.arpa"]).site(Site::new("Rooms.maru.home.arpa.", rules))
}

fn judge(asked: &str, host: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
    let (method, path) = asked.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path).header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    guard().check(&request.body(()).unwrap(), HERE.parse().unwrap())
}

fn rooms(asked: &str, headers: &[(&str, &str)]) -> Result<(), Refusal> {
    judge(asked, NAME, headers)
}

#[test]
fn every_website_may_call_what_judges_a_token() {
    let fetch = [EVIL, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "cors")];
    for asked in ["GET /_matrix", "GET /_matrix/sync", "OPTIONS /_matrix/sync", "DELETE /_matrix/x"]
    {
        assert_eq!(rooms(asked, &fetch), Ok(()), "{asked}");
    }
    assert_eq!(rooms("POST /_matrix/login", &[EVIL, JSON]), Ok(()));
    for kind in [FORM, TEXT, ("content-type", "image/png"), ("content-type", "")] {
        let with = rooms("POST /_matrix/media", &[EVIL, TOKEN, kind]);
        let without = rooms("POST /_matrix/media", &[EVIL, kind]);
        assert_eq!((with, without), (Ok(()), Err(Refusal::ContentType)), "{kind:?}");
    }
    assert_eq!(rooms("POST /_matrix/logout", &[TOKEN]), Ok(()), "no type");
    assert_eq!(rooms("PUT /_matrix/send", &[]), Err(Refusal::ContentType), "nor a token");
    assert_eq!(rooms("POST /_matrix/oauth/token", &[EVIL, FORM]), Ok(()));
    assert_eq!(rooms("POST /_matrix/oauth/token", &[EVIL, TEXT]), Err(Refusal::ContentType));
}

/// What the identity of the connection alone allows: a page of the service's own, and what no browser may ask.
#[test]
fn no_website_may_ask_what_needs_no_token() {
    for asked in ["GET /_matrix/sso", "GET /_matrix/sso/mesh?redirectUrl=x", "HEAD /_matrix/sso"] {
        assert_eq!(rooms(asked, &[]), Ok(()), "{asked}");
        assert_eq!(rooms(asked, &[EVIL]), Err(Refusal::Origin), "{asked}");
        let embedded = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")];
        assert_eq!(rooms(asked, &embedded), Err(Refusal::Origin), "{asked}");
    }
    let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    assert_eq!(rooms("GET /_matrix/sso", &link), Ok(()), "a person followed a link");
    assert_eq!(rooms("OPTIONS /_matrix/sso", &[EVIL]), Err(Refusal::Origin));

    let send = |headers: &[_]| rooms("POST /_matrix/sso", headers);
    assert_eq!(send(&[OWN, FORM]), Ok(()));
    assert_eq!(send(&[OWN, FORM, ("sec-fetch-site", "same-origin")]), Ok(()));
    assert_eq!(send(&[OWN, FORM, ("sec-fetch-site", "cross-site")]), Err(Refusal::Origin));
    assert_eq!(send(&[OWN, JSON]), Err(Refusal::MediaType));
    for origin in [
        "https://evil.example",
        "null",
        "",
        "http://chat.maru.home.arpa",
        "http://rooms.maru.home.arpa:8080",
        "http://rooms.maru.home.arpa.evil.example",
        "http://100.64.0.1",
    ] {
        assert_eq!(send(&[("origin", origin), FORM, TOKEN]), Err(Refusal::Origin), "{origin}");
    }
    assert_eq!(send(&[FORM]), Err(Refusal::Origin), "a browser names the origin of a form");
    assert_eq!(send(&[OWN, OWN, FORM]), Err(Refusal::Origin), "two origins");

    for asked in ["POST /maru/v1/rooms/login", "POST /_matrixes", "POST /"] {
        assert_eq!(rooms(asked, &[JSON]), Ok(()), "{asked}");
        for mark in [EVIL, OWN, ("sec-fetch-site", "none"), ("sec-fetch-mode", "cors")] {
            assert_eq!(
                rooms(asked, &[JSON, TOKEN, mark]),
                Err(Refusal::Origin),
                "{asked} {mark:?}"
            );
        }
        assert_eq!(rooms(asked, &[TOKEN, TEXT]), Err(Refusal::ContentType), "{asked}");
    }
}

#[test]
fn the_rules_of_a_name_are_for_that_name_alone() {
    for host in ["ROOMS.maru.home.arpa", "rooms.maru.home.arpa.", "rooms.maru.home.arpa:80"] {
        assert_eq!(judge("GET /_matrix/sync", host, &[EVIL]), Ok(()), "{host}");
    }
    for host in ["chat.maru.home.arpa", "100.64.0.1"] {
        assert_eq!(judge("GET /_matrix/sync", host, &[EVIL]), Err(Refusal::Origin), "{host}");
        let page = [("origin", &format!("http://{host}")[..]), FORM];
        assert_eq!(judge("POST /_matrix/sso", host, &page), Err(Refusal::Origin), "{host}");
    }
    assert_eq!(judge("GET /_matrix/sync", "rooms.evil.example", &[]), Err(Refusal::Host));
    let other = "GET http://chat.maru.home.arpa/_matrix/sync";
    assert_eq!(judge(other, NAME, &[]), Err(Refusal::Host), "the request line names another");
}

proptest! {
    /// Whatever a browser says of a page, it comes to a form only with the form's own origin.
    #[test]
    fn no_origin_but_its_own_sends_a_form(origin in "\\PC{0,40}", path in "(/\\PC{0,10})?") {
        let uri = format!("/_matrix/sso{path}");
        let request = Request::post(uri).header("host", NAME).header("origin", &origin);
        if let Ok(request) = request.header(FORM.0, FORM.1).body(()) {
            let allowed = guard().check(&request, HERE.parse().unwrap()).is_ok();
            prop_assert!(!allowed || origin == OWN.1);
        }
    }
}
