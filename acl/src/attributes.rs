//! Attributes that a policy gives to nodes: `nodeAttrs`.

use std::collections::{BTreeMap, HashSet};

use serde_json::Value;

use crate::{
    Error, Network,
    document::{Document, NodeAttr},
    error::{Findings, Word},
    selector::Selector,
    validate::plain_name,
};

/// The attribute behind `randomizeClientPort` (tailcfg, `NodeAttrRandomizeClientPort`).
const RANDOMIZE_CLIENT_PORT: &str = "randomize-client-port";
/// The attribute that lets a device be reached from the internet (tailcfg, `NodeAttrFunnel`).
const FUNNEL: &str = "funnel";

/// A validated entry.
#[derive(Clone, Debug)]
pub(crate) struct NodeAttributes {
    targets: Vec<Selector>,
    attributes: BTreeMap<String, Vec<Value>>,
}

/// Reads every entry. An invalid one is a problem, and is left out.
pub(crate) fn parse(document: &Document, found: &mut Findings) -> Vec<NodeAttributes> {
    let mut parsed = Vec::new();
    for entry in &document.node_attrs {
        if entry.attr.is_empty() && entry.app.is_empty() {
            found.warn(&entry.location, "this entry has neither attr nor app, and so no effect");
        }
        let read = of_entry(document, entry);
        parsed.extend(found.problems.keep(read));
    }
    parsed
}

fn of_entry(document: &Document, entry: &NodeAttr) -> Result<NodeAttributes, Error> {
    let target = |word: &Word| {
        let selector =
            Selector::parse(&word.text, document).map_err(|reason| word.wrong(reason))?;
        if matches!(selector, Selector::Any | Selector::Prefix(_)) || selector.selects_by_owner() {
            return Ok(selector);
        }
        Err(word.wrong(format!(
            "nodeAttrs target does not support this autogroup: \"{}\" is no node: name autogroup:member or tagged",
            word.text
        )))
    };
    let targets = entry.target.iter().map(target).collect::<Result<Vec<_>, _>>()?;
    let mut attributes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let alone = entry.attr.iter().map(|name| (name, &[][..]));
    let with_values = entry.app.iter().map(|(name, values)| (name, values.as_slice()));
    for (name, values) in alone.chain(with_values) {
        plain_name("attribute", &name.text).map_err(|reason| name.wrong(reason))?;
        if name.text == FUNNEL {
            return Err(name.wrong(
                "nodeAttrs uses a feature that is not supported: \"funnel\" opens devices to the internet",
            ));
        }
        attributes.insert(name.text.clone(), values.to_vec());
    }
    Ok(NodeAttributes { targets, attributes })
}

/// The attributes of `network.nodes[index]`. Values of one name from several entries are merged.
pub(crate) fn node(
    document: &Document,
    parsed: &[NodeAttributes],
    network: &Network,
    index: usize,
) -> BTreeMap<String, Vec<Value>> {
    let mut attributes: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let Some(node) = network.nodes.get(index) else { return attributes };
    if document.randomize_client_port {
        attributes.insert(RANDOMIZE_CLIENT_PORT.to_owned(), Vec::new());
    }
    let mut seen: BTreeMap<&str, HashSet<&Value>> = BTreeMap::new();
    for entry in parsed {
        if entry.targets.iter().any(|target| target.selects(node, network, document)) {
            for (name, values) in &entry.attributes {
                let known = attributes.entry(name.clone()).or_default();
                let seen = seen.entry(name).or_default();
                known.extend(values.iter().filter(|value| seen.insert(*value)).cloned());
            }
        }
    }
    attributes
}
