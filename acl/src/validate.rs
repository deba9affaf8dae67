//! Validates rules and names; an invalid part is refused with its location.

use std::collections::HashSet;

use crate::{
    addresses::prefix,
    compile::{ParsedRule, Target},
    document::{Acl, Document, Grant},
    error::{Error, Findings, Location, Problems, Word},
    network::Network,
    selector::Selector,
    service::{Ports, destination, have_ports, protocol, service},
};

/// Capabilities in Tailscale's domain that a policy may grant (headscale, `tailscaleCapAllowlist`).
const GRANTABLE: [&str; 6] = ["drive", "kubernetes", "relay", "secrets", "tsidp", "webui"];
/// Prefix of the coordinator's own names.
pub(crate) const OWN: &str = "maru/";
/// Most sources and destinations of all rules, each counted for every range of ports.
const PARTS_MAX: usize = 50_000;
/// Longest name of a capability or an attribute, in bytes.
const NAME_MAX: usize = 255;

/// Every rule of a document, `acls` first.
pub(crate) fn rules(document: &Document, found: &mut Findings) -> Vec<ParsedRule> {
    let mut rules = Vec::new();
    let mut parts = 0;
    for acl in &document.acls {
        let read = of_acl(document, acl, found).and_then(|rule| {
            let ranges: usize = rule.dst.iter().map(|target| target.ports.len()).sum();
            bound(&acl.location, rule.src.len() + ranges, &mut parts)?;
            Ok(rule)
        });
        rules.extend(found.problems.keep(read));
    }
    for grant in &document.grants {
        let read = of_grant(document, grant, &mut parts, found);
        rules.extend(found.problems.keep(read).into_iter().flatten());
    }
    rules
}

/// Adds a rule's size to `parts`, and refuses the rule past [`PARTS_MAX`]: every rule is compiled for every device.
fn bound(location: &Location, more: usize, parts: &mut usize) -> Result<(), Error> {
    let sum = parts.saturating_add(more);
    if sum > PARTS_MAX {
        return Err(location.wrong(format!(
            "with this rule the policy has more than {PARTS_MAX} sources and destinations, each counted for every range of \
             ports: put devices together in tags, groups and prefixes, and ports in ranges"
        )));
    }
    *parts = sum;
    Ok(())
}

/// Checks the owners of tags: people, groups, tags, and administrators.
pub(crate) fn tag_owners(document: &Document, problems: &mut Problems) {
    let known = ["autogroup:admin", "autogroup:owner", "autogroup:member", "autogroup:members"];
    for owner in document.tag_owners.values().flat_map(|(_, owners)| owners) {
        let text = owner.text.as_str();
        if known.contains(&text) {
            continue;
        }
        match Selector::parse(text, document) {
            Ok(Selector::User(_) | Selector::Domain(_) | Selector::Group(_) | Selector::Tag(_)) => {
            }
            Ok(_) => problems.add(owner.wrong(format!(
                "invalid owner format: \"{text}\": name people, groups, tags or autogroup:admin"
            ))),
            Err(reason) => problems.add(owner.wrong(reason)),
        }
    }
}

fn of_acl(document: &Document, acl: &Acl, found: &mut Findings) -> Result<ParsedRule, Error> {
    match &acl.action {
        None => found.warn(&acl.location, "this rule has no action, and is read as \"accept\""),
        Some(action) if action.text == "accept" => {}
        Some(action) => {
            return Err(action.wrong(format!(
                "action=\"{}\" is not supported: invalid ACL action: only \"accept\" is; what no rule accepts is denied",
                action.text
            )));
        }
    }
    let numbers =
        |word: &Word| protocol(&word.text.to_lowercase()).map_err(|reason| word.wrong(reason));
    let ip_proto = acl.proto.as_ref().map(numbers).transpose()?.unwrap_or_default();
    let src = sources(document, &acl.src)?;
    let are_people = src.iter().all(|source| is_of_people(source, true));
    let mut dst = Vec::new();
    for word in &acl.dst {
        let (selector, ports) =
            destination(document, &word.text).map_err(|reason| word.wrong(reason))?;
        check_destination(&selector, word)?;
        if !have_ports(&ip_proto) && ports.iter().any(|ports| *ports != Ports::ALL) {
            let name = acl.proto.as_ref().map(|proto| proto.text.as_str()).unwrap_or_default();
            return Err(word.wrong(format!(
                "protocol does not support specific ports: \"{name}\", only \"*\" is allowed"
            )));
        }
        check_self(&selector, word, are_people)?;
        dst.push(Target { selector, ports });
    }
    warn_if_empty(&acl.location, acl.src.is_empty(), acl.dst.is_empty(), found);
    Ok(ParsedRule {
        location: acl.location.clone(),
        src,
        dst,
        ip_proto,
        via: Vec::new(),
        app: None,
    })
}

/// Warns of a rule without sources or destinations, which has no effect.
fn warn_if_empty(location: &Location, no_src: bool, no_dst: bool, found: &mut Findings) {
    if no_src {
        found.warn(location, "this rule has no src, and allows nothing");
    }
    if no_dst {
        found.warn(location, "this rule has no dst, and opens nothing");
    }
}

fn of_grant(
    document: &Document,
    grant: &Grant,
    parts: &mut usize,
    found: &mut Findings,
) -> Result<Vec<ParsedRule>, Error> {
    if grant.ip.is_empty() && grant.app.is_empty() {
        return Err(grant.location.wrong("ip and app can not both be empty: say what is opened"));
    }
    for (name, _) in &grant.app {
        capability(&name.text).map_err(|reason| name.wrong(reason))?;
    }
    let src = sources(document, &grant.src)?;
    let targets = grant_targets(document, grant, &src)?;
    let via = vias(document, grant, &targets, found)?;
    warn_if_empty(&grant.location, grant.src.is_empty(), grant.dst.is_empty(), found);
    let rule = |ports: &[Ports], ip_proto: Vec<u8>| ParsedRule {
        location: grant.location.clone(),
        src: src.clone(),
        dst: targets
            .iter()
            .map(|selector| Target { selector: selector.clone(), ports: ports.to_vec() })
            .collect(),
        ip_proto,
        via: via.clone(),
        app: None,
    };
    let mut rules = Vec::new();
    for word in &grant.ip {
        let (ip_proto, ports) = service(&word.text).map_err(|reason| word.wrong(reason))?;
        let ranges = targets.len().saturating_mul(ports.len());
        bound(&grant.location, src.len() + via.len() + ranges, parts)?;
        rules.push(rule(&ports, ip_proto));
    }
    if !grant.app.is_empty() && via.is_empty() {
        bound(&grant.location, src.len() + targets.len(), parts)?;
        let app = grant.app.iter().map(|(name, values)| (name.text.clone(), values.clone()));
        rules.push(ParsedRule { app: Some(app.collect()), ..rule(&[], Vec::new()) });
    }
    Ok(rules)
}

fn grant_targets(
    document: &Document,
    grant: &Grant,
    src: &[Selector],
) -> Result<Vec<Selector>, Error> {
    let are_people = src.iter().all(|source| is_of_people(source, false));
    let mut targets = Vec::new();
    for word in &grant.dst {
        let text = &word.text;
        let selector = Selector::parse(text, document)
            .map_err(|reason| word.wrong(format!("dst=\"{text}\": {reason}")))?;
        check_destination(&selector, word)?;
        if let Some(prefix) = prefix(text).filter(|prefix| prefix.prefix_len() == 0) {
            return Err(word.wrong(format!(
                "dst \"{prefix}\": to allow all IP addresses, use \"*\" or \"autogroup:internet\""
            )));
        }
        if selector == Selector::Internet && !grant.app.is_empty() {
            return Err(word.wrong(
                "cannot use app grants with autogroup:internet: make two grants, one with ip alone",
            ));
        }
        check_self(&selector, word, are_people)?;
        targets.push(selector);
    }
    Ok(targets)
}

fn vias(
    document: &Document,
    grant: &Grant,
    targets: &[Selector],
    found: &mut Findings,
) -> Result<Vec<Selector>, Error> {
    let mut via = Vec::new();
    for word in &grant.via {
        let text = &word.text;
        if !text.starts_with("tag:") {
            return Err(word.wrong(format!("via can only be a tag: \"{text}\" is none")));
        }
        if !document.tag_owners.contains_key(text) {
            return Err(word
                .wrong(format!("tag \"{text}\" not found: list its owners under \"tagOwners\"")));
        }
        via.push(Selector::Tag(text.clone()));
    }
    if !via.is_empty() {
        if !grant.app.is_empty() {
            found.warn(&grant.location, "`app` is ignored when `via` is set");
        }
        let led = |target: &Selector| matches!(target, Selector::Prefix(_) | Selector::Internet);
        for (target, word) in targets.iter().zip(&grant.dst) {
            if !led(target) {
                let reason = "`via` applies to subnets and autogroup:internet; this destination is neither, and is not reachable";
                found.warn(&word.location, reason);
            }
        }
    }
    Ok(via)
}

/// Checks that a policy may grant a capability of this name.
fn capability(name: &str) -> Result<(), String> {
    if name.contains("://") {
        return Err(format!(
            "capability name must have the form {{domain}}/{{path}}: \"{name}\" is an address"
        ));
    }
    if let Some(path) = name.strip_prefix("tailscale.com/") {
        let is_grantable = path.strip_prefix("cap/").is_some_and(|cap| GRANTABLE.contains(&cap));
        if !is_grantable {
            return Err(format!(
                "capability name must not be in the tailscale.com domain: of that, tailscale.com/cap/ with {} may be given, \
                 not \"{name}\"",
                GRANTABLE.join(", ")
            ));
        }
    }
    plain_name("capability", name)
}

/// Checks that clients can read a name, and that it is not one of the coordinator's own.
pub(crate) fn plain_name(what: &str, name: &str) -> Result<(), String> {
    if name.starts_with(OWN) {
        return Err(format!(
            "{what} \"{name}\": only the coordinator uses names that begin with {OWN}"
        ));
    }
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(is_plain) {
        return Err(format!(
            "{what} \"{}\": a name has 1 to {NAME_MAX} printable ASCII characters, without spaces, quotes and backslashes",
            name.escape_default()
        ));
    }
    Ok(())
}

fn sources(document: &Document, words: &[Word]) -> Result<Vec<Selector>, Error> {
    let read = |word: &Word| {
        let selector = Selector::parse(&word.text, document)
            .map_err(|reason| word.wrong(format!("src={reason}")))?;
        let invalid = [
            (
                Selector::SelfDevices,
                "\"autogroup:self\" not valid on the src side of a rule: name people, groups or autogroup:member",
            ),
            (
                Selector::Internet,
                "autogroup:internet can only be used in ACL destinations: use autogroup:danger-all for every address there is",
            ),
            (
                Selector::NonRoot,
                "autogroup not supported for ACL sources: \"autogroup:nonroot\" is for login users of SSH",
            ),
        ];
        match invalid.into_iter().find(|(invalid, _)| *invalid == selector) {
            Some((_, reason)) => Err(word.wrong(reason)),
            None => Ok(selector),
        }
    };
    words.iter().map(read).collect()
}

fn check_destination(selector: &Selector, word: &Word) -> Result<(), Error> {
    if *selector == Selector::Everyone {
        return Err(word.wrong("cannot use autogroup:danger-all as a dst: use \"*\""));
    }
    if *selector == Selector::NonRoot {
        let reason = "autogroup not supported for ACL destinations: \"autogroup:nonroot\" is for login users of SSH";
        return Err(word.wrong(reason));
    }
    Ok(())
}

/// Whether a source selects only people's devices; in `acls`, `autogroup:self` narrows `*` to them.
fn is_of_people(source: &Selector, is_acl: bool) -> bool {
    let people = matches!(
        source,
        Selector::Member | Selector::Group(_) | Selector::User(_) | Selector::Domain(_)
    );
    people || is_acl && *source == Selector::Any
}

/// Checks that `autogroup:self` is used with people's devices only.
fn check_self(selector: &Selector, word: &Word, are_people: bool) -> Result<(), Error> {
    if *selector == Selector::SelfDevices && !are_people {
        return Err(word.wrong(
            "autogroup:self can only be used with users, groups, or supported autogroups: autogroup:member is one, and in \
             acls \"*\"",
        ));
    }
    Ok(())
}

/// Checks that plain words in rules and targets are hosts, people of the network, or members of a group, and that owners
/// and approvers are people: any other word would silently select nothing.
pub(crate) fn words(document: &Document, network: &Network) -> Result<(), Error> {
    let rules = document.acls.iter().flat_map(|acl| {
        let dst = acl.dst.iter().map(|word| (word, word.text.rsplit_once(':')));
        let dst = dst.map(|(word, divided)| (word, divided.map_or("", |(who, _)| who)));
        acl.src.iter().map(|word| (word, word.text.as_str())).chain(dst)
    });
    let grants = document.grants.iter().flat_map(|grant| grant.src.iter().chain(&grant.dst));
    let targets = document.node_attrs.iter().flat_map(|entry| &entry.target);
    let others = grants.chain(targets).map(|word| (word, word.text.as_str()));
    let members: HashSet<&str> =
        document.groups.values().flatten().map(|member| member.text.as_str()).collect();
    let is_nobody = |name: &str| {
        let known = name.contains('@') || members.contains(name);
        let is_person = || matches!(Selector::parse(name, document), Ok(Selector::User(_)));
        !known && is_person() && !network.users.iter().any(|user| user.is(name))
    };
    for (word, name) in rules.chain(others) {
        if is_nobody(name) {
            return Err(word.wrong(format!(
                "host not defined in policy: \"{name}\": put it under \"hosts\", or write \"{name}@\" for a person who is yet \
                 to come"
            )));
        }
    }
    let owners = document.tag_owners.values().flat_map(|(_, owners)| owners);
    for word in owners.chain(document.approvers()) {
        let name = &word.text;
        if is_nobody(name) {
            return Err(word.wrong(format!(
                "\"{name}\" is unknown: write the name of a person, a group or a tag, or \"{name}@\" for a person who is yet to \
                 come"
            )));
        }
    }
    Ok(())
}
