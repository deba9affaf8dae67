//! What the admin API takes and answers, as an `OpenAPI` 3.1 document.
//!
//! The shapes are made from the types themselves; the list below names them for each endpoint, and a test compares it with
//! the router's.

use std::sync::LazyLock;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use chassis::endpoint::{Endpoint, get};
use coordinator_api::{
    ApiKey, Approve, CreateApiKey, CreateInvitation, CreateKey, CreateUser, CreatedApiKey,
    CreatedInvitation, CreatedKey, DecideRoutes, Device, ExplainPolicy, Extend, Health, Key,
    LogPage, Network, PREFIX, Policy, PolicyChecked, PolicyDecision, PolicyDiff, PolicySet,
    PolicyTested, Record, Rename, RenameUser, RenamedUser, Route, SetRecord, SetTags, TestPolicy,
    User,
};
use utoipa::{
    ToSchema,
    openapi::{
        ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, LicenseBuilder, ObjectBuilder,
        OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required, ResponseBuilder,
        path::{OperationBuilder, ParameterBuilder, ParameterIn},
        request_body::RequestBodyBuilder,
        schema::{ArrayBuilder, Schema, SchemaType, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use crate::app::App;

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// What an answer that is no success is.
const PROBLEM: &str = "Problem";
/// How a caller over HTTPS proves itself.
const API_KEY: &str = "api_key";

static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let text = document().to_pretty_json();
    // The document is made of plain strings, and nothing in it can fail to be written.
    text.unwrap_or_default() + "\n"
});

/// Endpoints of this resource.
pub(super) fn endpoints() -> [Endpoint<App>; 1] {
    [get("/openapi.json", show)]
}

async fn show() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text()).into_response()
}

/// The document.
pub(crate) fn text() -> &'static str {
    &DOCUMENT
}

/// What is taken or answered, and the named shapes that it leads to.
struct Shape {
    schema: RefOr<Schema>,
    named: Vec<(String, RefOr<Schema>)>,
}

/// One endpoint.
struct Operation {
    method: HttpMethod,
    path: &'static str,
    /// What may stand behind a question mark, and its type.
    asks: &'static [(&'static str, Type)],
    summary: &'static str,
    takes: Option<Shape>,
    status: &'static str,
    gives: Option<Shape>,
}

fn one<T: ToSchema>() -> Shape {
    let mut named = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut named);
    Shape { schema: Ref::from_schema_name(T::name()).into(), named }
}

fn list<T: ToSchema>() -> Shape {
    let Shape { schema, named } = one::<T>();
    Shape { schema: ArrayBuilder::new().items(schema).into(), named }
}

fn object(object: ObjectBuilder) -> Shape {
    Shape { schema: object.schema_type(Type::Object).into(), named: Vec::new() }
}

/// [`coordinator_api::Capabilities`]: lists of anything, by name.
fn capabilities() -> Shape {
    let values = ArrayBuilder::new().items(ObjectBuilder::new().schema_type(SchemaType::any()));
    object(ObjectBuilder::new().additional_properties(Some(RefOr::T(Schema::from(values)))))
}

fn operation(method: HttpMethod, path: &'static str, summary: &'static str) -> Operation {
    Operation { method, path, asks: &[], summary, takes: None, status: "204", gives: None }
}

fn reads(path: &'static str, summary: &'static str, gives: Shape) -> Operation {
    operation(HttpMethod::Get, path, summary).gives(gives)
}

fn posts(path: &'static str, summary: &'static str) -> Operation {
    operation(HttpMethod::Post, path, summary)
}

fn puts(path: &'static str, summary: &'static str) -> Operation {
    operation(HttpMethod::Put, path, summary)
}

fn deletes(path: &'static str, summary: &'static str) -> Operation {
    operation(HttpMethod::Delete, path, summary)
}

impl Operation {
    fn takes(self, shape: Shape) -> Self {
        Self { takes: Some(shape), ..self }
    }

    fn gives(self, shape: Shape) -> Self {
        Self { status: "200", gives: Some(shape), ..self }
    }

    fn asks(self, asks: &'static [(&'static str, Type)]) -> Self {
        Self { asks, ..self }
    }

    fn creates(self, shape: Shape) -> Self {
        Self { status: "201", gives: Some(shape), ..self }
    }
}

/// Every endpoint; where `{device}` stands its number or name is meant, for one that waits its code too.
fn operations() -> Vec<Operation> {
    let device = one::<Device>;
    let mut all = people_and_keys();
    all.extend([
        reads("/devices", "Lists devices, those that wait included.", list::<Device>()),
        reads("/devices/{device}", "Shows a device.", device()),
        deletes("/devices/{device}", "Removes a device, or rejects one that waits."),
        posts("/devices/{device}/approve", "Lets a waiting device in.")
            .takes(one::<Approve>())
            .gives(device()),
        posts("/devices/{device}/reject", "Turns a waiting device away."),
        posts("/devices/{device}/expire", "Ends a device's key now.").gives(device()),
        posts("/devices/{device}/extend", "Gives a device's key a new life.")
            .takes(one::<Extend>())
            .gives(device()),
        posts("/devices/{device}/rename", "Gives a device another name.")
            .takes(one::<Rename>())
            .gives(device()),
        posts("/devices/{device}/tags", "Replaces a device's tags.")
            .takes(one::<SetTags>())
            .gives(device()),
        puts("/devices/{device}/capabilities", "Replaces what peers are told of a device.")
            .takes(capabilities())
            .gives(device()),
        posts("/devices/{device}/routes/approve", "Approves routes of a device, all or none.")
            .takes(one::<DecideRoutes>())
            .gives(list::<Route>()),
        posts("/devices/{device}/routes/reject", "Rejects routes of a device, all or none.")
            .takes(one::<DecideRoutes>())
            .gives(list::<Route>()),
        reads("/routes", "Lists the routes of all devices.", list::<Route>()),
        reads("/records", "Lists extra DNS names.", list::<Record>()),
        puts("/records/{name}", "Points an extra DNS name at a device.")
            .takes(one::<SetRecord>())
            .gives(one::<Record>()),
        deletes("/records/{name}", "Removes an extra DNS name."),
        reads("/policy", "Shows the policy in force.", one::<Policy>()),
        puts("/policy", "Replaces the policy.").takes(one::<Policy>()).gives(one::<PolicySet>()),
        posts("/policy/check", "Says whether a policy would be accepted.")
            .takes(one::<Policy>())
            .gives(one::<PolicyChecked>()),
        posts("/policy/diff", "Says what a policy would open and close.")
            .takes(one::<Policy>())
            .gives(one::<PolicyDiff>()),
        posts("/policy/test", "Runs a policy's own tests.")
            .takes(one::<TestPolicy>())
            .gives(one::<PolicyTested>()),
        posts("/policy/explain", "Says which rule lets a source reach a destination.")
            .takes(one::<ExplainPolicy>())
            .gives(list::<PolicyDecision>()),
        reads("/log", "Shows who changed what, in pages.", one::<LogPage>()).asks(&[
            ("after", Type::Integer),
            ("last_s", Type::Integer),
            ("actor", Type::String),
            ("limit", Type::Integer),
        ]),
        reads("/network", "Describes the network.", one::<Network>()),
        reads("/health", "Says whether coordinator and database answer.", one::<Health>()),
        reads("/openapi.json", "This document.", object(ObjectBuilder::new())),
    ]);
    all
}

fn people_and_keys() -> Vec<Operation> {
    vec![
        reads("/users", "Lists the people.", list::<User>()),
        posts("/users", "Adds a person.").takes(one::<CreateUser>()).creates(one::<User>()),
        posts("/users/{name}/rename", "Gives a person another login name.")
            .takes(one::<RenameUser>())
            .gives(one::<RenamedUser>()),
        deletes("/users/{name}", "Removes a person who has no devices."),
        reads("/keys", "Lists the pre-auth keys, without what they are.", list::<Key>()),
        posts("/keys", "Makes a pre-auth key, which is shown once.")
            .takes(one::<CreateKey>())
            .creates(one::<CreatedKey>()),
        posts("/keys/{id}/expire", "Makes a pre-auth key unusable.").gives(one::<Key>()),
        deletes("/keys/{id}", "Removes a pre-auth key from the list."),
        reads("/api-keys", "Lists the API keys, without what they are.", list::<ApiKey>()),
        posts("/api-keys", "Makes an API key, which is shown once.")
            .takes(one::<CreateApiKey>())
            .creates(one::<CreatedApiKey>()),
        deletes("/api-keys/{key}", "Removes an API key, by number or name.").gives(one::<ApiKey>()),
        posts("/invitations", "Makes an invitation for one device, which is shown once.")
            .takes(one::<CreateInvitation>())
            .creates(one::<CreatedInvitation>()),
    ]
}

fn document() -> OpenApi {
    let (mut paths, mut components) = (Paths::new(), ComponentsBuilder::new());
    for operation in operations() {
        let shapes = [&operation.takes, &operation.gives].into_iter().flatten();
        for (name, schema) in shapes.flat_map(|shape| shape.named.clone()) {
            components = components.schema(name, schema);
        }
        let path = format!("{PREFIX}{}", operation.path);
        paths.add_path_operation(path, vec![operation.method.clone()], described(operation));
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key, over HTTPS; the admin socket needs none."))
        .build();
    let components = components
        .schema(PROBLEM, problem())
        .security_scheme(API_KEY, SecurityScheme::Http(bearer))
        .build();
    let info = InfoBuilder::new()
        .title("Maru's admin API")
        .version(VERSION)
        .description(Some(
            "Over the coordinator's admin socket for root, and over HTTPS for who shows an API key. Times are RFC 3339 \
             in UTC.",
        ))
        .license(Some(
            LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build(),
        ))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components))
        .security(Some([SecurityRequirement::new(API_KEY, Vec::<String>::new())]))
        .build()
}

fn described(operation: Operation) -> OperationBuilder {
    let json = |shape: Shape| ContentBuilder::new().schema(Some(shape.schema)).build();
    let success = match operation.gives {
        Some(shape) => {
            ResponseBuilder::new().description("Done.").content("application/json", json(shape))
        }
        None => ResponseBuilder::new().description("Done; there is nothing to say."),
    };
    let schema = Some(Ref::from_schema_name(PROBLEM));
    let problem = ResponseBuilder::new()
        .description("Why nothing was done.")
        .content("application/problem+json", ContentBuilder::new().schema(schema).build());
    let mut described = OperationBuilder::new()
        .summary(Some(operation.summary))
        .response(operation.status, success)
        .response("default", problem);
    for name in operation.path.split(['{', '}']).skip(1).step_by(2) {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        described = described.parameter(parameter);
    }
    for (name, kind) in operation.asks {
        let parameter = ParameterBuilder::new()
            .name(*name)
            .parameter_in(ParameterIn::Query)
            .schema(Some(ObjectBuilder::new().schema_type(kind.clone())));
        described = described.parameter(parameter);
    }
    let body = operation.takes.map(|shape| {
        RequestBodyBuilder::new()
            .content("application/json", json(shape))
            .required(Some(Required::True))
            .build()
    });
    described.request_body(body)
}

/// A problem document (RFC 9457).
fn problem() -> ObjectBuilder {
    let text = |description: &str| {
        ObjectBuilder::new().schema_type(Type::String).description(Some(description))
    };
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("A problem document (RFC 9457)."))
        .property("type", text("`urn:maru:problem:` and a word for programs."))
        .property("title", text("One sentence for people."))
        .property("status", ObjectBuilder::new().schema_type(Type::Integer))
        .property("detail", text("What to do about it."))
        .required("type")
        .required("title")
        .required("status")
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

        let served: BTreeSet<_> =
            chassis::endpoint::list(&admin::endpoints()).into_iter().collect();
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
