//! Sign-in without passwords: the mesh says who is calling, the person presses a button, and the app gets a code that
//! it exchanges for an access token.
//!
//! * [`redirect`]: to which addresses a browser is sent back.
//! * [`scope`]: what an app asks for, and its device id; [`registration`]: an app that introduces itself; [`metadata`]:
//!   where it finds what it needs (OAuth 2.0 as Matrix has it: MSC3861, MSC2964 to MSC2967).
//! * [`form`]: parameters of queries and forms; [`authorization`]: an authorization request of OAuth.
//! * [`one_time`]: texts that are used once; [`code`]: codes of OAuth and login tokens of `m.login.sso`.
//! * [`password`]: one-time passwords, for apps that know neither.

pub mod authorization;
pub mod code;
pub mod form;
pub mod metadata;
pub mod one_time;
pub mod password;
pub mod redirect;
pub mod registration;
pub mod scope;
