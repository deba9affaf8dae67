//! Where apps find what sign-in needs (`GET /_matrix/client/v1/auth_metadata`; RFC 8414, MSC2965).

use serde_json::{Value, json};

/// Path of the page at which a person confirms a sign-in.
pub const AUTHORIZE_PATH: &str = "/sign-in/authorize";
/// Path at which a code is exchanged.
pub const TOKEN_PATH: &str = "/sign-in/token";
/// Path at which an app introduces itself.
pub const REGISTER_PATH: &str = "/sign-in/register";
/// Path at which an app signs out.
pub const REVOKE_PATH: &str = "/sign-in/revoke";
/// Path of the pages on which a person sees and removes devices, and resets encryption.
pub const ACCOUNT_PATH: &str = "/sign-in/account";

/// The metadata document of the server at `base`, such as `https://rooms.maru.home.arpa`, without a slash at its end.
///
/// It names refresh tokens, since apps refuse a document that does not; none is ever given out.
#[must_use]
pub fn document(base: &str) -> Value {
    let at = |path: &str| format!("{base}{path}");
    json!({
        "issuer": at("/"),
        "authorization_endpoint": at(AUTHORIZE_PATH),
        "token_endpoint": at(TOKEN_PATH),
        "registration_endpoint": at(REGISTER_PATH),
        "revocation_endpoint": at(REVOKE_PATH),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "account_management_uri": at(ACCOUNT_PATH),
        "account_management_actions_supported": [
            "org.matrix.cross_signing_reset",
            "org.matrix.device_delete",
            "org.matrix.device_view",
            "org.matrix.devices_list",
            "org.matrix.profile",
        ],
    })
}

#[cfg(test)]
mod tests {
    use ruma::api::client::discovery::get_authorization_server_metadata::v1::AuthorizationServerMetadata;

    use super::document;

    #[test]
    fn stock_apps_accept_the_document() {
        let metadata: AuthorizationServerMetadata =
            serde_json::from_value(document("https://rooms.maru.home.arpa")).unwrap();
        metadata.validate_urls().unwrap();
        assert_eq!(metadata.issuer.as_str(), "https://rooms.maru.home.arpa/");
        assert_eq!(metadata.registration_endpoint.unwrap().path(), "/sign-in/register");
        let plain: AuthorizationServerMetadata =
            serde_json::from_value(document("http://rooms.maru.home.arpa")).unwrap();
        assert!(plain.insecure_validate_urls().is_ok() && plain.validate_urls().is_err());
    }
}
