//! The addresses at which a peer may be reached, each with what is known of it.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use super::timing::MAX_CANDIDATES;
use crate::endpoint::is_usable;

/// Most addresses that were learned from packets.
const MAX_HEARD: usize = 8;

/// Who named an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The map.
    Map,
    /// The peer, in a call-me-maybe.
    Call,
    /// An authenticated packet came from it.
    Heard,
}

/// An address at which a peer may be reached.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) address: SocketAddr,
    pub(super) origin: Origin,
    /// When it was last pinged.
    pub(super) pinged_at: Option<Instant>,
    /// Time to its last pong; `None` without one.
    pub(super) latency: Option<Duration>,
}

/// The candidates of one peer: at most [`MAX_CANDIDATES`] of the map, as many of a call-me-maybe, and [`MAX_HEARD`] others.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidates(Vec<Candidate>);

impl Candidates {
    /// Replaces the addresses of an origin. Unusable ones and those past [`MAX_CANDIDATES`] are dropped; an address in use
    /// (`kept`) stays. Returns whether one is new.
    pub(super) fn replace(
        &mut self,
        origin: Origin,
        addresses: &[SocketAddr],
        kept: Option<SocketAddr>,
    ) -> bool {
        let named = usable(addresses);
        for candidate in &mut self.0 {
            if candidate.origin == origin && kept == Some(candidate.address) {
                candidate.origin = Origin::Heard;
            }
        }
        self.0.retain(|it| it.origin != origin || named.contains(&it.address));
        let mut is_new = false;
        for address in named {
            match self.get(address) {
                // The map's addresses are kept for longest.
                Some(known) if origin == Origin::Map => known.origin = origin,
                Some(_) => {}
                None => {
                    is_new = true;
                    self.push(address, origin);
                }
            }
        }
        self.trim(kept);
        is_new
    }

    /// Adds an address that was heard, in place of the one that was heard first; `kept` is in use and stays.
    pub(super) fn hear(&mut self, address: SocketAddr, kept: Option<SocketAddr>) {
        if !is_usable(address) || self.get(address).is_some() {
            return;
        }
        self.push(address, Origin::Heard);
        self.trim(kept);
    }

    /// Removes the oldest heard addresses beyond [`MAX_HEARD`], but not `kept`.
    fn trim(&mut self, kept: Option<SocketAddr>) {
        let heard = self.0.iter().filter(|it| it.origin == Origin::Heard).count();
        let mut surplus = heard.saturating_sub(MAX_HEARD);
        self.0.retain(|it| {
            let is_surplus = surplus > 0 && it.origin == Origin::Heard && kept != Some(it.address);
            surplus -= usize::from(is_surplus);
            !is_surplus
        });
    }

    fn push(&mut self, address: SocketAddr, origin: Origin) {
        self.0.push(Candidate { address, origin, pinged_at: None, latency: None });
    }

    /// The candidate with this address.
    pub(super) fn get(&mut self, address: SocketAddr) -> Option<&mut Candidate> {
        self.0.iter_mut().find(|it| it.address == address)
    }

    /// All candidates.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Candidate> {
        self.0.iter()
    }
}

/// The first usable addresses, each once.
pub(super) fn usable(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let mut usable = Vec::with_capacity(addresses.len().min(MAX_CANDIDATES));
    for address in addresses {
        if usable.len() < MAX_CANDIDATES && is_usable(*address) && !usable.contains(address) {
            usable.push(*address);
        }
    }
    usable
}

/// Whether an address is private (RFC 1918, RFC 3927, RFC 4193, RFC 4291): a peer that answers at one is on the same LAN.
pub(super) fn is_lan(address: SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of many maps names another address, the path moves there, and an address is heard now and then.
    #[test]
    fn candidates_stay_few_and_the_one_in_use_stays() {
        let at = |host: u16, port| SocketAddr::from(([198, 51, 100, host as u8], port));
        let (mut candidates, mut in_use) = (Candidates::default(), None);
        for host in 0..200 {
            for origin in [Origin::Map, Origin::Call] {
                let named: Vec<_> = (1..=20).map(|port| at(host, port)).collect();
                candidates.replace(origin, &named, in_use);
                in_use = named.first().copied();
            }
            if host % 50 == 0 {
                candidates.hear(at(host, 99), in_use);
                assert!(candidates.get(at(host, 99)).is_some(), "what was just heard stays");
            }
            assert!(candidates.iter().count() <= 2 * MAX_CANDIDATES + MAX_HEARD);
            assert!(in_use.is_none_or(|address| candidates.get(address).is_some()));
        }
        in_use = Some(at(250, 1));
        for host in 250..=255 {
            for port in 1..=9 {
                candidates.hear(at(host, port), in_use);
            }
        }
        assert!(candidates.get(at(250, 1)).is_some());
    }
}
