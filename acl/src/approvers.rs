//! Whose routes are approved by the policy itself, `autoApprovers`.

use ipnet::IpNet;

use crate::{
    Error, Network, Node,
    document::Document,
    selector::{Selector, prefix},
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
    /// Reads them.
    ///
    /// # Errors
    ///
    /// [`Error::Rule`] if a route is no prefix, or an approver is no person, group or tag that the policy names.
    pub(crate) fn parse(document: &Document) -> Result<Self, Error> {
        let mut routes = Vec::new();
        for (text, approvers) in &document.auto_approvers.routes {
            let place = format!("autoApprovers.routes[\"{text}\"]");
            let route = prefix(text).ok_or_else(|| Error::Rule {
                place: place.clone(),
                reason: "a route is a prefix, such as 192.168.1.0/24".to_owned(),
            })?;
            routes.push((route.trunc(), selectors(document, approvers, &place)?));
        }
        let exit_node =
            selectors(document, &document.auto_approvers.exit_node, "autoApprovers.exitNode")?;
        Ok(Self { routes, exit_node })
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

fn selectors(document: &Document, texts: &[String], place: &str) -> Result<Vec<Selector>, Error> {
    let read = |text: &String| match Selector::parse(text, document) {
        Ok(selector @ (Selector::User(_) | Selector::Group(_) | Selector::Tag(_))) => Ok(selector),
        Ok(
            Selector::Any
            | Selector::Member
            | Selector::Tagged
            | Selector::SelfDevices
            | Selector::Internet
            | Selector::Prefix(_),
        ) => Err(format!("\"{text}\" cannot approve: name people, groups or tags")),
        Err(reason) => Err(reason),
    };
    texts
        .iter()
        .map(|text| read(text).map_err(|reason| Error::Rule { place: place.to_owned(), reason }))
        .collect()
}
