//! By which address clients are counted.

use std::{fmt, net::IpAddr};

use chassis::quota;

/// By which address clients are counted: an IPv4 address, or an IPv6 network of 64 bits, since each household and each
/// rented server has 2^64 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin(IpAddr);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Self {
        Self(quota::origin(address))
    }
}

/// An IPv4 address, or an IPv6 network with its length.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(network) => write!(f, "{network}/64"),
        }
    }
}
