//! WireGuard by the kernel, told by generic netlink (`include/uapi/linux/wireguard.h`).

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP};
use netlink_packet_generic::{
    GenlFamily as _, GenlMessage,
    ctrl::{GenlCtrl, GenlCtrlCmd, nlas::GenlCtrlAttrs},
};
use netlink_packet_wireguard::{
    WireguardAddressFamily, WireguardAllowedIp, WireguardAllowedIpAttr, WireguardAttribute,
    WireguardCmd, WireguardMessage, WireguardPeer, WireguardPeerAttribute, WireguardPeerFlags,
};
use netlink_sys::protocols::NETLINK_GENERIC;
use rtnetlink::{Handle, LinkWireguard};

use super::peer::{Peer, PeerState};
use crate::{netlink::ask, outside::MARK};

/// Makes the interface; an error means that this kernel has no WireGuard.
pub(super) async fn create(handle: &Handle, interface: &str) -> Result<(), rtnetlink::Error> {
    handle.link().add(LinkWireguard::new(interface).build()).execute().await
}

/// Sets key and port, with the mark of all that leaves this machine outside the tunnel.
pub(super) fn configure(interface: &str, key: &[u8; 32], port: u16) -> io::Result<()> {
    set(
        interface,
        vec![
            WireguardAttribute::PrivateKey(*key),
            WireguardAttribute::ListenPort(port),
            WireguardAttribute::Fwmark(MARK),
        ],
    )
}

/// Removes the devices that are gone, with their sessions, then sets the new and the changed ones: one message each, since all
/// together could be too long for one.
pub(super) fn set_peers(interface: &str, before: &[Peer], now: &[Peer]) -> io::Result<()> {
    let is_kept = |peer: &Peer| now.iter().any(|other| other.key == peer.key);
    for gone in before.iter().filter(|peer| !is_kept(peer)) {
        let flags = WireguardPeerAttribute::Flags(WireguardPeerFlags::RemoveMe);
        set_peer(interface, vec![WireguardPeerAttribute::PublicKey(gone.key), flags])?;
    }
    for peer in now.iter().filter(|peer| !before.contains(peer)) {
        set_peer(
            interface,
            vec![
                WireguardPeerAttribute::PublicKey(peer.key),
                WireguardPeerAttribute::Flags(WireguardPeerFlags::ReplaceAllowedIps),
                WireguardPeerAttribute::AllowedIps(peer.addresses.iter().map(allowed).collect()),
            ],
        )?;
    }
    Ok(())
}

/// What the kernel knows of each device.
pub(super) fn states(interface: &str) -> io::Result<HashMap<[u8; 32], PeerState>> {
    let request = message(WireguardCmd::GetDevice, interface, Vec::new())?;
    let answers = ask(NETLINK_GENERIC, request, NLM_F_DUMP)?;
    let attributes = answers.into_iter().flat_map(|answer| answer.payload.attributes);
    let peers = attributes.filter_map(|attribute| {
        if let WireguardAttribute::Peers(peers) = attribute { Some(peers) } else { None }
    });
    let mut states = HashMap::new();
    for (key, state) in peers.flatten().filter_map(|peer| state(&peer)) {
        // A second part of the same peer has nothing but addresses.
        states.entry(key).or_insert(state);
    }
    Ok(states)
}

#[allow(clippy::wildcard_enum_match_arm, reason = "the library adds attributes as the kernel does")]
fn state(peer: &WireguardPeer) -> Option<([u8; 32], PeerState)> {
    let (mut key, mut state) = (None, PeerState::default());
    for attribute in &peer.0 {
        match attribute {
            WireguardPeerAttribute::PublicKey(found) => key = Some(*found),
            WireguardPeerAttribute::Endpoint(address) => state.endpoint = Some(canonical(*address)),
            WireguardPeerAttribute::LastHandshake(at) if at.seconds > 0 => {
                let since = Duration::from_secs(at.seconds.unsigned_abs());
                state.last_handshake = SystemTime::UNIX_EPOCH.checked_add(since);
            }
            WireguardPeerAttribute::RxBytes(bytes) => state.received = *bytes,
            WireguardPeerAttribute::TxBytes(bytes) => state.sent = *bytes,
            _ => {}
        }
    }
    Some((key?, state))
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn allowed(address: &IpAddr) -> WireguardAllowedIp {
    let (family, bits) = match address {
        IpAddr::V4(_) => (WireguardAddressFamily::Ipv4, 32),
        IpAddr::V6(_) => (WireguardAddressFamily::Ipv6, 128),
    };
    WireguardAllowedIp(vec![
        WireguardAllowedIpAttr::Family(family),
        WireguardAllowedIpAttr::IpAddr(*address),
        WireguardAllowedIpAttr::Cidr(bits),
    ])
}

fn set_peer(interface: &str, attributes: Vec<WireguardPeerAttribute>) -> io::Result<()> {
    set(interface, vec![WireguardAttribute::Peers(vec![WireguardPeer(attributes)])])
}

fn set(interface: &str, attributes: Vec<WireguardAttribute>) -> io::Result<()> {
    let request = message(WireguardCmd::SetDevice, interface, attributes)?;
    ask(NETLINK_GENERIC, request, NLM_F_ACK).map(drop)
}

fn message(
    cmd: WireguardCmd,
    interface: &str,
    mut attributes: Vec<WireguardAttribute>,
) -> io::Result<GenlMessage<WireguardMessage>> {
    attributes.insert(0, WireguardAttribute::IfName(interface.to_owned()));
    let mut message = GenlMessage::from_payload(WireguardMessage { cmd, attributes });
    message.set_resolved_family_id(family()?);
    Ok(message)
}

/// The number that this kernel gave the family `wireguard`.
fn family() -> io::Result<u16> {
    let name = GenlCtrlAttrs::FamilyName(WireguardMessage::family_name().to_owned());
    let request = GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: vec![name] };
    let answers = ask(NETLINK_GENERIC, GenlMessage::from_payload(request), NLM_F_ACK)?;
    let mut found = answers.into_iter().flat_map(|answer| answer.payload.nlas);
    let number = found.find_map(|attribute| {
        if let GenlCtrlAttrs::FamilyId(number) = attribute { Some(number) } else { None }
    });
    number.ok_or_else(|| io::ErrorKind::NotFound.into())
}
