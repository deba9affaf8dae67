//! How a router translates and filters UDP, by nftables alone.
//!
//! The names are those of RFC 3489 (section 5), the terms those of RFC 4787 (sections 4 and 5): a *mapping* is the port that a
//! router gives a device's socket, a *filter* decides who may send to it. TCP is masqueraded by all that translate.

/// How a router translates and filters UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// Neither: a device has an address that everybody reaches.
    Open,
    /// One mapping for all destinations; everybody may send to it.
    FullCone,
    /// One mapping for all destinations; addresses that the device sent to may send to it.
    AddressRestricted,
    /// One mapping for all destinations; addresses and ports that the device sent to may send to it. Most routers at homes.
    PortRestricted,
    /// Another random port for each destination, which alone may send to it.
    Symmetric,
    /// No UDP passes.
    UdpBlocked,
    /// What Linux does without more rules: one mapping while its port is free, which whoever knocked first takes; nothing is
    /// filtered, so what a program on the router forwards passes.
    Masquerade,
}

/// A device's socket keeps its port and gets the same one for all destinations, unless another device has it.
///
/// The kernel chooses a port by destination; `learn` notes the first choice, and `out` repeats it.
const ONE_MAPPING: &str = "
    table ip nat {
        map outer { type ipv4_addr . inet_service : inet_service; flags dynamic; size 4096; }
        map inner { type inet_service : ipv4_addr . inet_service; flags dynamic; size 4096; }
        set taken { type inet_service; flags dynamic; size 4096; }
        chain out {
            type nat hook postrouting priority 100;
            oifname wan meta l4proto udp masquerade to : ip saddr . udp sport map @outer
            oifname wan udp sport @taken masquerade to :1024-65535 fully-random
            oifname wan masquerade
        }
        chain learn {
            type filter hook postrouting priority 110;
            oifname wan meta l4proto udp ct state new ct direction original goto note
        }
        chain note {
            meta l4proto udp update @outer { ct original ip saddr . ct original proto-src : udp sport }
            meta l4proto udp update @inner { udp sport : ct original ip saddr . ct original proto-src }
            meta l4proto udp update @taken { udp sport }
        }
    }";

const MASQUERADE: &str = "
    table ip nat {
        chain out {
            type nat hook postrouting priority 100;
            oifname wan masquerade
        }
    }";

/// Each destination has a mapping of its own.
const MANY_MAPPINGS: &str = "
    table ip nat {
        chain out {
            type nat hook postrouting priority 100;
            oifname wan meta l4proto udp masquerade fully-random
            oifname wan masquerade
        }
    }";

/// Whoever sends to a mapping reaches the device, if the filter lets them.
const REACHABLE: &str = "
    add chain ip nat in { type nat hook prerouting priority -100; }
    add rule ip nat in iifname wan meta l4proto udp dnat ip to udp dport map @inner";

/// What answers passes. What is for nobody is dropped before the kernel notes it: it would take the port from the device's
/// next packet to that destination.
const ANSWERS: &str = "
    table inet guard {
        chain input {
            type filter hook input priority 0;
            iifname wan meta l4proto udp drop
        }
        chain forward {
            type filter hook forward priority 0;
            iifname wan meta l4proto udp ct state new jump unasked
        }
        chain unasked { }
    }";

/// Besides, addresses that were sent to.
const ASKED_ADDRESSES: &str = "
    add set inet guard asked { type ipv4_addr . ipv4_addr . inet_service; flags dynamic; size 4096; }
    add rule inet guard forward oifname wan meta l4proto udp update @asked { ip daddr . ip saddr . udp sport }
    add rule inet guard unasked ip saddr . ip daddr . udp dport @asked accept";

const UNASKED_DROP: &str = "
    add rule inet guard unasked drop";

const NO_UDP: &str = "
    add rule inet guard forward meta l4proto udp drop";

impl Nat {
    /// Those that have a name.
    pub const ALL: [Self; 6] = [
        Self::Open,
        Self::FullCone,
        Self::AddressRestricted,
        Self::PortRestricted,
        Self::Symmetric,
        Self::UdpBlocked,
    ];

    /// Rules for a router whose interface `wan` leads out.
    pub(crate) fn rules(self) -> String {
        let parts: &[&str] = match self {
            Self::Open => &[],
            Self::FullCone => &[ONE_MAPPING, REACHABLE, ANSWERS],
            Self::AddressRestricted => {
                &[ONE_MAPPING, REACHABLE, ANSWERS, ASKED_ADDRESSES, UNASKED_DROP]
            }
            Self::PortRestricted => &[ONE_MAPPING, ANSWERS, UNASKED_DROP],
            Self::Symmetric => &[MANY_MAPPINGS, ANSWERS, UNASKED_DROP],
            Self::UdpBlocked => &[MANY_MAPPINGS, ANSWERS, NO_UDP],
            Self::Masquerade => &[MASQUERADE],
        };
        parts.concat()
    }
}

/// Rules for a router of an IPv6 network: nothing is translated, and UDP passes that answers.
pub(crate) fn ipv6_rules() -> String {
    [ANSWERS, UNASKED_DROP].concat()
}
