//! What a policy tells nodes besides what they let in: `nodeAttrs`.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Error, Network, document::Document, selector::Selector};

/// The attribute behind `randomizeClientPort` (tailcfg, `NodeAttrRandomizeClientPort`).
const RANDOMIZE_CLIENT_PORT: &str = "randomize-client-port";
/// What attributes of the coordinator's own begin with.
const OWN: &str = "maru/";
/// Longest name of an attribute, in bytes.
const NAME_MAX: usize = 255;

/// An entry whose words were understood.
#[derive(Clone, Debug)]
pub(crate) struct Parsed {
    targets: Vec<Selector>,
    attributes: BTreeMap<String, Vec<Value>>,
}

/// Reads every entry.
pub(crate) fn parse(document: &Document) -> Result<Vec<Parsed>, Error> {
    let mut parsed = Vec::new();
    for (index, entry) in document.node_attrs.iter().enumerate() {
        let rule =
            |part: &str, reason| Error::Rule { place: format!("nodeAttrs[{index}]{part}"), reason };
        if entry.attr.is_empty() && entry.app.is_empty() {
            return Err(rule("", "attr and app can not both be empty".to_owned()));
        }
        let mut targets = Vec::new();
        for (number, text) in entry.target.iter().enumerate() {
            let wrong = |reason| rule(&format!(".target[{number}]"), reason);
            let target = Selector::parse(text, document).map_err(wrong)?;
            if matches!(target, Selector::SelfDevices | Selector::Internet) {
                return Err(wrong(format!("\"{text}\" is no node")));
            }
            targets.push(target);
        }
        let names = entry.attr.iter().map(|name| (name.clone(), Vec::new()));
        let with_values = entry.app.iter().map(|(name, values)| (name.clone(), values.clone()));
        let attributes: BTreeMap<_, _> = names.chain(with_values).collect();
        for name in attributes.keys() {
            check(name).map_err(|reason| rule("", reason))?;
        }
        parsed.push(Parsed { targets, attributes });
    }
    Ok(parsed)
}

fn check(name: &str) -> Result<(), String> {
    if name.starts_with(OWN) {
        return Err(format!("attribute \"{name}\": {OWN}… is for the coordinator alone"));
    }
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(is_plain) {
        return Err(format!(
            "attribute \"{}\": a name has 1 to {NAME_MAX} printable ASCII characters, without spaces, quotes and backslashes",
            name.escape_default()
        ));
    }
    Ok(())
}

/// What `network.nodes[index]` is told. Values of one name from several entries are put together.
pub(crate) fn node(
    document: &Document,
    parsed: &[Parsed],
    network: &Network,
    index: usize,
) -> BTreeMap<String, Vec<Value>> {
    let mut attributes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let Some(node) = network.nodes.get(index) else { return attributes };
    if document.randomize_client_port {
        attributes.insert(RANDOMIZE_CLIENT_PORT.to_owned(), Vec::new());
    }
    for entry in parsed {
        if entry.targets.iter().any(|target| target.selects(node, network, document)) {
            for (name, values) in &entry.attributes {
                let known = attributes.entry(name.clone()).or_default();
                for value in values {
                    if !known.contains(value) {
                        known.push(value.clone());
                    }
                }
            }
        }
    }
    attributes
}
