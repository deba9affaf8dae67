//! Names of nodes, users, tags and extra records.

mod label;

use std::fmt;

use icu_normalizer::DecomposingNormalizerBorrowed;
use messages::{Message, message};

use self::label::LABEL_MAX;
use crate::model::Owner;

/// The name of a node whose hostname has no usable character.
const NAMELESS: &str = "node";

/// Reserved labels, in addition to those of mesh services.
const RESERVED: [&str; 13] = [
    "admin",
    "ai",
    "api",
    "auth",
    "coordinator",
    "derp",
    "dns",
    "isatap",
    "localhost",
    "maru",
    "relay",
    "wpad",
    "www",
];

/// Whether a label is reserved, because people trust the service behind it.
#[must_use]
pub fn is_reserved(label: &str) -> bool {
    let is_services = |(service, mesh): (&services::Service, &services::Mesh)| {
        service.name == label || mesh.names().any(|name| name == label)
    };
    RESERVED.contains(&label) || services::mesh_services().into_iter().any(is_services)
}

/// The name of the home node.
const HOME: &str = "home";

/// The tag that a node needs for the name `home`.
const HOME_TAG: &str = "tag:home";

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameError {
    /// Not a DNS label.
    Label,
    /// Not a DNS label, but this is what a device of that hostname is called.
    Letters(String),
    /// One that [`is_reserved`], or the home node's.
    Reserved,
    /// Another node or record has it.
    Taken,
    /// Not a login name.
    User,
    /// Not a name of an API key.
    ApiKey,
    /// Not a tag.
    Tag,
}

impl NameError {
    /// What a person reads.
    #[must_use]
    pub fn message(&self) -> Message {
        match self {
            Self::Label => message!("problem-name-label"),
            Self::Letters(suggestion) => message!("problem-name-letters", suggestion),
            Self::Reserved => message!("problem-name-reserved"),
            Self::Taken => message!("problem-name-taken"),
            Self::User => message!("problem-name-user"),
            Self::ApiKey => message!("problem-name-api-key"),
            Self::Tag => message!("problem-name-tag"),
        }
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message().fmt(f)
    }
}

impl std::error::Error for NameError {}

/// Whether `text` is a lower-case DNS label (RFC 1123, section 2.1).
#[must_use]
pub fn is_label(text: &str) -> bool {
    (1..=LABEL_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether `text` is a domain of labels, without a final dot.
#[must_use]
pub fn is_domain(text: &str) -> bool {
    text.len() <= 200 && text.split('.').count() >= 2 && text.split('.').all(is_label)
}

/// Checks a name for a node of `owner`.
///
/// # Errors
///
/// [`NameError::Label`], [`NameError::Letters`], [`NameError::Reserved`] or [`NameError::Taken`].
pub fn check(name: &str, owner: &Owner, is_taken: impl Fn(&str) -> bool) -> Result<(), NameError> {
    let is_home = owner.tag_list().iter().any(|tag| tag == HOME_TAG);
    if !is_label(name) {
        Err(not_a_label(name))
    } else if is_reserved(name) || (name == HOME && !is_home) {
        Err(NameError::Reserved)
    } else if is_taken(name) {
        Err(NameError::Taken)
    } else {
        Ok(())
    }
}

/// The error for a name that is not a label; for other scripts with a romanized suggestion.
#[must_use]
pub fn not_a_label(name: &str) -> NameError {
    match label::of(name) {
        Some(near) if !name.is_ascii() => NameError::Letters(near),
        Some(_) | None => NameError::Label,
    }
}

/// Whether two texts are canonically equivalent: Apple's devices send NFD, keyboards mostly NFC.
#[must_use]
pub fn is_same(a: &str, b: &str) -> bool {
    let parts = DecomposingNormalizerBorrowed::new_nfd();
    parts.normalize_iter(a.chars()).eq(parts.normalize_iter(b.chars()))
}

/// Checks the name of an API key.
///
/// # Errors
///
/// [`NameError::ApiKey`].
pub fn check_api_key(name: &str) -> Result<(), NameError> {
    let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    if begins_well && is_label(name) { Ok(()) } else { Err(NameError::ApiKey) }
}

/// Derives a free name for a node of `owner` from its hostname.
///
/// Hangul is romanized; a hostname without usable characters becomes [`NAMELESS`]; a reserved or taken name gets a number.
pub fn unique(hostname: &str, owner: &Owner, is_taken: impl Fn(&str) -> bool) -> String {
    let base = label::of(hostname).unwrap_or_else(|| NAMELESS.to_owned());
    if check(&base, owner, &is_taken).is_ok() {
        return base;
    }
    (1_u64..)
        .map(|number| {
            let suffix = format!("-{number}");
            let room = LABEL_MAX.saturating_sub(suffix.len()).min(base.len());
            format!("{}{suffix}", base[..room].trim_end_matches('-'))
        })
        .find(|name| check(name, owner, &is_taken).is_ok())
        .unwrap_or(base)
}

/// Checks a login name: a word or a mail address. A final `@` is refused, since the policy writes `name@` for `name`.
///
/// # Errors
///
/// [`NameError::User`].
pub fn check_user(name: &str) -> Result<(), NameError> {
    let good =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-@".contains(&byte);
    let first =
        name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_address =
        name.split_once('@').is_none_or(|(_, host)| !host.is_empty() && !host.contains('@'));
    if first && is_address && name.len() <= LABEL_MAX && name.bytes().all(good) {
        Ok(())
    } else {
        Err(NameError::User)
    }
}

/// Checks a tag.
///
/// # Errors
///
/// [`NameError::Tag`].
pub fn check_tag(tag: &str) -> Result<(), NameError> {
    let name = tag.strip_prefix("tag:").ok_or(NameError::Tag)?;
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if first && name.len() <= LABEL_MAX && name.bytes().all(good) {
        Ok(())
    } else {
        Err(NameError::Tag)
    }
}

#[cfg(test)]
mod tests;
