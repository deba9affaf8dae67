//! `ssh` and `sshTests` are validated and otherwise ignored; the policy's warnings say so.

use crate::{
    document::{Document, SshRule, SshTest},
    error::{Error, Findings, Location, Word},
    selector::Selector,
};

/// Longest `checkPeriod` (Tailscale's documentation of `checkPeriod`), in seconds.
const CHECK_MAX_S: f64 = 7.0 * 24.0 * 60.0 * 60.0;

/// Most pairs of a source and a destination in a rule.
const PAIRS_MAX: usize = 1_000_000;

/// Validates both sections, and warns that they have no effect.
pub(crate) fn check(document: &Document, found: &mut Findings) {
    for rule in &document.ssh {
        let read = check_rule(document, rule);
        found.problems.keep(read);
        found.warn(
            &rule.location,
            "this rule has no effect: logins by Tailscale SSH are not supported",
        );
    }
    for test in &document.ssh_tests {
        let read = check_test(document, test);
        found.problems.keep(read);
        found.warn(
            &test.location,
            "this test is not run: logins by Tailscale SSH are not supported",
        );
    }
}

fn check_rule(document: &Document, rule: &SshRule) -> Result<(), Error> {
    let action = rule.action.as_ref().map(|action| action.text.trim()).unwrap_or_default();
    match (action, &rule.action) {
        ("accept" | "check", _) => {}
        ("", _) | (_, None) => {
            return Err(rule.location.wrong("action must be specified: write accept or check"));
        }
        (other, Some(word)) => {
            return Err(
                word.wrong(format!("\"{other}\" is not a valid action: write accept or check"))
            );
        }
    }
    if rule.users.is_empty() {
        return Err(rule.location.wrong("users must be specified: name those who may log in"));
    }
    if let Some(user) = rule.users.iter().find(|user| matches!(user.text.as_str(), "" | "*")) {
        return Err(
            user.wrong(format!("user \"{}\" is not valid: name those who may log in", user.text))
        );
    }
    if let Some(env) = rule.accept_env.iter().find(|env| env.text.is_empty()) {
        return Err(env.wrong("acceptEnv values cannot be empty: take it out"));
    }
    if rule.src.len().saturating_mul(rule.dst.len()) > PAIRS_MAX {
        return Err(rule
            .location
            .wrong("src and dst have more than a million pairs: name groups and tags"));
    }
    let src = rule.src.iter().map(|word| source(document, word)).collect::<Result<Vec<_>, _>>()?;
    for word in &rule.dst {
        destination(document, word, &src)?;
    }
    match &rule.check_period {
        Some(period) if action != "check" => {
            Err(period
                .wrong("checkPeriod is only valid with action \"check\": take one of them out"))
        }
        Some(period) => check_period(period),
        None => Ok(()),
    }
}

fn source(document: &Document, word: &Word) -> Result<Selector, Error> {
    let selector = Selector::parse(&word.text, document).map_err(|reason| word.wrong(reason))?;
    if selector.selects_by_owner() {
        return Ok(selector);
    }
    Err(word.wrong(format!(
        "alias not supported for SSH source: \"{}\": name people, groups, tags, autogroup:member or autogroup:tagged",
        word.text
    )))
}

fn destination(document: &Document, word: &Word, src: &[Selector]) -> Result<(), Error> {
    let text = &word.text;
    if document.hosts.contains_key(text) {
        return Err(word.wrong(format!("invalid dst \"{text}\": name people or tags, not hosts")));
    }
    let selector = Selector::parse(text, document).map_err(|reason| word.wrong(reason))?;
    let from_tags = src.iter().any(|source| matches!(source, Selector::Tag(_) | Selector::Tagged));
    match selector {
        Selector::User(_) | Selector::Domain(_) if from_tags => Err(word.wrong(format!(
            "tags in SSH source cannot access user-owned devices ({text}); name tags instead"
        ))),
        Selector::User(_) if src.iter().any(|source| *source != selector) => {
            Err(word.wrong(format!(
                "user destination requires source to contain only that same user \"{text}\"; use autogroup:self instead"
            )))
        }
        Selector::SelfDevices if from_tags => Err(word.wrong(
            "autogroup:self destination requires source to contain only users or groups, not tags or autogroup:tagged",
        )),
        Selector::Member if from_tags => Err(word.wrong(
            "tags in SSH source cannot access autogroup:member (user-owned devices); name tags instead",
        )),
        Selector::User(_)
        | Selector::Domain(_)
        | Selector::Tag(_)
        | Selector::Member
        | Selector::Tagged
        | Selector::SelfDevices => Ok(()),
        Selector::Any => Err(word.wrong(
            "wildcard (*) is not supported as SSH destination; use autogroup:member, autogroup:tagged, people or tags",
        )),
        Selector::Everyone
        | Selector::Internet
        | Selector::NonRoot
        | Selector::Group(_)
        | Selector::Prefix(_) => Err(word.wrong(format!(
            "alias not supported for SSH destination: \"{text}\": name people, tags, autogroup:member, tagged or self"
        ))),
    }
}

/// `always`, or a duration such as `12h` or `1h30m`.
fn check_period(word: &Word) -> Result<(), Error> {
    let text = word.text.as_str();
    if text == "always" {
        return Ok(());
    }
    let wrong = |reason: &str| word.wrong(format!("checkPeriod {text} {reason}"));
    if text.starts_with('-') {
        return Err(wrong("must be a positive duration, such as 12h"));
    }
    match seconds(text) {
        None => Err(wrong("is no duration: write always, or one such as 12h")),
        Some(period) if period > CHECK_MAX_S => Err(wrong("is above the max (168h)")),
        Some(_) => Ok(()),
    }
}

/// A duration in Go's syntax.
fn seconds(text: &str) -> Option<f64> {
    if text == "0" {
        return Some(0.0);
    }
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let units =
            [("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];
        let (unit, factor) = units.into_iter().find(|(unit, _)| tail.starts_with(unit))?;
        sum += number.parse::<f64>().ok()? * factor;
        rest = tail.strip_prefix(unit)?;
    }
    (!text.is_empty()).then_some(sum)
}

fn check_test(document: &Document, test: &SshTest) -> Result<(), Error> {
    let failed =
        |location: &Location, reason: String| location.wrong(format!("test(s) failed: {reason}"));
    let src = test.src.as_ref().filter(|src| !src.text.trim().is_empty()).ok_or_else(|| {
        failed(
            &test.location,
            "SSH tests entry must have a non-empty src: say who logs in".to_owned(),
        )
    })?;
    Selector::parse(src.text.trim(), document).map_err(|reason| failed(&src.location, reason))?;
    if test.dst.is_empty() {
        let reason = "SSH tests entry must have at least one dst: say where".to_owned();
        return Err(failed(&test.location, reason));
    }
    for word in &test.dst {
        let is_one = match Selector::parse(&word.text, document) {
            Ok(Selector::Prefix(prefix)) => prefix.prefix_len() == prefix.max_prefix_len(),
            Ok(Selector::Internet) => false,
            Ok(_) => true,
            Err(reason) => {
                let reason = if word.text.starts_with("tag:") {
                    format!("SSH tests dst contains unknown tag \"{}\": {reason}", word.text)
                } else {
                    reason
                };
                return Err(failed(&word.location, reason));
            }
        };
        if !is_one {
            let reason = format!(
                "SSH tests dst contains disallowed element \"{}\": name one host, people or tags",
                word.text
            );
            return Err(failed(&word.location, reason));
        }
    }
    Ok(())
}
