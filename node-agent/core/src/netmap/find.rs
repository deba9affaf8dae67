//! Finds a node by what a person calls it.

use std::net::{IpAddr, SocketAddr};

use control_protocol::map::Node;

use super::{label, map::Netmap};

/// No node, or no single one, is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindError {
    /// No node of the map has this name, address or id.
    Unknown,
    /// Several nodes have it.
    Ambiguous,
}

impl Netmap {
    /// The node, this one included, with this mesh address (a port after it is ignored), stable id, name, or full name with or
    /// without a dot at the end. Case does not matter. Names outside the network's domain do not count.
    ///
    /// # Errors
    ///
    /// [`FindError`]; an ambiguous name, also a name that is another node's id, matches nobody.
    pub fn find(&self, text: &str) -> Result<&Node, FindError> {
        let text = text.trim();
        let address =
            text.parse::<IpAddr>().or_else(|_| text.parse().map(|it: SocketAddr| it.ip()));
        let is_meant = |node: &&Node| match address {
            Ok(address) => node.addresses.iter().any(|net| net.addr() == address.to_canonical()),
            Err(_) => self.is_called(node, text),
        };
        let mut found = self.node.iter().chain(self.peers.values()).filter(is_meant);
        let node = found.next().ok_or(FindError::Unknown)?;
        if found.next().is_some() { Err(FindError::Ambiguous) } else { Ok(node) }
    }

    fn is_called(&self, node: &Node, text: &str) -> bool {
        let text = text.strip_suffix('.').unwrap_or(text);
        let host = self.network().and_then(|domain| domain.host(&node.name));
        let names = host.iter().flat_map(|host| [host.as_str(), label(host)]);
        names.chain([node.stable_id.as_str()]).any(|name| name.eq_ignore_ascii_case(text))
    }
}

#[cfg(test)]
mod tests {
    use control_protocol::map::MapResponse;
    use proptest::prelude::*;

    use super::*;

    fn node(number: i64, id: &str, name: &str) -> Node {
        let addresses = vec![format!("100.64.0.{number}/32").parse().unwrap()];
        let name = format!("{name}.");
        Node { id: number, stable_id: id.to_owned(), name, addresses, ..Node::default() }
    }

    fn map(peers: Vec<Node>) -> Netmap {
        let mut netmap = Netmap::default();
        let message = MapResponse {
            node: Some(node(1, "n1", "laptop.maru.home.arpa")),
            domain: "maru.home.arpa".to_owned(),
            peers: Some(peers),
            ..MapResponse::default()
        };
        netmap.apply_first(message).unwrap();
        netmap
    }

    #[test]
    fn a_node_is_found_by_each_of_its_names() {
        let netmap =
            map(vec![node(2, "n2", "phone.maru.home.arpa"), node(3, "n3", "tv.other.example")]);
        for text in [
            "phone",
            "Phone",
            "phone.maru.home.arpa",
            "phone.maru.home.arpa.",
            "n2",
            "100.64.0.2",
            "100.64.0.2:80",
            " phone ",
        ] {
            assert_eq!(netmap.find(text).map(|node| node.id), Ok(2), "{text}");
        }
        assert_eq!(netmap.find("laptop").map(|node| node.id), Ok(1), "this node");
        assert_eq!(netmap.find("n3").map(|node| node.id), Ok(3), "a name elsewhere leaves the id");
        for text in ["", ".", "tv", "tv.other.example", "phon", "100.64.0.9", "maru.home.arpa"] {
            assert_eq!(netmap.find(text), Err(FindError::Unknown), "{text}");
        }
    }

    #[test]
    fn an_ambiguous_name_matches_nobody() {
        let netmap = map(vec![
            node(2, "n2", "phone.maru.home.arpa"),
            node(3, "n3", "phone.kim.maru.home.arpa"),
            node(4, "n4", "n2.maru.home.arpa"),
        ]);
        assert_eq!(netmap.find("phone"), Err(FindError::Ambiguous));
        assert_eq!(netmap.find("n2"), Err(FindError::Ambiguous), "one's id is another's name");
        assert_eq!(netmap.find("phone.kim.maru.home.arpa").map(|node| node.id), Ok(3));
    }

    proptest! {
        #[test]
        fn any_text_finds_at_most_a_node(text in any::<String>()) {
            let netmap = map(vec![node(2, "n2", "phone.maru.home.arpa")]);
            let _ = netmap.find(&text);
        }
    }
}
