//! From what is written to what is meant; what means nothing is refused by place.

use crate::{
    Error,
    compile::{ParsedRule, Ports, Target},
    document::{Acl, Document, Grant, Proto},
    selector::Selector,
};

/// Protocol numbers by name (IANA protocol numbers).
const PROTOCOLS: &[(&str, &[u8])] = &[
    ("igmp", &[2]),
    ("ipv4", &[4]),
    ("ip-in-ip", &[4]),
    ("tcp", &[6]),
    ("egp", &[8]),
    ("igp", &[9]),
    ("udp", &[17]),
    ("gre", &[47]),
    ("esp", &[50]),
    ("ah", &[51]),
    ("sctp", &[132]),
    ("icmp", &[1]),
    ("ipv6-icmp", &[58]),
];

/// Every rule of a document.
pub(crate) fn rules(document: &Document) -> Result<Vec<ParsedRule>, Error> {
    let mut rules = Vec::new();
    for (name, members) in &document.groups {
        for member in members {
            if !name.starts_with("group:") || member.contains([':', ' ']) || member.is_empty() {
                return refuse(
                    &format!("groups[\"{name}\"]"),
                    "a group is \"group:…\" and holds people, no groups, tags or addresses".into(),
                );
            }
        }
    }
    for name in document.tag_owners.keys() {
        if !name.starts_with("tag:") || name.len() == 4 {
            return refuse(&format!("tagOwners[\"{name}\"]"), "a tag is \"tag:…\"".into());
        }
    }
    for (index, acl) in document.acls.iter().enumerate() {
        rules.extend(of_acl(document, acl, &format!("acls[{index}]"))?);
    }
    for (index, grant) in document.grants.iter().enumerate() {
        rules.extend(of_grant(document, grant, &format!("grants[{index}]"))?);
    }
    Ok(rules)
}

fn of_acl(document: &Document, acl: &Acl, place: &str) -> Result<Vec<ParsedRule>, Error> {
    if acl.action != "accept" {
        return refuse(place, format!("action \"{}\" is unknown: use \"accept\"", acl.action));
    }
    let src = sources(document, &acl.src, place)?;
    let ip_proto = match &acl.proto {
        None => Vec::new(),
        Some(proto) => protocol(proto).map_err(|reason| rule(place, reason))?,
    };
    let mut dst = Vec::new();
    for (index, text) in acl.dst.iter().enumerate() {
        let place = format!("{place}.dst[{index}]");
        let (selector, ports) =
            destination(document, text).map_err(|reason| rule(&place, reason))?;
        check_destination(&selector, text, &src, &place)?;
        dst.push(Target { selector, ports });
    }
    Ok(vec![ParsedRule { src, dst, ip_proto, via: Vec::new(), app: None }])
}

fn of_grant(document: &Document, grant: &Grant, place: &str) -> Result<Vec<ParsedRule>, Error> {
    if grant.ip.is_empty() && grant.app.is_empty() {
        return refuse(place, "ip and app can not both be empty".into());
    }
    let src = sources(document, &grant.src, place)?;
    let via = sources(document, &grant.via, place)?;
    let mut selectors = Vec::new();
    for (index, text) in grant.dst.iter().enumerate() {
        let place = format!("{place}.dst[{index}]");
        let selector = Selector::parse(text, document).map_err(|reason| rule(&place, reason))?;
        check_destination(&selector, text, &src, &place)?;
        if let Selector::Prefix(prefix) = &selector
            && prefix.prefix_len() == 0
        {
            let reason = format!(
                "dst \"{text}\": to allow all IP addresses, use \"*\" or \"autogroup:internet\""
            );
            return refuse(&place, reason);
        }
        if selector == Selector::Internet && !grant.app.is_empty() {
            return refuse(&place, "cannot use app grants with autogroup:internet".into());
        }
        selectors.push(selector);
    }
    let mut by_protocol: Vec<(Vec<u8>, Vec<Ports>)> = Vec::new();
    for (index, text) in grant.ip.iter().enumerate() {
        let place = format!("{place}.ip[{index}]");
        let (protocol, ports) = service(text).map_err(|reason| rule(&place, reason))?;
        match by_protocol.iter_mut().find(|(known, _)| *known == protocol) {
            Some((_, known)) => known.extend(ports),
            None => by_protocol.push((protocol, ports)),
        }
    }
    let mut rules: Vec<_> = by_protocol
        .into_iter()
        .map(|(ip_proto, ports)| ParsedRule {
            src: src.clone(),
            dst: selectors
                .iter()
                .map(|selector| Target { selector: selector.clone(), ports: ports.clone() })
                .collect(),
            ip_proto,
            via: via.clone(),
            app: None,
        })
        .collect();
    if !grant.app.is_empty() {
        for name in grant.app.keys() {
            capability(name).map_err(|reason| rule(place, reason))?;
        }
        let app =
            serde_json::to_value(&grant.app).map_err(|error| rule(place, error.to_string()))?;
        let dst =
            selectors.into_iter().map(|selector| Target { selector, ports: Vec::new() }).collect();
        rules.push(ParsedRule { src, dst, ip_proto: Vec::new(), via, app: Some(app) });
    }
    Ok(rules)
}

fn capability(name: &str) -> Result<(), String> {
    let Some((domain, path)) = name.split_once('/') else {
        return Err("capability name must have the form {domain}/{path}".to_owned());
    };
    if domain.is_empty() || path.is_empty() || name.contains("://") || !domain.contains('.') {
        return Err("capability name must have the form {domain}/{path}".to_owned());
    }
    if domain == "tailscale.com" {
        return Err("capability name must not be in the tailscale.com domain".to_owned());
    }
    Ok(())
}

fn sources(document: &Document, texts: &[String], place: &str) -> Result<Vec<Selector>, Error> {
    texts
        .iter()
        .map(|text| match Selector::parse(text, document) {
            Ok(Selector::SelfDevices) => {
                refuse(place, "\"autogroup:self\" not valid on the src side of a rule".into())
            }
            Ok(Selector::Internet) => {
                refuse(place, "\"autogroup:internet\" not valid on the src side of a rule".into())
            }
            Ok(selector) => Ok(selector),
            Err(reason) => refuse(place, format!("src={reason}")),
        })
        .collect()
}

fn check_destination(
    selector: &Selector,
    text: &str,
    src: &[Selector],
    place: &str,
) -> Result<(), Error> {
    let people = |source: &Selector| {
        matches!(source, Selector::Any | Selector::Member | Selector::Group(_) | Selector::User(_))
    };
    if *selector == Selector::SelfDevices && !src.iter().all(people) {
        return refuse(
            place,
            format!(
                "{text}: autogroup:self can only be used with users, groups, or supported autogroups"
            ),
        );
    }
    Ok(())
}

/// Reads `who:ports`; the last colon divides, so that IPv6 works.
pub(crate) fn destination(
    document: &Document,
    text: &str,
) -> Result<(Selector, Vec<Ports>), String> {
    let (who, ports) =
        text.rsplit_once(':').ok_or_else(|| format!("dst=\"{text}\": ports are missing"))?;
    let selector = Selector::parse(who, document).map_err(|reason| {
        // `tag:x` without ports reads as `tag` with port `x`: say what was meant.
        let whole = Selector::parse(text, document).map(|_| ());
        match whole {
            Ok(()) => format!("dst=\"{text}\": port range \"{ports}\": invalid first integer"),
            Err(whole) if text.matches(':').count() < 2 => format!("dst=\"{text}\": {whole}"),
            Err(_) => format!("dst=\"{text}\": {reason}"),
        }
    })?;
    let ports = self::ports(ports).map_err(|reason| format!("dst=\"{text}\": {reason}"))?;
    Ok((selector, ports))
}

/// Reads a grant's `ip`: ports, or `protocol:ports`.
fn service(text: &str) -> Result<(Vec<u8>, Vec<Ports>), String> {
    match text.split_once(':') {
        None => Ok((Vec::new(), ports(text)?)),
        Some((name, list)) => Ok((protocol(&Proto::Name(name.to_owned()))?, ports(list)?)),
    }
}

/// Reads `*`, `22`, `80-90` or a list of such.
pub(crate) fn ports(text: &str) -> Result<Vec<Ports>, String> {
    text.split(',')
        .map(|part| {
            let wrong = |which: &str| format!("port range \"{part}\": invalid {which} integer");
            if part == "*" {
                return Ok(Ports { first: 0, last: u16::MAX });
            }
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first = first.trim().parse().map_err(|_| wrong("first"))?;
            let last = last.trim().parse().map_err(|_| wrong("last"))?;
            if first > last {
                return Err(format!("port range \"{part}\": it ends before it begins"));
            }
            Ok(Ports { first, last })
        })
        .collect()
}

/// Protocol numbers by name or number.
pub(crate) fn protocol(proto: &Proto) -> Result<Vec<u8>, String> {
    match proto {
        Proto::Number(number) => Ok(vec![*number]),
        Proto::Name(name) if name == "*" || name.is_empty() => Ok(Vec::new()),
        Proto::Name(name) => PROTOCOLS
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, numbers)| numbers.to_vec())
            .or_else(|| name.parse().ok().map(|number| vec![number]))
            .ok_or_else(|| format!("protocol \"{name}\" is unknown")),
    }
}

fn rule(place: &str, reason: String) -> Error {
    Error::Rule { place: place.to_owned(), reason }
}

fn refuse<T>(place: &str, reason: String) -> Result<T, Error> {
    Err(rule(place, reason))
}
