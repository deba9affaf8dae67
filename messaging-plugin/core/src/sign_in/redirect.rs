//! The addresses to which a browser may be redirected with a code or login token. The receiver can use the code.

use url::{Host, Url};

use crate::Error;

/// Longest address, in bytes.
pub const REDIRECT_MAX: usize = 2_000;

/// Schemes that the operating system hands to one app: Element Classic and Desktop, FluffyChat, Element X on Android
/// (the older and the present one).
const APP_SCHEMES: [&str; 4] =
    ["element", "im.fluffychat.auth", "io.element", "io.element.android"];

/// Parameters that the server writes.
const OWN_PARAMETERS: [&str; 4] = ["loginToken", "code", "state", "error"];

/// An address that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect(Url);

/// How the answer is added to the address (OAuth 2.0 Multiple Response Types, section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseMode {
    /// In the query.
    Query,
    /// In the fragment.
    Fragment,
}

impl ResponseMode {
    /// Reads `response_mode`; the query if it is missing.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParam`] for another one.
    pub fn parse(text: Option<&str>) -> Result<Self, Error> {
        match text {
            None | Some("query") => Ok(Self::Query),
            Some("fragment") => Ok(Self::Fragment),
            Some(_) => Err(Error::InvalidParam("response_mode is query or fragment".to_owned())),
        }
    }
}

impl Redirect {
    /// Checks an address: plain HTTP to this device with any port (RFC 8252, section 7.3), a scheme of a known app, or
    /// HTTP or HTTPS to one of `own_names` at its usual port. Nothing else.
    ///
    /// The address must be written as a browser would write it, so that no two programs read it differently: no
    /// backslash, no space or control character, nothing before an `@`, no other spelling of a host or port.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidParam`].
    pub fn parse(text: &str, own_names: &[String]) -> Result<Self, Error> {
        let refused =
            || Error::InvalidParam("this address is not one of an app on this device".to_owned());
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\\<>\"`{}|^".contains(&byte);
        if text.len() > REDIRECT_MAX || !text.bytes().all(is_plain) {
            return Err(refused());
        }
        let url = Url::parse(text).map_err(|_| refused())?;
        let is_canonical = url.as_str() == text || url.as_str().strip_suffix('/') == Some(text);
        let has_credentials =
            !url.username().is_empty() || url.password().is_some() || authority(text).contains('@');
        let has_own = url.query_pairs().any(|(key, _)| OWN_PARAMETERS.contains(&&*key));
        if !is_canonical || has_credentials || has_own || url.fragment().is_some() {
            return Err(refused());
        }
        let is_allowed = match url.scheme() {
            "http" => is_loopback(&url) || is_own(&url, own_names),
            "https" => is_own(&url, own_names),
            scheme => APP_SCHEMES.contains(&scheme),
        };
        if is_allowed { Ok(Self(url)) } else { Err(refused()) }
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Scheme, host and port, or the scheme alone of an app's own: what a person is shown, and what a content security
    /// policy allows (CSP Level 3, section 2.3.1).
    #[must_use]
    pub fn origin(&self) -> String {
        if matches!(self.0.scheme(), "http" | "https") {
            self.0.origin().ascii_serialization()
        } else {
            format!("{}:", self.0.scheme())
        }
    }

    /// Whether this is the address that an app registered: the same, but for the port on this device, which an app
    /// takes when it starts (RFC 8252, section 7.3).
    #[must_use]
    pub fn is_registered(&self, registered: &Self) -> bool {
        let without_port = |url: &Url| {
            let mut url = url.clone();
            // Fails only without a host, which a loopback address has.
            let _ = url.set_port(None);
            url
        };
        self == registered
            || (is_loopback(&self.0)
                && is_loopback(&registered.0)
                && without_port(&self.0) == without_port(&registered.0))
    }

    /// The address with parameters, for the `Location` header.
    #[must_use]
    pub fn with(&self, mode: ResponseMode, parameters: &[(&str, &str)]) -> String {
        let mut url = self.0.clone();
        match mode {
            ResponseMode::Query => {
                url.query_pairs_mut().extend_pairs(parameters);
            }
            ResponseMode::Fragment => {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                url.set_fragment(Some(&query.extend_pairs(parameters).finish()));
            }
        }
        url.into()
    }
}

/// Whether the host is this device: a name that no resolver is asked for, or its addresses.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => url.scheme() == "http" && name == "localhost",
        Some(Host::Ipv4(address)) => {
            url.scheme() == "http" && address == std::net::Ipv4Addr::LOCALHOST
        }
        Some(Host::Ipv6(address)) => {
            url.scheme() == "http" && address == std::net::Ipv6Addr::LOCALHOST
        }
        None => false,
    }
}

/// Whether the host is a name of ours, at the usual port.
fn is_own(url: &Url, own_names: &[String]) -> bool {
    url.port().is_none()
        && url.host_str().is_some_and(|host| own_names.iter().any(|name| name == host))
}

/// What stands between the scheme and the path.
fn authority(text: &str) -> &str {
    let after = text.split_once("://").map_or("", |(_, after)| after);
    after.split(['/', '?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{REDIRECT_MAX, Redirect, ResponseMode};

    fn parse(text: &str) -> Option<Redirect> {
        let own = ["rooms.maru.home.arpa".to_owned(), "chat.maru.home.arpa".to_owned()];
        Redirect::parse(text, &own).ok()
    }

    #[test]
    fn apps_are_sent_back() {
        for address in [
            "http://localhost:43211/sso",
            "http://localhost/sso",
            "http://127.0.0.1:1/",
            "http://127.0.0.1:65535",
            "http://[::1]:8080/a/b?x=1",
            "im.fluffychat.auth:/login",
            "im.fluffychat.auth://login",
            "element://connect",
            "element://vector/webapp/?no_universal_links=true",
            "io.element.android:/",
            "io.element:/callback",
            "https://chat.maru.home.arpa/app/",
            "http://rooms.maru.home.arpa",
        ] {
            assert!(parse(address).is_some(), "{address}");
        }
    }

    /// Addresses that look allowed to some reader, or are on other hosts.
    const ATTACKS: &[&str] = &[
        "",
        "localhost",
        "//localhost/",
        "http:localhost",
        "http:/localhost/",
        "http:///localhost/",
        // Other hosts.
        "https://evil.example/",
        "http://evil.example/",
        "http://localhost.evil.example/",
        "http://localhost./",
        "http://sub.localhost/",
        "http://127.0.0.1.evil.example/",
        "http://127.0.0.2/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://[::ffff:127.0.0.1]/",
        "http://100.64.0.1/",
        "https://rooms.maru.home.arpa.evil.example/",
        "https://evil.rooms.maru.home.arpa/",
        "https://rooms.maru.home.arpa:8443/",
        // Loopback has no certificate.
        "https://localhost/",
        // Something before an @.
        "http://localhost@evil.example/",
        "http://localhost:80@evil.example/",
        "http://user:pass@localhost/",
        "http://@localhost/",
        "http://:@localhost/",
        "https://rooms.maru.home.arpa@evil.example/",
        "element://user@connect",
        // Backslashes, spaces, control characters, other spellings.
        "http:\\\\localhost\\",
        "http://localhost\\@evil.example/",
        "http://evil.example\\@localhost/",
        "http://localhost\\.evil.example/",
        "http://localhost /",
        " http://localhost/",
        "http://localhost/\n",
        "http://loc\talhost/",
        "http://localhost/\r\nSet-Cookie: a=b",
        "http://localhost/\u{0}",
        "HTTP://localhost/",
        "http://LOCALHOST/",
        "http://loc%61lhost/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://localhost:080/",
        "http://localhost:80/",
        "http://localhost:99999/",
        "http://localhost/../",
        "http://localhost/a/./b",
        "http://ｌocalhost/",
        "http://rooms。maru.home.arpa/",
        "https://rооms.maru.home.arpa/",
        // Other schemes, and a fragment, in which the answer is written.
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://localhost/",
        "ws://localhost/",
        "intent://localhost/#Intent;scheme=http;end",
        "elements://connect",
        "io.element.android.evil:/",
        "about:blank",
        "http://localhost/#",
        "http://localhost/#a",
        // Parameters that the server writes.
        "http://localhost/?loginToken=x",
        "http://localhost/?code=x",
        "http://localhost/?a=1&state=x",
        "http://localhost/?%63ode=x",
    ];

    #[test]
    fn nobody_else_is() {
        for address in ATTACKS {
            assert_eq!(parse(address), None, "{address:?}");
        }
        let long = format!("http://localhost/{}", "a".repeat(REDIRECT_MAX));
        assert_eq!(parse(&long), None);
    }

    #[test]
    fn a_registered_address_may_have_another_port_on_this_device() {
        for (used, registered, expected) in [
            ("http://localhost:1234/sso", "http://localhost/sso", true),
            ("http://localhost:1234/sso", "http://localhost:99/sso", true),
            ("http://localhost:1234/other", "http://localhost/sso", false),
            ("http://127.0.0.1:1/sso", "http://localhost/sso", false),
            ("element://connect", "element://connect", true),
            ("element://connect", "element://other", false),
            ("io.element:/a", "io.element:/b", false),
            ("http://rooms.maru.home.arpa/", "http://chat.maru.home.arpa/", false),
        ] {
            let (used, registered) = (parse(used).unwrap(), parse(registered).unwrap());
            assert_eq!(used.is_registered(&registered), expected, "{used:?} {registered:?}");
        }
    }

    #[test]
    fn parameters_are_added() {
        let with = |address: &str, mode| {
            parse(address).unwrap().with(mode, &[("code", "a b&c"), ("state", "s")])
        };
        assert_eq!(
            with("http://localhost:1/sso?x=1", ResponseMode::Query),
            "http://localhost:1/sso?x=1&code=a+b%26c&state=s"
        );
        assert_eq!(
            with("io.element.android:/", ResponseMode::Query),
            "io.element.android:/?code=a+b%26c&state=s"
        );
        assert_eq!(
            with("io.element.android:/", ResponseMode::Fragment),
            "io.element.android:/#code=a+b%26c&state=s"
        );
        assert_eq!(
            with("http://localhost", ResponseMode::Fragment),
            "http://localhost/#code=a+b%26c&state=s"
        );
    }

    #[test]
    fn a_person_is_shown_the_app_behind_an_address() {
        for (address, origin) in [
            ("http://localhost:43211/sso", "http://localhost:43211"),
            ("http://[::1]:81/a", "http://[::1]:81"),
            ("im.fluffychat.auth://login", "im.fluffychat.auth:"),
            ("https://chat.maru.home.arpa/app/", "https://chat.maru.home.arpa"),
        ] {
            assert_eq!(parse(address).unwrap().origin(), origin);
        }
    }

    proptest! {
        /// What is allowed leads to this device, to an app, or to us, however it is written; and a second reading
        /// agrees.
        #[test]
        fn what_is_allowed_leads_nowhere_else(
            text in "(http|https|element|io.element|javascript)(://|:/|:)[a-z0-9@:.\\[\\]%/?#&=\\\\ -]{0,30}|.{0,40}",
        ) {
            let Some(redirect) = parse(&text) else { return Ok(()) };
            let url = url::Url::parse(redirect.as_str()).unwrap();
            let host = url.host_str().unwrap_or_default().to_owned();
            let is_device = ["localhost", "127.0.0.1", "[::1]"].contains(&&*host);
            let is_own = ["rooms.maru.home.arpa", "chat.maru.home.arpa"].contains(&&*host);
            prop_assert!(!url.scheme().starts_with("http") || is_device || is_own);
            prop_assert!(!redirect.as_str().contains(['\\', ' ', '\n']) && url.username().is_empty());
            let sent = redirect.with(ResponseMode::Query, &[("code", "x\r\ny")]);
            prop_assert!(!sent.contains(char::is_control));
            let sent = url::Url::parse(&sent).unwrap();
            prop_assert_eq!(sent.host_str(), url.host_str());
        }
    }
}
