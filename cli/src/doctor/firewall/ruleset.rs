//! Whether the rules of nftables let a packet in, by `nft -j list ruleset`.
//!
//! Only matches of interface, protocol, port and connection state are understood. A rule with another match may accept or drop:
//! then the verdict is open as long as it would matter.

use serde_json::Value;

/// Chains that may jump to each other.
const DEPTH_MAX: usize = 16;

/// The first packet of a connection or a peer, from anywhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe<'a> {
    /// `udp` or `tcp`.
    pub(super) protocol: &'static str,
    pub(super) port: u16,
    /// The tunnel's interface.
    pub(super) tunnel: &'a str,
    /// Whether it comes out of the tunnel, or else over another interface that is not the loopback.
    pub(super) by_tunnel: bool,
    /// The interface over which this machine forwards it; `None` if it is for this machine.
    pub(super) out: Option<&'a str>,
}

/// A base chain that drops the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closed {
    pub(super) family: String,
    pub(super) table: String,
    pub(super) chain: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accept,
    Drop,
    /// The end of the chain, or `return`.
    Over,
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    Unknown,
}

/// The first base chain for such packets that drops the packet for certain; tables of ours are left out.
pub(super) fn closed(ruleset: &Value, probe: Probe<'_>, own_table: &str) -> Option<Closed> {
    let items = ruleset["nftables"].as_array()?;
    let chains = items.iter().filter_map(|item| item.get("chain"));
    let hook = if probe.out.is_some() { "forward" } else { "input" };
    let hooked = chains.filter(|chain| {
        let family = text(chain, "family");
        chain["hook"] == hook
            && chain["type"] == "filter"
            && matches!(family, "ip" | "inet")
            && text(chain, "table") != own_table
    });
    hooked.into_iter().find_map(|chain| {
        let (family, table, name) =
            (text(chain, "family"), text(chain, "table"), text(chain, "name"));
        let rules = Rules { items, family, table };
        let by_rules = rules.judge(name, probe, 0);
        let policy = if chain["policy"] == "drop" { Verdict::Drop } else { Verdict::Accept };
        let verdict = if by_rules == Verdict::Over { policy } else { by_rules };
        let [family, table, chain] = [family, table, name].map(str::to_owned);
        (verdict == Verdict::Drop).then_some(Closed { family, table, chain })
    })
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// The rules of one table.
struct Rules<'a> {
    items: &'a [Value],
    family: &'a str,
    table: &'a str,
}

impl Rules<'_> {
    fn judge(&self, chain: &str, probe: Probe<'_>, depth: usize) -> Verdict {
        if depth > DEPTH_MAX {
            return Verdict::Unknown;
        }
        let mut may_be = None;
        let rules = self.items.iter().filter_map(|item| item.get("rule")).filter(|rule| {
            text(rule, "family") == self.family
                && text(rule, "table") == self.table
                && text(rule, "chain") == chain
        });
        for rule in rules {
            let (holds, verdict) = self.rule(rule, probe, depth);
            match (holds, verdict) {
                (Holds::No, _) | (_, None) => {}
                (Holds::Yes, Some(Verdict::Over)) => break,
                (Holds::Yes, Some(verdict)) => return settle(may_be, verdict),
                (Holds::Unknown, Some(verdict)) => may_be = Some(settle(may_be, verdict)),
            }
        }
        settle(may_be, Verdict::Over)
    }

    /// Whether the rule's matches hold, and its verdict if it has one.
    fn rule(&self, rule: &Value, probe: Probe<'_>, depth: usize) -> (Holds, Option<Verdict>) {
        let mut holds = Holds::Yes;
        for statement in rule["expr"].as_array().into_iter().flatten() {
            let Some((kind, body)) = statement.as_object().and_then(|it| it.iter().next()) else {
                continue;
            };
            let target = body["target"].as_str().unwrap_or_default();
            match kind.as_str() {
                "match" => match matches(body, probe) {
                    Holds::No => return (Holds::No, None),
                    Holds::Unknown => holds = Holds::Unknown,
                    Holds::Yes => {}
                },
                "counter" | "log" | "comment" => {}
                "accept" => return (holds, Some(Verdict::Accept)),
                "drop" | "reject" => return (holds, Some(Verdict::Drop)),
                "return" => return (holds, Some(Verdict::Over)),
                "jump" => {
                    // What comes back from the chain goes on with the next rule.
                    let verdict = self.judge(target, probe, depth + 1);
                    return (holds, (verdict != Verdict::Over).then_some(verdict));
                }
                "goto" => return (holds, Some(self.judge(target, probe, depth + 1))),
                // How iptables matches the state of a connection: never a new one, as hosts use it.
                "xt" if matches!(text(body, "name"), "conntrack" | "state") => {
                    return (Holds::No, None);
                }
                "vmap" => return (holds, Some(Verdict::Unknown)),
                _ => holds = Holds::Unknown,
            }
        }
        (holds, None)
    }
}

/// The verdict where an earlier rule may have had another.
fn settle(may_be: Option<Verdict>, verdict: Verdict) -> Verdict {
    match may_be {
        Some(other) if other != verdict => Verdict::Unknown,
        Some(_) | None => verdict,
    }
}

fn matches(body: &Value, probe: Probe<'_>) -> Holds {
    let (left, right) = (&body["left"], &body["right"]);
    let holds = if let Some(key) = left["meta"]["key"].as_str() {
        match key {
            "iif" | "iifname" => any(right, |name| interface(name.as_str()?, probe)),
            "oif" | "oifname" => any(right, |name| is_named(name.as_str()?, probe.out?)),
            "l4proto" => any(right, |name| Some(name.as_str()? == probe.protocol)),
            "nfproto" => any(right, |name| Some(name.as_str()? == "ipv4")),
            _ => Holds::Unknown,
        }
    } else if left["ct"]["key"] == "state" {
        any(right, |state| Some(state.as_str()? == "new"))
    } else {
        match (left["payload"]["protocol"].as_str(), left["payload"]["field"].as_str()) {
            (Some(protocol @ ("udp" | "tcp")), _) if protocol != probe.protocol => {
                return Holds::No;
            }
            (Some("th" | "udp" | "tcp"), Some("dport")) => {
                any(right, |port| is_port(port, probe.port))
            }
            (Some("ip"), Some("protocol")) => {
                any(right, |name| Some(name.as_str()? == probe.protocol))
            }
            (Some("icmp" | "icmpv6" | "ip6"), _) => return Holds::No,
            _ => Holds::Unknown,
        }
    };
    match (body["op"].as_str(), holds) {
        (Some("!="), Holds::Yes) => Holds::No,
        (Some("!="), Holds::No) => Holds::Yes,
        (Some("!=" | "==" | "in"), holds) => holds,
        _ => Holds::Unknown,
    }
}

/// Whether one of the values is meant; `is` returns `None` if that is not known.
fn any(right: &Value, is: impl Fn(&Value) -> Option<bool>) -> Holds {
    let list = right.as_array().or_else(|| right["set"].as_array());
    let single = std::slice::from_ref(right);
    let mut holds = Holds::No;
    for value in list.map_or(single, Vec::as_slice) {
        match is(value) {
            Some(true) => return Holds::Yes,
            Some(false) => {}
            None => holds = Holds::Unknown,
        }
    }
    holds
}

fn interface(name: &str, probe: Probe<'_>) -> Option<bool> {
    let is_tunnel = is_named(name, probe.tunnel)?;
    match probe.by_tunnel {
        true => Some(is_tunnel),
        false if name == "lo" || is_tunnel => Some(false),
        // Any of the others may be the one that packets come over.
        false => None,
    }
}

/// Whether a rule's name of interfaces means this one; `None` if that is not known.
fn is_named(name: &str, interface: &str) -> Option<bool> {
    match name.strip_suffix('*') {
        _ if name.starts_with('@') => None,
        Some(prefix) => Some(interface.starts_with(prefix)),
        None => Some(name == interface),
    }
}

fn is_port(value: &Value, port: u16) -> Option<bool> {
    let range = value["range"].as_array();
    if let Some([first, last]) = range.map(Vec::as_slice) {
        return Some((first.as_u64()?..=last.as_u64()?).contains(&u64::from(port)));
    }
    Some(value.as_u64()? == u64::from(port))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn probe(by_tunnel: bool) -> Probe<'static> {
        let (protocol, port) = if by_tunnel { ("tcp", 443) } else { ("udp", 41641) };
        Probe { protocol, port, tunnel: "maru0", by_tunnel, out: None }
    }

    /// A base chain of this policy with these rules, each the list of its statements, and a chain `other`.
    fn ruleset(policy: &str, rules: &[Value], other: &[Value]) -> Value {
        let mut items =
            vec![json!({"chain": {"family": "inet", "table": "filter", "name": "input",
            "type": "filter", "hook": "input", "policy": policy}})];
        for (chain, rules) in [("input", rules), ("other", other)] {
            items.extend(rules.iter().map(|expr| {
                json!({"rule": {"family": "inet", "table": "filter", "chain": chain, "expr": expr}})
            }));
        }
        json!({"nftables": items})
    }

    fn is_closed(policy: &str, rules: &[Value], other: &[Value], by_tunnel: bool) -> bool {
        closed(&ruleset(policy, rules, other), probe(by_tunnel), "maru").is_some()
    }

    fn dport(protocol: &str, right: Value) -> Value {
        json!({"match": {"op": "==", "left": {"payload": {"protocol": protocol, "field": "dport"}}, "right": right}})
    }

    fn iif(name: &str) -> Value {
        json!({"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": name}})
    }

    #[test]
    fn a_chain_that_drops_what_no_rule_accepts_is_named() {
        let established = json!([{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}, {"accept": null}]);
        let by_iptables = json!([{"xt": {"type": "match", "name": "conntrack"}}, {"counter": {}}, {"accept": null}]);
        let rules = [
            json!([iif("lo"), {"accept": null}]),
            established,
            by_iptables,
            json!([dport("tcp", json!({"set": [22, 80]})), {"accept": null}]),
            json!([dport("udp", json!({"range": [5000, 6000]})), {"accept": null}]),
        ];
        let found = closed(&ruleset("drop", &rules, &[]), probe(false), "maru").unwrap();
        assert_eq!(
            (found.family.as_str(), found.table.as_str(), found.chain.as_str()),
            ("inet", "filter", "input")
        );
        assert!(is_closed("drop", &rules, &[], true), "and the tunnel's services");
        assert!(!is_closed("accept", &rules, &[], false));
        assert_eq!(
            closed(&ruleset("drop", &rules, &[]), probe(false), "filter"),
            None,
            "our own table"
        );
    }

    #[test]
    fn a_rule_that_accepts_or_drops_decides() {
        let accept = json!([dport("udp", json!({"range": [41000, 42000]})), {"counter": {}}, {"accept": null}]);
        assert!(!is_closed("drop", &[accept], &[], false));
        let tunnel = json!([iif("maru*"), {"accept": null}]);
        assert!(!is_closed("drop", std::slice::from_ref(&tunnel), &[], true));
        assert!(
            is_closed("drop", &[tunnel], &[], false),
            "the tunnel's rule opens no port outside"
        );
        let reject = json!([dport("udp", json!(41641)), {"reject": {"type": "icmp"}}]);
        assert!(is_closed("accept", &[reject], &[], false));
        let jump = json!([{"jump": {"target": "other"}}]);
        let accept = json!([dport("udp", json!(41641)), {"accept": null}]);
        assert!(!is_closed("drop", std::slice::from_ref(&jump), &[accept], false));
        assert!(is_closed(
            "drop",
            std::slice::from_ref(&jump),
            &[json!([{"return": null}])],
            false
        ));
        assert!(
            !is_closed("drop", &[json!([{"jump": {"target": "input"}}])], &[], false),
            "no endless loop"
        );
    }

    /// What Docker 28 writes: its chain drops what is to or from none of its bridges.
    #[test]
    fn dockers_chain_drops_what_this_machine_forwards_unless_a_rule_names_the_interface() {
        let rule = |chain: &str, expr: Value| json!({"rule": {"family": "ip", "table": "filter", "chain": chain, "expr": expr}});
        let oif = json!({"match": {"op": "==", "left": {"meta": {"key": "oifname"}}, "right": "docker0"}});
        let jump = |to: &str| json!({"jump": {"target": to}});
        let set = json!({"xt": {"type": "match", "name": "set"}});
        let found = |policy: &str, user: &[Value]| {
            let mut items = vec![
                json!({"chain": {"family": "ip", "table": "filter", "name": "FORWARD",
                    "type": "filter", "hook": "forward", "policy": policy}}),
                rule("FORWARD", json!([{"counter": {}}, jump("DOCKER-USER")])),
                rule("FORWARD", json!([set, jump("DOCKER-BRIDGE")])),
                rule("FORWARD", json!([iif("docker0"), {"accept": null}])),
                rule("DOCKER-BRIDGE", json!([oif, {"accept": null}])),
            ];
            items.extend(user.iter().map(|expr| rule("DOCKER-USER", expr.clone())));
            let passing = |tunnel, out| Probe { tunnel, out: Some(out), ..probe(true) };
            let ruleset = json!({"nftables": items});
            [("maruw0", "maru0"), ("maru0", "maruw0")]
                .map(|(from, to)| closed(&ruleset, passing(from, to), "maru").is_some())
        };
        assert_eq!(found("accept", &[]), [false; 2]);
        assert_eq!(found("drop", &[]), [true; 2]);
        assert_eq!(found("drop", &[json!([iif("maruw0"), {"accept": null}])]), [false, true]);
    }

    #[test]
    fn what_is_not_understood_is_no_finding() {
        let source = json!({"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@friends"}});
        assert!(!is_closed("drop", &[json!([source, {"accept": null}])], &[], false));
        assert!(!is_closed("drop", &[json!([iif("eth0"), {"accept": null}])], &[], false));
        assert!(!is_closed("accept", &[json!([iif("eth0"), {"drop": null}])], &[], false));
        assert!(!is_closed("drop", &[json!([{"vmap": {}}])], &[], false));
        for strange in
            [json!(null), json!({"nftables": 1}), json!({"nftables": [{"chain": 1}, {"rule": []}]})]
        {
            assert_eq!(closed(&strange, probe(false), "maru"), None);
        }
    }
}
