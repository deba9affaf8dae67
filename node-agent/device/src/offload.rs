//! Offloads: allowed ones, and those in force.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

/// An offload of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Super-packets of TCP over IPv4 on the TUN, both ways.
    Tso4,
    /// The same over IPv6.
    Tso6,
    /// Super-packets of UDP on the TUN, both ways (Linux 6.2).
    Uso,
    /// Datagrams of one size and destination are sent as one (`UDP_SEGMENT`, Linux 4.18).
    UdpSegment,
    /// Datagrams of one size and source are received as one (`UDP_GRO`, Linux 5.0).
    UdpGro,
}

impl Feature {
    /// All features, in display order.
    pub const ALL: [Self; 5] = [Self::Tso4, Self::Tso6, Self::Uso, Self::UdpSegment, Self::UdpGro];

    /// Its name, in settings and in the status.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tso4 => "tso4",
            Self::Tso6 => "tso6",
            Self::Uso => "uso",
            Self::UdpSegment => "udp_segment",
            Self::UdpGro => "udp_gro",
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload(u8);

impl Offload {
    /// All that the kernel supports.
    pub const AUTO: Self = Self(0b1_1111);
    /// None.
    pub const OFF: Self = Self(0);

    /// Whether `feature` is in the set.
    #[must_use]
    pub fn has(self, feature: Feature) -> bool {
        self.0 & feature.bit() != 0
    }

    /// The names of the features in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Feature::ALL.into_iter().filter(move |feature| self.has(*feature)).map(Feature::name)
    }
}

impl FromIterator<Feature> for Offload {
    fn from_iter<I: IntoIterator<Item = Feature>>(features: I) -> Self {
        Self(features.into_iter().fold(0, |bits, feature| bits | feature.bit()))
    }
}

/// Longest pause of a feature.
pub(crate) const PAUSE: Duration = Duration::from_secs(60);

/// The offloads in force: allowed ones, without those that the kernel refused.
pub(crate) struct OffloadState {
    on: AtomicU8,
    paused: AtomicU8,
    /// Features whose refusal was logged.
    logged: AtomicU8,
}

impl OffloadState {
    pub(crate) fn new(allowed: Offload) -> Self {
        Self { on: AtomicU8::new(allowed.0), paused: AtomicU8::new(0), logged: AtomicU8::new(0) }
    }

    pub(crate) fn in_force(&self) -> Offload {
        Offload(self.on.load(Ordering::Relaxed) & !self.paused.load(Ordering::Relaxed))
    }

    pub(crate) fn has(&self, feature: Feature) -> bool {
        self.in_force().has(feature)
    }

    /// Disables a feature that the kernel refused; logged once.
    pub(crate) fn switch_off(&self, feature: Feature, error: &std::io::Error) {
        if self.on.fetch_and(!feature.bit(), Ordering::Relaxed) & feature.bit() != 0 {
            let name = feature.name();
            tracing::info!(%error, "the kernel does not support the offload {name}: continuing without it, slower");
        }
    }

    /// Logs the first refusal of a super-packet.
    pub(crate) fn log_refused(&self, feature: Feature, error: &std::io::Error) {
        if self.logged.fetch_or(feature.bit(), Ordering::Relaxed) & feature.bit() == 0 {
            let name = feature.name();
            tracing::info!(%error, "the kernel refused a super-packet ({name}): its packets are written one by one");
        }
    }

    /// Stops using a feature until [`Self::resume`].
    pub(crate) fn pause(&self, feature: Feature) {
        self.paused.fetch_or(feature.bit(), Ordering::Relaxed);
    }

    /// Ends all pauses; call it every [`PAUSE`].
    pub(crate) fn resume(&self) {
        self.paused.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_off_alone() {
        let switches = OffloadState::new(Offload::AUTO);
        assert_eq!(Offload::AUTO.names().count(), Feature::ALL.len());
        switches.switch_off(Feature::Uso, &std::io::ErrorKind::Unsupported.into());
        let left: Vec<_> = switches.in_force().names().collect();
        assert_eq!(left, ["tso4", "tso6", "udp_segment", "udp_gro"]);
        assert_eq!(Offload::from_iter([Feature::Tso6]).names().collect::<Vec<_>>(), ["tso6"]);
        assert_eq!(Offload::OFF.names().next(), None);
    }

    #[test]
    fn what_is_paused_comes_back_and_what_is_off_does_not() {
        let switches = OffloadState::new(Offload::AUTO);
        switches.switch_off(Feature::Uso, &std::io::ErrorKind::Unsupported.into());
        switches.pause(Feature::Tso4);
        assert!(!switches.has(Feature::Tso4) && switches.has(Feature::Tso6));
        switches.resume();
        assert!(switches.has(Feature::Tso4) && !switches.has(Feature::Uso));
    }
}
