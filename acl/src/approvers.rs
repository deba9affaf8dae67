//! Routes that the policy approves by itself: `autoApprovers`.

use ipnet::IpNet;

use crate::{
    Network, Node,
    document::Document,
    error::{Error, Problems, Word},
    selector::Selector,
};

/// The validated approvers of a document.
#[derive(Clone, Debug, Default)]
pub(crate) struct Approvers {
    /// Subnets, each with those that may route it or a part of it.
    routes: Vec<(IpNet, Vec<Selector>)>,
    /// Who may be an exit node.
    exit_node: Vec<Selector>,
}

impl Approvers {
    /// Reads them. A route that is not a prefix, and an approver that is not a known person, group or tag, is a problem and
    /// is left out.
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

    /// Whether `node` may route `route` without an administrator: the node's owner is an approver of that route or of one
    /// that contains it. For `0.0.0.0/0` and `::/0`, which make an exit node, only `exitNode` counts.
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
        Ok(_) => Err(word.wrong(format!(
            "invalid auto approver format: \"{text}\" cannot approve: name people, groups or tags"
        ))),
        Err(reason) => Err(word.wrong(reason)),
    }
}
