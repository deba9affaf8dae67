//! Web pages that may use the AI: `origins` of `gateway.toml`, which takes no pattern.

use ai_gateway_api::settings::origin::Origin;
use messages::message;

use super::near::is_near;
use crate::finding::Finding;

const ID: &str = "origins";

/// A page that comes unencrypted may be anybody's who is on its way to the browser.
pub(super) fn check(origins: &[Origin], network: &str) -> Finding {
    let plain = |origin: &&Origin| {
        origin.as_str().starts_with("http://") && !is_near(origin.as_str(), network)
    };
    let plain: Vec<_> = origins.iter().filter(plain).map(Origin::as_str).collect();
    if plain.is_empty() {
        return Finding::ok(ID, message!("origins-safe", count = origins.len()));
    }
    Finding::warning(
        ID,
        message!("origins-plain", origins = plain.join(", ")),
        message!("fix-origins"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    #[test]
    fn plain_http_is_for_this_machine_and_the_mesh() {
        let judge = |origins: &[&str]| {
            let origins: Vec<_> = origins.iter().map(|it| it.parse::<Origin>().unwrap()).collect();
            check(&origins, "maru.home.arpa")
        };
        let near = [
            "http://localhost:3000",
            "http://ui.maru.home.arpa",
            "https://webui.example",
            "chrome-extension://abcdef",
        ];
        assert_eq!(judge(&near).severity, Severity::Ok);
        assert_eq!(judge(&[]).severity, Severity::Ok);
        let found = judge(&["https://webui.example", "http://webui.example", "http://192.0.2.7"]);
        assert_eq!(found.severity, Severity::Warning);
        let text = found.text.to_string();
        assert!(text.contains("http://webui.example, http://192.0.2.7"), "{text}");
    }
}
