//! The admin API, the agent's local API, the gateway's interface for root, and the checks of their texts.
#![no_main]

use libfuzzer_sys::fuzz_target;

use common::problem::Problem;
use coordinator_api as admin;
use coordinator_core::{model::Owner, name, time};
use node_agent_api as local;
use node_agent_core::{domain::Domain, netmap, registration};

/// Bodies that the coordinator reads, and answers that the command reads.
fn admin_bodies(bytes: &[u8]) {
    if let Some(body) = fuzz::json::<admin::CreateUser>(bytes) {
        words(&body.name);
    }
    if let Some(body) = fuzz::json::<admin::CreateKey>(bytes) {
        body.tags.iter().chain(&body.user).for_each(|text| words(text));
    }
    if let Some(body) = fuzz::json::<admin::CreateInvitation>(bytes) {
        words(&body.user);
    }
    if let Some(body) = fuzz::json::<admin::Approve>(bytes) {
        body.tags.iter().chain(&body.user).chain(&body.name).for_each(|text| words(text));
    }
    fuzz::json::<admin::Extend>(bytes);
    if let Some(body) = fuzz::json::<admin::RenameUser>(bytes) {
        words(&body.name);
    }
    fuzz::json::<admin::RenamedUser>(bytes);
    if let Some(body) = fuzz::json::<admin::Rename>(bytes) {
        words(&body.name);
    }
    if let Some(body) = fuzz::json::<admin::SetTags>(bytes) {
        body.tags.iter().for_each(|text| words(text));
    }
    if let Some(body) = fuzz::json::<admin::Policy>(bytes) {
        drop(acl::Policy::parse(&body.policy));
    }
    fuzz::json::<admin::SetRecord>(bytes);
    fuzz::json::<admin::Capabilities>(bytes);
    fuzz::json::<admin::Device>(bytes);
    fuzz::json::<admin::User>(bytes);
    fuzz::json::<admin::Key>(bytes);
    fuzz::json::<admin::CreatedKey>(bytes);
    fuzz::json::<admin::ApiKey>(bytes);
    fuzz::json::<admin::CreateApiKey>(bytes);
    fuzz::json::<admin::CreatedApiKey>(bytes);
    fuzz::json::<admin::Actor>(bytes);
    fuzz::json::<admin::CreatedInvitation>(bytes);
    fuzz::json::<admin::Record>(bytes);
    fuzz::json::<admin::Network>(bytes);
    fuzz::json::<admin::Health>(bytes);
}

/// The gateway's responses to the command.
fn gateway_bodies(bytes: &[u8]) {
    fuzz::json::<ai_gateway_api::usage::Report>(bytes);
}

/// Bodies that the agent reads, and answers that the command reads.
fn local_bodies(bytes: &[u8]) {
    if let Some(join) = fuzz::json::<local::Join>(bytes) {
        let other = local::Join {
            url: "another".to_owned(),
            key: join.key.as_ref().map(|_| "another".to_owned()),
            ..join.clone()
        };
        assert_eq!(format!("{join:?}"), format!("{other:?}"), "a key is shown");
    }
    fuzz::json::<local::Status>(bytes);
    fuzz::json::<Problem>(bytes);
}

fn tag_is(tag: &str) {
    if name::check_tag(tag).is_ok() {
        assert!(tag.starts_with("tag:") && tag.len() <= 67 && is_plain(&tag[4..]));
    }
}

/// Text that was let through holds nothing that means something to a file, a shell or a policy.
fn is_plain(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-@".contains(c);
    !text.is_empty() && text.chars().all(plain)
}

fn words(text: &str) {
    tag_is(text);
    if name::check_user(text).is_ok() {
        assert!(is_plain(text) && text.len() <= 63);
    }
    if name::is_label(text) {
        assert!(is_plain(text) && text.len() <= 63 && !text.contains('.'));
    }
    if name::is_domain(text) {
        assert!(is_plain(text) && text.contains('.') && text.len() <= 200);
    }
    if let Ok(domain) = text.parse::<Domain>() {
        assert!(is_plain(domain.as_str()) && domain.as_str().contains('.'));
        assert_eq!(domain.host("a b").as_deref(), None);
    }
    let home = Owner::Tags(vec!["tag:home".to_owned()]);
    let label = name::unique(text, &home, |taken| taken == "taken");
    assert!(name::is_label(&label) && label != "taken" && !name::is_reserved(&label));
    let shown = registration::showable(text);
    assert!(!shown.contains(char::is_control));
    let _ = netmap::parse_time(text);
    if let Some(at) = time::parse_rfc3339(text) {
        assert_eq!(time::parse_rfc3339(&time::to_rfc3339(at)), Some(at / 1000 * 1000));
    }
    let instance = services::Instance::of(std::path::Path::new(text));
    assert!(instance.interface().len() <= 15);
}

fuzz_target!(|bytes: &[u8]| {
    admin_bodies(bytes);
    local_bodies(bytes);
    gateway_bodies(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        text.lines().take(4).for_each(words);
    }
});
