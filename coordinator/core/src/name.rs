//! Names of nodes, users, tags and extra records.

use crate::model::Owner;

/// Longest DNS label (RFC 1035, section 2.3.4).
const LABEL_MAX: usize = 63;

/// What a node is called whose hostname has no usable character.
const NAMELESS: &str = "node";

/// Labels that no node may take, because people trust what answers there.
pub const RESERVED: [&str; 16] = [
    "admin",
    "ai",
    "api",
    "auth",
    "chat",
    "coordinator",
    "derp",
    "dns",
    "gateway",
    "isatap",
    "localhost",
    "maru",
    "relay",
    "telmeet",
    "wpad",
    "www",
];

/// The home node's name, which people trust no less.
const HOME: &str = "home";

/// The tag that a node needs to take it.
const HOME_TAG: &str = "tag:home";

/// Why a name was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a DNS label.
    #[error("a name is 1 to 63 of a-z, 0-9 and -, and neither begins nor ends with -")]
    Label,
    /// One of [`RESERVED`], or the home node's.
    #[error("the name is reserved for the home node or a service of the network")]
    Reserved,
    /// Another node or record has it.
    #[error("the name is taken")]
    Taken,
    /// Not a login name.
    #[error(
        "a user's name is 1 to 63 of a-z, 0-9, '.', '_', '-' and, inside, one '@', and begins with a letter or digit"
    )]
    User,
    /// Not a name of an API key.
    #[error("an API key's name is 1 to 63 of a-z, 0-9 and -, beginning with a letter")]
    ApiKey,
    /// Not a tag.
    #[error("a tag is \"tag:\" and then 1 to 63 of a-z, 0-9 and -, beginning with a letter")]
    Tag,
}

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

/// Checks a name that the admin chose for a node of `owner`.
///
/// # Errors
///
/// [`NameError::Label`], [`NameError::Reserved`] or [`NameError::Taken`].
pub fn check(name: &str, owner: &Owner, is_taken: impl Fn(&str) -> bool) -> Result<(), NameError> {
    let is_home = owner.tag_list().iter().any(|tag| tag == HOME_TAG);
    if !is_label(name) {
        Err(NameError::Label)
    } else if RESERVED.contains(&name) || (name == HOME && !is_home) {
        Err(NameError::Reserved)
    } else if is_taken(name) {
        Err(NameError::Taken)
    } else {
        Ok(())
    }
}

/// Checks what an API key is to be called.
///
/// # Errors
///
/// [`NameError::ApiKey`].
pub fn check_api_key(name: &str) -> Result<(), NameError> {
    let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    if begins_well && is_label(name) { Ok(()) } else { Err(NameError::ApiKey) }
}

/// Makes a free name for a node of `owner` from what the device calls itself.
///
/// Only the part before the first dot counts; other characters become `-`; a reserved or taken name gets a number.
pub fn unique(hostname: &str, owner: &Owner, is_taken: impl Fn(&str) -> bool) -> String {
    let base = sanitize(hostname);
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

fn sanitize(hostname: &str) -> String {
    let first = hostname.split('.').next().unwrap_or_default();
    let mut label = String::new();
    for character in first.chars() {
        let character = character.to_ascii_lowercase();
        if character.is_ascii_lowercase() || character.is_ascii_digit() {
            label.push(character);
        } else if character != '\'' && !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
        if label.len() == LABEL_MAX {
            break;
        }
    }
    let label = label.trim_end_matches('-');
    if label.is_empty() { NAMELESS.to_owned() } else { label.to_owned() }
}

/// Checks a login name: a plain word or a mail address. With an `@` at its end it would be what the policy calls the person
/// without it.
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
