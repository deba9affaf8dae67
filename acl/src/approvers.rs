//! Whose routes are approved by the policy itself, `autoApprovers`.

use ipnet::IpNet;

use crate::{
    Error, Network, Node, document::Document, problems::Problems, selector::Selector, spot::Word,
};

/// The approvers of a document, understood.
#[derive(Clone, Debug, Default)]
pub(crate) struct Approvers {
    /// Subnets, each with those who may route it or a part of it.
    routes: Vec<(IpNet, Vec<Selector>)>,
    /// Who may be an exit node.
    exit_node: Vec<Selector>,
}

impl Approvers {
    /// Reads them. A route that is no prefix, and an approver that is no person, group or tag that the policy names, is a
    /// problem, and left out.
    pub(crate) fn parse(document: &Document, problems: &mut Problems) -> Self {
        let mut routes = Vec::new();
        for (route, approvers) in &document.approved_routes {
            let Ok(prefix) = route.text.parse::<IpNet>() else {
                problems.add(route.wrong("a route is a prefix, such as 192.168.1.0/24"));
                continue;
            };
            routes.push((prefix.trunc(), selectors(document, approvers, problems)));
        }
        let exit_node = selectors(document, &document.approved_exits, problems);
        Self { routes, exit_node }
    }

    /// Whether `node` may route `route` without an administrator: the route itself, or one that holds it, names the node's
    /// owner. What is said of `0.0.0.0/0` and `::/0` makes nobody an exit node: `exitNode` alone does.
    pub(crate) fn approve(
        &self,
        document: &Document,
        network: &Network,
        node: &Node,
        route: &IpNet,
    ) -> bool {
        let names = |approvers: &[Selector]| {
            approvers.iter().any(|approver| approver.selects(node, network, document))
        };
        if route.prefix_len() == 0 {
            return names(&self.exit_node);
        }
        self.routes.iter().any(|(known, approvers)| known.contains(route) && names(approvers))
    }
}

fn selectors(document: &Document, words: &[Word], problems: &mut Problems) -> Vec<Selector> {
    words.iter().filter_map(|word| problems.keep(selector(document, word))).collect()
}

fn selector(document: &Document, word: &Word) -> Result<Selector, Error> {
    let text = &word.text;
    match Selector::parse(text, document) {
        Ok(
            selector @ (Selector::User(_)
            | Selector::Domain(_)
            | Selector::Group(_)
            | Selector::Tag(_)),
        ) => Ok(selector),
        Ok(
            Selector::Any
            | Selector::Everyone
            | Selector::Member
            | Selector::Tagged
            | Selector::SelfDevices
            | Selector::Internet
            | Selector::NonRoot
            | Selector::Prefix(_),
        ) => Err(word.wrong(format!(
            "invalid auto approver format: \"{text}\" cannot approve: name people, groups or tags"
        ))),
        Err(reason) => Err(word.wrong(reason)),
    }
}
