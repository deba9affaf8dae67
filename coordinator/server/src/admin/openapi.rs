//! The `OpenAPI` 3.1 document of the admin API.

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use chassis::endpoint::{Served, serve};
use coordinator_api::endpoints::{ENDPOINTS, OPENAPI};
use endpoint::openapi::{self, About};

use crate::app::App;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let about = About {
        title: "Maru's admin API",
        version: env!("CARGO_PKG_VERSION"),
        description: "For root over the coordinator's admin socket, and over HTTPS with an API key. Times are RFC 3339 in \
                      UTC.",
    };
    openapi::text(&about, ENDPOINTS)
});

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Served<App>; 1] {
    [serve(&OPENAPI, show)]
}

async fn show() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text()).into_response()
}

/// The document.
pub(crate) fn text() -> &'static str {
    &DOCUMENT
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::admin;

    #[test]
    fn the_document_describes_the_routers_endpoints_and_no_others() {
        let document: Value = serde_json::from_str(text()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");

        let described = document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_ascii_uppercase()))
        });

        let served = chassis::endpoint::list(&admin::endpoints());
        let served: BTreeSet<_> = served.iter().map(ToString::to_string).collect();
        assert_eq!(described.collect::<BTreeSet<_>>(), served);
    }

    #[test]
    fn every_shape_that_is_referred_to_is_there() {
        let document: Value = serde_json::from_str(text()).unwrap();
        let mut next = vec![&document];
        let mut found = 0;
        while let Some(value) = next.pop() {
            if let Some(name) = value.get("$ref").and_then(Value::as_str) {
                let name = name.strip_prefix("#/components/schemas/").unwrap();
                assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
                found += 1;
            }
            next.extend(value.as_object().into_iter().flat_map(|object| object.values()));
            next.extend(value.as_array().into_iter().flatten());
        }
        assert!(found > 40, "{found}");
    }

    #[test]
    fn the_file_in_docs_is_the_document() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocols/admin.openapi.json");
        let file = std::fs::read_to_string(file).unwrap_or_default();

        assert!(
            file == text(),
            "write it anew: maru-coordinator openapi > docs/protocols/admin.openapi.json"
        );
    }
}
