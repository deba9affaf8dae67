//! The nodes of a network as a policy names them. What would be the same for every node is found once.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Deref,
    rc::Rc,
};

use common::mesh;

use crate::{
    Network, Node,
    document::Document,
    internet::INTERNET,
    selector::{Selector, owner, print},
};

/// The nodes that a selector selects, by their indices, in order.
#[derive(Clone, Debug)]
pub(crate) struct Selected(Rc<[usize]>);

impl Selected {
    /// Whether it selects `network.nodes[index]`.
    pub(crate) fn has(&self, index: usize) -> bool {
        self.0.binary_search(&index).is_ok()
    }
}

impl Deref for Selected {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.0
    }
}

/// The nodes of a network.
#[derive(Debug)]
pub(crate) struct Nodes<'a> {
    pub(crate) network: &'a Network,
    document: &'a Document,
    /// The number of each node's owner.
    owners: Vec<Option<u64>>,
    /// The nodes of each person, by their indices.
    devices: HashMap<u64, Vec<usize>>,
    /// The addresses of each node.
    texts: Vec<Vec<String>>,
    selected: HashMap<&'a Selector, Selected>,
}

impl<'a> Nodes<'a> {
    pub(crate) fn new(document: &'a Document, network: &'a Network) -> Self {
        let owner = |node| owner(node, network).map(|user| user.id);
        let owners: Vec<_> = network.nodes.iter().map(owner).collect();
        let mut devices: HashMap<u64, Vec<usize>> = HashMap::new();
        for (index, owner) in owners.iter().enumerate() {
            if let Some(owner) = owner {
                devices.entry(*owner).or_default().push(index);
            }
        }
        let texts = |node: &Node| node.addresses.iter().map(ToString::to_string).collect();
        let texts = network.nodes.iter().map(texts).collect();
        Self { network, document, owners, devices, texts, selected: HashMap::new() }
    }

    /// The nodes that a selector of the policy selects.
    pub(crate) fn selected(&mut self, selector: &'a Selector) -> Selected {
        let Self { network, document, .. } = *self;
        let find = || Selected(select(selector, network, document).collect());
        self.selected.entry(selector).or_insert_with(find).clone()
    }

    /// The number of the person to whom a node belongs.
    pub(crate) fn owner(&self, index: usize) -> Option<u64> {
        self.owners.get(index).copied().flatten()
    }

    /// The devices of the person to whom a node belongs, by their indices; none if it belongs to nobody.
    pub(crate) fn devices_of_owner(&self, index: usize) -> &[usize] {
        let devices = self.owner(index).and_then(|owner| self.devices.get(&owner));
        devices.map_or(&[], Vec::as_slice)
    }

    /// The devices of each person who has any, by their indices.
    pub(crate) fn devices(&self) -> impl Iterator<Item = &Vec<usize>> {
        self.devices.values()
    }

    /// The addresses of a node.
    pub(crate) fn texts(&self, index: usize) -> &[String] {
        self.texts.get(index).map_or(&[], Vec::as_slice)
    }

    /// The addresses of selectors that are sources, each with the nodes that it selects.
    pub(crate) fn addresses<'s>(
        &self,
        selectors: impl IntoIterator<Item = (&'s Selector, &'s [usize])>,
    ) -> Vec<String> {
        let mut ips = BTreeSet::new();
        for (selector, selected) in selectors {
            match selector {
                Selector::Everyone => return vec!["*".to_owned()],
                Selector::Prefix(prefix) => {
                    ips.insert(print(prefix));
                }
                Selector::Internet => ips.extend(INTERNET.map(str::to_owned)),
                Selector::Any => {
                    ips.extend(overlay());
                    ips.extend(self.network.nodes.iter().flat_map(Node::subnets).map(print));
                }
                Selector::Member
                | Selector::Tagged
                | Selector::SelfDevices
                | Selector::NonRoot
                | Selector::Group(_)
                | Selector::Tag(_)
                | Selector::User(_)
                | Selector::Domain(_) => {
                    ips.extend(selected.iter().flat_map(|index| self.texts(*index)).cloned());
                }
            }
        }
        ips.into_iter().collect()
    }

    /// The addresses of one selector that is not of the policy's rules.
    pub(crate) fn addresses_of(&self, selector: &Selector) -> Vec<String> {
        let selected: Vec<_> = select(selector, self.network, self.document).collect();
        self.addresses([(selector, selected.as_slice())])
    }
}

fn select<'s>(
    selector: &'s Selector,
    network: &'s Network,
    document: &'s Document,
) -> impl Iterator<Item = usize> + 's {
    let nodes = network.nodes.iter().enumerate();
    nodes.filter(|(_, node)| selector.selects(node, network, document)).map(|(index, _)| index)
}

/// The mesh without the range of `ChromeOS`, as Headscale writes it.
pub(crate) fn overlay() -> impl Iterator<Item = String> {
    let v4 = mesh::v4_without(&[mesh::CHROMEOS_NET]).into_iter();
    v4.map(|(first, last)| format!("{first}-{last}")).chain([mesh::V6.to_string()])
}
