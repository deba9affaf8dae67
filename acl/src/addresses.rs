//! Sets of addresses: sorted ranges that do not touch.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

/// A range of addresses of one family, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    v6: bool,
    first: u128,
    last: u128,
}

impl Span {
    /// Every address of a family.
    fn whole(v6: bool) -> Self {
        let last = if v6 { u128::MAX } else { u128::from(u32::MAX) };
        Self { v6, first: 0, last }
    }

    /// The range between two addresses of one family.
    #[must_use]
    pub fn between(first: IpAddr, last: IpAddr) -> Option<Self> {
        let span = Self { v6: first.is_ipv6(), first: bits(first), last: bits(last) };
        (first.is_ipv4() == last.is_ipv4() && span.first <= span.last).then_some(span)
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.v6 == other.v6 && self.first <= other.last && other.first <= self.last
    }

    pub(crate) fn common(&self, other: &Self) -> Option<Self> {
        let (first, last) = (self.first.max(other.first), self.last.min(other.last));
        self.overlaps(other).then_some(Self { v6: self.v6, first, last })
    }

    pub(crate) fn holds(&self, other: &Self) -> bool {
        self.v6 == other.v6 && self.first <= other.first && other.last <= self.last
    }

    /// Whether `next` begins right after it.
    pub(crate) fn meets(&self, next: &Self) -> bool {
        self.v6 == next.v6 && self.last.checked_add(1) == Some(next.first)
    }

    /// The union with a range that it meets or overlaps.
    pub(crate) fn with(self, next: Self) -> Self {
        Self { last: next.last.max(self.last), ..self }
    }

    /// The fewest prefixes that cover it exactly.
    pub(crate) fn prefixes(&self) -> Vec<Self> {
        match (address(self.v6, self.first), address(self.v6, self.last)) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Ipv4Subnets::new(first, last, 0).map(|net| IpNet::from(net).into()).collect()
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                Ipv6Subnets::new(first, last, 0).map(|net| IpNet::from(net).into()).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl From<IpNet> for Span {
    fn from(net: IpNet) -> Self {
        Self { v6: net.addr().is_ipv6(), first: bits(net.network()), last: bits(net.broadcast()) }
    }
}

impl From<IpAddr> for Span {
    fn from(address: IpAddr) -> Self {
        Self { v6: address.is_ipv6(), first: bits(address), last: bits(address) }
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, last) = (address(self.v6, self.first), address(self.v6, self.last));
        if first == last {
            return write!(f, "{first}");
        }
        let most = if self.v6 { 128 } else { 32 };
        let prefix = (0..most).find_map(|len| {
            let net = IpNet::new(first, len).ok()?;
            (net.network() == first && net.broadcast() == last).then_some(net)
        });
        match prefix {
            Some(prefix) => write!(f, "{prefix}"),
            None => write!(f, "{first}-{last}"),
        }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address(v6: bool, bits: u128) -> IpAddr {
    match u32::try_from(bits) {
        Ok(bits) if !v6 => Ipv4Addr::from_bits(bits).into(),
        Ok(_) | Err(_) => Ipv6Addr::from_bits(bits).into(),
    }
}

/// Reads an address, a prefix, a range or `*` of a filter; anything else is empty.
pub(crate) fn spans(text: &str) -> Vec<Span> {
    if text == "*" {
        return vec![Span::whole(false), Span::whole(true)];
    }
    if let Some((first, last)) = text.split_once('-') {
        let ends = first.parse().ok().zip(last.parse().ok());
        return ends.and_then(|(first, last)| Span::between(first, last)).into_iter().collect();
    }
    prefix(text).map(Span::from).into_iter().collect()
}

/// Cuts ranges where any of them begins or ends, so that each cell lies wholly inside or outside of each range.
pub(crate) fn cells(spans: impl IntoIterator<Item = Span>) -> Vec<Span> {
    let mut cuts = BTreeSet::new();
    for span in spans {
        cuts.insert((span.v6, span.first));
        if span.last < Span::whole(span.v6).last {
            cuts.insert((span.v6, span.last + 1));
        }
    }
    let ends = cuts.iter().skip(1).map(Some).chain([None]);
    let cell = |(&(v6, first), next): (&(bool, u128), Option<&(bool, u128)>)| {
        let next = next.filter(|next| next.0 == v6);
        Span { v6, first, last: next.map_or(Span::whole(v6).last, |next| next.1 - 1) }
    };
    cuts.iter().zip(ends).map(cell).collect()
}

/// A set of addresses of both families. Sets with the same addresses are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressSet(Vec<Span>);

impl AddressSet {
    /// The addresses of filter entries.
    #[must_use]
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a String>) -> Self {
        texts.into_iter().flat_map(|text| spans(text)).collect()
    }

    /// Its ranges, in order.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// Whether it has no address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it has all of these addresses.
    #[must_use]
    pub fn holds(&self, span: &Span) -> bool {
        let index = self.0.partition_point(|own| own <= span);
        let near = [index.checked_sub(1), Some(index)].into_iter().flatten();
        near.filter_map(|index| self.0.get(index)).any(|own| own.holds(span))
    }

    /// Whether it has any of these addresses.
    #[must_use]
    pub fn overlaps(&self, span: &Span) -> bool {
        self.common(span).is_some()
    }

    /// The first of these addresses that it has.
    pub(crate) fn common(&self, span: &Span) -> Option<Span> {
        let index = self.0.partition_point(|own| (own.v6, own.last) < (span.v6, span.first));
        self.0.get(index).and_then(|own| own.common(span))
    }

    /// The addresses that it has and the other has not.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        let mut others = other.0.iter().peekable();
        for span in &self.0 {
            let mut rest = Some(*span);
            while let Some(cut) = others.peek().copied() {
                let Some(now) = rest else { break };
                if !cut.overlaps(&now) {
                    if *cut < now {
                        others.next();
                        continue;
                    }
                    break;
                }
                if now.first < cut.first {
                    left.push(Span { last: cut.first - 1, ..now });
                }
                rest = (cut.last < now.last).then(|| Span { first: cut.last + 1, ..now });
                if rest.is_some() {
                    others.next();
                }
            }
            left.extend(rest);
        }
        Self(left)
    }
}

impl FromIterator<Span> for AddressSet {
    fn from_iter<I: IntoIterator<Item = Span>>(spans: I) -> Self {
        let mut all: Vec<Span> = spans.into_iter().collect();
        all.sort_unstable();
        let mut merged: Vec<Span> = Vec::with_capacity(all.len());
        for span in all {
            match merged.last_mut() {
                Some(last) if last.overlaps(&span) || last.meets(&span) => *last = last.with(span),
                Some(_) | None => merged.push(span),
            }
        }
        Self(merged)
    }
}

#[cfg(test)]
mod tests;

/// Reads an address or a prefix.
pub(crate) fn prefix(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}
