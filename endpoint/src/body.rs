//! What requests and answers carry, as types that stand in a declaration.

use std::collections::BTreeMap;

use utoipa::{
    IntoParams, ToSchema,
    openapi::{
        Ref, RefOr, Schema,
        path::{Parameter, ParameterIn},
        schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type},
    },
};

/// What a body is, for who has no types.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// There is none.
    Empty,
    /// JSON of this shape.
    Json(fn() -> JsonSchema),
    /// None, but these parameters behind a question mark.
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
    /// Whatever the endpoint's own protocol says.
    Raw,
}

/// The `OpenAPI` schema of a body, and the named schemas that it refers to.
#[expect(missing_debug_implementations, reason = "schemas have none")]
#[derive(Clone)]
pub struct JsonSchema {
    /// Of the body itself.
    pub schema: RefOr<Schema>,
    /// Those that are referred to, by name.
    pub named: Vec<(String, RefOr<Schema>)>,
}

/// A type that stands for a body in a declaration.
pub trait Body {
    /// What is sent or read.
    type Value;
    /// What it is, for who has no types.
    const CONTENT: Content;
}

/// JSON of one value.
impl<T: ToSchema> Body for T {
    type Value = T;
    const CONTENT: Content = Content::Json(one::<T>);
}

/// JSON of a list.
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

/// Parameters behind a question mark in place of a body.
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

/// Any bytes, `MAX` at most.
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

/// Whatever the endpoint's own protocol says: another API's JSON, a page, a stream.
#[derive(Clone, Copy, Debug)]
pub struct Raw;

impl Body for Raw {
    type Value = ();
    const CONTENT: Content = Content::Raw;
}

/// A JSON object of lists of anything, by name.
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
