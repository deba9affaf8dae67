//! The bodies of requests and responses, as types in a declaration.

use std::collections::BTreeMap;

use utoipa::{
    IntoParams, ToSchema,
    openapi::{
        Ref, RefOr, Schema,
        path::{Parameter, ParameterIn},
        schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type},
    },
};

/// The kind of a body, without its type.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// No body.
    Empty,
    /// JSON of this schema.
    Json(fn() -> JsonSchema),
    /// No body, but these query parameters.
    Query(fn() -> Vec<Parameter>),
    /// Server-sent events.
    Events,
    /// Bytes of one of these media types.
    Bytes {
        /// The limit.
        max: usize,
        /// Without parameters.
        media: &'static [&'static str],
    },
    /// A WebSocket (RFC 6455).
    WebSocket,
    /// A body that the endpoint's protocol defines.
    Raw,
}

/// The `OpenAPI` schema of a body and the named schemas that it references.
#[expect(missing_debug_implementations, reason = "schemas have none")]
#[derive(Clone)]
pub struct JsonSchema {
    /// The body's schema.
    pub schema: RefOr<Schema>,
    /// Referenced schemas by name.
    pub named: Vec<(String, RefOr<Schema>)>,
}

/// A type that represents a body in a declaration.
pub trait Body {
    /// The type to encode or decode.
    type Value;
    /// The kind of body.
    const CONTENT: Content;
}

impl<T: ToSchema> Body for T {
    type Value = T;
    const CONTENT: Content = Content::Json(one::<T>);
}

/// A JSON list.
impl<T: ToSchema> Body for [T] {
    type Value = Vec<T>;
    const CONTENT: Content = Content::Json(list::<T>);
}

/// No body.
#[derive(Clone, Copy, Debug)]
pub struct NoBody;

impl Body for NoBody {
    type Value = ();
    const CONTENT: Content = Content::Empty;
}

/// Query parameters instead of a body.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(T);

impl<T: IntoParams> Body for Query<T> {
    type Value = T;
    const CONTENT: Content = Content::Query(parameters::<T>);
}

/// Server-sent events.
#[derive(Clone, Copy, Debug)]
pub struct Events;

impl Body for Events {
    type Value = ();
    const CONTENT: Content = Content::Events;
}

/// At most `MAX` bytes.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<const MAX: usize>;

impl<const MAX: usize> Body for Bytes<MAX> {
    type Value = Vec<u8>;
    const CONTENT: Content = Content::Bytes { max: MAX, media: &["application/octet-stream"] };
}

/// A WebSocket, as the response of an endpoint whose method is GET.
#[derive(Clone, Copy, Debug)]
pub struct WebSocket;

impl Body for WebSocket {
    type Value = ();
    const CONTENT: Content = Content::WebSocket;
}

/// A body that the endpoint's protocol defines: another API's JSON, a page, a stream.
#[derive(Clone, Copy, Debug)]
pub struct Raw;

impl Body for Raw {
    type Value = ();
    const CONTENT: Content = Content::Raw;
}

/// A JSON object whose values are lists.
#[derive(Clone, Copy, Debug)]
pub struct ListsByName<T>(T);

impl<T> Body for ListsByName<T> {
    type Value = BTreeMap<String, Vec<T>>;
    const CONTENT: Content = Content::Json(lists_by_name);
}

fn one<T: ToSchema>() -> JsonSchema {
    let mut named = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut named);
    JsonSchema { schema: Ref::from_schema_name(T::name()).into(), named }
}

fn list<T: ToSchema>() -> JsonSchema {
    let JsonSchema { schema, named } = one::<T>();
    JsonSchema { schema: ArrayBuilder::new().items(schema).into(), named }
}

fn lists_by_name() -> JsonSchema {
    let values = ArrayBuilder::new().items(ObjectBuilder::new().schema_type(SchemaType::any()));
    let object = ObjectBuilder::new().additional_properties(Some(RefOr::T(Schema::from(values))));
    JsonSchema { schema: object.schema_type(Type::Object).into(), named: Vec::new() }
}

fn parameters<T: IntoParams>() -> Vec<Parameter> {
    T::into_params(|| Some(ParameterIn::Query))
}
