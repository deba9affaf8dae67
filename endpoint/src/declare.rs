//! The macro that declares endpoints.

/// Declares endpoints: a constant for each, and a list of all.
///
/// ```
/// # #[derive(serde::Deserialize, utoipa::ToSchema)] struct User { name: String }
/// endpoint::declare! {
///     /// All of these.
///     ENDPOINTS for Root, below "/api/v1";
///
///     /// Lists the people.
///     LIST_USERS: GET "/users" => [User];
///     /// Adds a person.
///     CREATE_USER: POST "/users" (User) => User, created;
///     /// Removes a person.
///     REMOVE_USER: DELETE "/users/{name}";
/// }
/// assert_eq!(REMOVE_USER.path(&["alice"]), "/api/v1/users/alice");
/// assert_eq!(ENDPOINTS.len(), 3);
/// ```
///
/// The parentheses contain the request's [`Body`](crate::Body), the arrow points to the response's, then follow methods of
/// [`Endpoint`](crate::Endpoint). Without `below`, a path may also be a constant in braces.
#[macro_export]
macro_rules! declare {
    (
        @ $prefix:tt $callers:ident $(#[$about:meta])* $list:ident;
        $(
            $(#[doc = $sentence:literal])+
            $name:ident: $method:ident $path:tt $(($request:ty))? $(=> $response:ty)?
            $(, $change:ident $(($($argument:expr),*))?)*;
        )+
    ) => {
        $(#[$about])*
        pub const $list: &[$crate::Declaration] = &[$($name.declaration),+];
        $(
            $(#[doc = $sentence])+
            pub const $name: $crate::Endpoint<$crate::body!($($request)?), $crate::body!($($response)?)> =
                $crate::Endpoint::new(
                    $crate::Method::$method,
                    $crate::path!($prefix $path),
                    $crate::Callers::$callers,
                    concat!($($sentence),+),
                )
                $(.$change($($($argument),*)?))*;
        )+
    };
    ($(#[$about:meta])* $list:ident for $callers:ident $(, below $prefix:literal)?; $($rest:tt)+) => {
        $crate::declare! { @ [$($prefix)?] $callers $(#[$about])* $list; $($rest)+ }
    };
}

/// The type of a body; default: [`NoBody`](crate::NoBody).
#[doc(hidden)]
#[macro_export]
macro_rules! body {
    () => {
        $crate::NoBody
    };
    ($body:ty) => {
        $body
    };
}

/// A path below an optional prefix.
#[doc(hidden)]
#[macro_export]
macro_rules! path {
    ([] $path:tt) => {
        $path
    };
    ([$prefix:literal] $path:literal) => {
        concat!($prefix, $path)
    };
}
