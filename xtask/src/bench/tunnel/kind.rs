//! What is measured.

use std::fmt;

use clap::ValueEnum;

use super::bed::UnderlayKind;

/// A way from one machine to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Kind {
    /// The cable itself
    Veth,
    /// Our agent
    Maru,
    /// WireGuard's own program in Go
    WireguardGo,
    /// Tailscale's agent, in our network
    Tailscaled,
    /// Mullvad's WireGuard in Rust; only if named
    Gotatun,
    /// Cloudflare's WireGuard in Rust; only if named
    Boringtun,
    /// A device that has only WireGuard, through the home, compared with our agents' direct path; only if named
    WireguardDevice,
}

impl Kind {
    /// The cable, which all are compared with, and those named; without a name, the ones that people would take instead
    /// of ours.
    pub(super) fn chosen(named: &[Self]) -> Vec<Self> {
        let mut chosen = match named {
            [] => vec![Self::Maru, Self::WireguardGo, Self::Tailscaled],
            named => named.to_vec(),
        };
        if chosen.contains(&Self::WireguardDevice) {
            chosen.push(Self::Maru);
        }
        chosen.push(Self::Veth);
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }
}

impl Kind {
    /// What its packets go over, one after the other.
    pub(super) fn outsides(self) -> &'static [UnderlayKind] {
        match self {
            Self::Maru | Self::Tailscaled => {
                &[UnderlayKind::Ipv4, UnderlayKind::Ipv6, UnderlayKind::Relay]
            }
            Self::WireguardDevice => &[UnderlayKind::Ipv4],
            Self::Veth | Self::WireguardGo | Self::Gotatun | Self::Boringtun => {
                &[UnderlayKind::Ipv4, UnderlayKind::Ipv6]
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Veth => "veth",
            Self::Maru => "maru",
            Self::WireguardGo => "wireguard-go",
            Self::Tailscaled => "tailscaled",
            Self::Gotatun => "gotatun",
            Self::Boringtun => "boringtun",
            Self::WireguardDevice => "wireguard-device",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cable_is_always_measured_and_first() {
        assert_eq!(Kind::chosen(&[])[0], Kind::Veth);
        assert_eq!(Kind::chosen(&[Kind::Maru, Kind::Maru]), [Kind::Veth, Kind::Maru]);
        assert_eq!(Kind::chosen(&[Kind::Veth]), [Kind::Veth]);
        let device = [Kind::Veth, Kind::Maru, Kind::WireguardDevice];
        assert_eq!(Kind::chosen(&[Kind::WireguardDevice]), device);
    }

    #[test]
    fn what_takes_long_to_build_is_measured_only_if_named() {
        let usual = Kind::chosen(&[]);
        assert!(!usual.contains(&Kind::Gotatun) && !usual.contains(&Kind::Boringtun));
    }

    #[test]
    fn a_peer_is_told_by_the_name_that_it_is_shown_under() {
        for kind in Kind::value_variants() {
            assert_eq!(Kind::from_str(&kind.to_string(), false).as_ref(), Ok(kind));
        }
    }
}
