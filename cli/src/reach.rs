//! What stock Tailscale apps, and phones above all, want of the coordinator's address.

use std::net::IpAddr;

use coordinator_api::invitation::ServerUrl;

/// The port that phones call.
const HTTPS: u16 = 443;

/// What an address lacks for stock apps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// Over plain HTTP, an app that is cut off calls port 443 next, where nobody answers (tailscale's
    /// `control/ts2021/client.go`).
    Plain,
    /// The same at an address inside the house, where apps stay at the port that they were told.
    PlainInside,
    /// Phones want HTTPS at its usual port.
    Port(u16),
}

impl Lack {
    /// What this address lacks; `None` if it is HTTPS at its usual port.
    pub(crate) fn of(server: &ServerUrl) -> Option<Self> {
        if !server.is_plain() {
            return (server.port() != HTTPS).then(|| Self::Port(server.port()));
        }
        Some(if is_inside(server.host()) { Self::PlainInside } else { Self::Plain })
    }

    /// One sentence.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Plain => "over plain HTTP, a stock Tailscale app that is cut off calls port 443 within two minutes, \
                            where nobody answers; and phones want HTTPS with a public certificate on port 443"
                .to_owned(),
            Self::PlainInside => {
                "phones want HTTPS with a public certificate on port 443, and this is plain HTTP".to_owned()
            }
            Self::Port(port) => {
                format!("phones want a public certificate on port 443, and this is port {port}")
            }
        }
    }

    /// The same in Korean.
    pub(crate) fn text_ko(self) -> String {
        match self {
            Self::Plain => "암호화되지 않은 HTTP에서는 연결이 끊긴 Tailscale 앱이 2분 안에 아무도 응답하지 않는 443번 \
                            포트로 다시 연결하고, 휴대전화에는 443번 포트의 공인 인증서 HTTPS가 필요합니다"
                .to_owned(),
            Self::PlainInside => {
                "휴대전화에는 443번 포트의 공인 인증서 HTTPS가 필요한데 이 주소는 암호화되지 않은 HTTP입니다".to_owned()
            }
            Self::Port(port) => {
                format!("휴대전화에는 443번 포트의 공인 인증서가 필요한데 이 주소는 {port}번 포트입니다")
            }
        }
    }

    /// What to do about it.
    pub(crate) fn fix(self) -> &'static str {
        match self {
            Self::Plain | Self::PlainInside => {
                "set [tls] and an https:// `server_url` in etc/maru/coordinator.toml (docs/configuration.md)"
            }
            Self::Port(_) => {
                "let your router lead port 443 to `listen`, and leave the port out of `server_url`"
            }
        }
    }
}

/// Whether an app takes the host for one inside the house: a private or loopback address, or `localhost`.
fn is_inside(host: &str) -> bool {
    match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_private() || ip.is_loopback(),
        Ok(IpAddr::V6(ip)) => ip.is_unique_local() || ip.is_loopback(),
        Err(_) => host == "localhost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pitfall_12_an_address_is_judged_as_apps_do() {
        let lack = |url: &str| Lack::of(&ServerUrl::parse(url).unwrap());

        assert_eq!(lack("https://maru.example.org"), None);
        assert_eq!(lack("https://maru.example.org:443"), None);
        assert_eq!(lack("https://maru.example.org:8443"), Some(Lack::Port(8443)));
        for url in ["http://192.168.1.2:8443", "http://[fd00::1]:8443", "http://localhost"] {
            assert_eq!(lack(url), Some(Lack::PlainInside), "{url}");
        }
        for url in ["http://203.0.113.7:8443", "http://home:8443", "http://[2001:db8::1]"] {
            assert_eq!(lack(url), Some(Lack::Plain), "{url}");
        }
    }
}
