//! Checks and cleans texts of a map that are shown or logged.

use control_protocol::map::{MapResponse, Node};

use crate::registration::showable;

/// Longest stable id, tag, or key of a gateway.
const TEXT_MAX: usize = 128;

/// Whether a peer's stable id and tags are printable ASCII. A peer with others is dropped: services identify it by them, so
/// they cannot be changed.
pub(super) fn is_valid(peer: &Node) -> bool {
    is_plain(&peer.stable_id) && peer.tags.iter().all(|tag| is_plain(tag))
}

/// Whether a text is short printable ASCII without spaces.
pub(super) fn is_plain(text: &str) -> bool {
    text.len() <= TEXT_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Removes control characters from a message, and peers with invalid ids.
pub(super) fn sanitize(response: &mut MapResponse) {
    if let Some(node) = &mut response.node {
        node.stable_id = showable(&node.stable_id);
    }
    if let Some(peers) = &mut response.peers {
        peers.retain(is_valid);
    }
    // The previous version of such a peer is outdated: it is removed.
    for peer in &response.peers_changed {
        if !is_valid(peer) {
            response.peers_removed.push(peer.id);
        }
    }
    response.peers_changed.retain(is_valid);
    for user in &mut response.user_profiles {
        user.login_name = showable(&user.login_name);
    }
    for text in response.health.iter_mut().flatten() {
        *text = showable(text);
    }
    for region in response.derp_map.iter_mut().flat_map(|map| map.regions.values_mut()) {
        region.region_name = showable(&region.region_name);
    }
}
