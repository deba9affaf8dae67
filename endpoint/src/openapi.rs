//! Declarations as an `OpenAPI` 3.1 document.

use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, HttpMethod, InfoBuilder, LicenseBuilder, ObjectBuilder,
    OpenApi, OpenApiBuilder, Paths, Ref, Required, ResponseBuilder,
    path::{OperationBuilder, ParameterBuilder, ParameterIn},
    request_body::RequestBodyBuilder,
    schema::Type,
    security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use crate::{Content, Declaration, JsonSchema, Method};

/// Name of the schema of problems.
const PROBLEM: &str = "Problem";
/// Name of the security scheme.
const API_KEY: &str = "api_key";

/// The head of a document.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its name.
    pub title: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Purpose, and who may use it.
    pub description: &'static str,
}

/// Writes the document as indented JSON.
#[must_use]
pub fn text(about: &About, endpoints: &[Declaration]) -> String {
    // Plain strings always serialize.
    document(about, endpoints).to_pretty_json().unwrap_or_default() + "\n"
}

fn document(about: &About, endpoints: &[Declaration]) -> OpenApi {
    let (mut paths, mut components) = (Paths::new(), ComponentsBuilder::new());
    for endpoint in endpoints {
        for (name, schema) in [endpoint.request, endpoint.response].into_iter().flat_map(named) {
            components = components.schema(name, schema);
        }
        paths.add_path_operation(endpoint.path, methods(endpoint.method), operation(endpoint));
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An API key, over HTTPS; the admin socket needs none."))
        .build();
    let components = components
        .schema(PROBLEM, problem())
        .security_scheme(API_KEY, SecurityScheme::Http(bearer))
        .build();
    let licence = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0"));
    let info = InfoBuilder::new()
        .title(about.title)
        .version(about.version)
        .description(Some(about.description))
        .license(Some(licence.build()))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .paths(paths)
        .components(Some(components))
        .security(Some([SecurityRequirement::new(API_KEY, Vec::<String>::new())]))
        .build()
}

fn shape(content: Content) -> Option<JsonSchema> {
    match content {
        Content::Json(shape) => Some(shape()),
        Content::Empty
        | Content::Query(_)
        | Content::Events
        | Content::Bytes { .. }
        | Content::WebSocket
        | Content::Raw => None,
    }
}

fn named(content: Content) -> Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Schema>)> {
    shape(content).map(|shape| shape.named).unwrap_or_default()
}

fn methods(method: Method) -> Vec<HttpMethod> {
    match method {
        Method::GET => vec![HttpMethod::Get],
        Method::POST => vec![HttpMethod::Post],
        Method::PUT => vec![HttpMethod::Put],
        Method::DELETE => vec![HttpMethod::Delete],
        Method::ANY => {
            vec![HttpMethod::Get, HttpMethod::Post, HttpMethod::Put, HttpMethod::Delete]
        }
    }
}

/// The media types of a body; none if there is no body.
fn media(content: Content) -> &'static [&'static str] {
    match content {
        Content::Empty | Content::Query(_) | Content::WebSocket => &[],
        Content::Json(_) | Content::Raw => &["application/json"],
        Content::Events => &["text/event-stream"],
        Content::Bytes { media, .. } => media,
    }
}

fn described(content: Content) -> ContentBuilder {
    let schema = shape(content).map(|shape| shape.schema);
    let any = || ObjectBuilder::new().schema_type(Type::Object).into();
    ContentBuilder::new().schema(Some(schema.unwrap_or_else(any)))
}

fn operation(endpoint: &Declaration) -> OperationBuilder {
    let answers = media(endpoint.response);
    let about = match answers {
        _ if endpoint.status == 101 => "Switches to the WebSocket protocol.",
        [] => "Done; there is nothing to say.",
        [..] => "Done.",
    };
    let success =
        answers.iter().fold(ResponseBuilder::new().description(about), |answer, media| {
            answer.content(*media, described(endpoint.response).build())
        });
    let schema = Some(Ref::from_schema_name(PROBLEM));
    let problem = ResponseBuilder::new()
        .description("Why nothing was done.")
        .content("application/problem+json", ContentBuilder::new().schema(schema).build());
    let mut operation = OperationBuilder::new()
        .summary(Some(endpoint.sentence.split_whitespace().collect::<Vec<_>>().join(" ")))
        .response(endpoint.status.to_string(), success)
        .response("default", problem);
    for name in endpoint.path.split(['{', '}']).skip(1).step_by(2) {
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)));
        operation = operation.parameter(parameter);
    }
    if let Content::Query(parameters) = endpoint.request {
        operation = parameters().into_iter().fold(operation, OperationBuilder::parameter);
    }
    let accepted = media(endpoint.request);
    let body = accepted.iter().fold(RequestBodyBuilder::new(), |body, media| {
        body.content(*media, described(endpoint.request).build())
    });
    let body = body.required(Some(Required::True)).build();
    operation.request_body((!accepted.is_empty()).then_some(body))
}

/// A problem document (RFC 9457).
fn problem() -> ObjectBuilder {
    let text = |description: &str| {
        ObjectBuilder::new().schema_type(Type::String).description(Some(description))
    };
    let arguments = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("The arguments of that message."))
        .additional_properties(Some(ObjectBuilder::new().schema_type(Type::String)));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("A problem document (RFC 9457)."))
        .property("type", text("`urn:maru:problem:` and a word for programs."))
        .property("title", text("One sentence for people."))
        .property("status", ObjectBuilder::new().schema_type(Type::Integer))
        .property("detail", text("What to do about it."))
        .property("message", text("The id of the message that says the same in other languages."))
        .property("arguments", arguments)
        .required("type")
        .required("title")
        .required("status")
}
