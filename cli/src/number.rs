//! Numbers of the command line.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use messages::{Message, message};

/// Parses a number of this range.
pub(crate) fn within<N>(
    range: RangeInclusive<N>,
) -> impl Fn(&str) -> Result<N, Message> + Clone + Send + Sync + 'static
where
    N: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| message!("not-in-range", first = range.start(), last = range.end()))
    }
}
