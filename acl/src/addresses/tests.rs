#![allow(clippy::unwrap_used, reason = "nothing to do but fail")]

use proptest::prelude::*;

use super::*;

fn set(texts: &[&str]) -> AddressSet {
    texts.iter().flat_map(|text| spans(text)).collect()
}

#[test]
fn ranges_that_touch_are_one() {
    let texts = ["10.0.0.0/25", "10.0.0.128-10.0.0.255", "10.0.0.7", "fd00::/64"];
    let printed: Vec<_> = set(&texts).spans().iter().map(ToString::to_string).collect();
    assert_eq!(printed, ["10.0.0.0/24", "fd00::/64"]);
    assert_eq!(set(&["10.0.0.1", "10.0.0.2"]).spans()[0].to_string(), "10.0.0.1-10.0.0.2");
    assert_eq!(set(&["*"]), set(&["0.0.0.0/0", "::/0"]));
    assert!(set(&["", "-", "10.0.0.9-10.0.0.1", "10.0.0.1-::1", "lan"]).is_empty());
}

/// Small addresses of both families, so that ranges meet; and the last ones, where nothing may overflow.
fn span() -> impl Strategy<Value = Span> {
    (any::<bool>(), any::<bool>(), 0..12_u128, 0..12_u128).prop_map(|(v6, high, a, b)| {
        let end = if v6 { u128::MAX } else { u128::from(u32::MAX) };
        let of = |value: u128| if high { end - value } else { value };
        Span { v6, first: of(a).min(of(b)), last: of(a).max(of(b)) }
    })
}

proptest! {
    #[test]
    fn a_set_without_another_has_what_only_the_first_has(
        a in prop::collection::vec(span(), 0..6),
        b in prop::collection::vec(span(), 0..6),
        point in span(),
    ) {
        let point = Span { last: point.first, ..point };
        let in_any = |spans: &[Span]| spans.iter().any(|span| span.holds(&point));
        let (first, second): (AddressSet, AddressSet) =
            (a.iter().copied().collect(), b.iter().copied().collect());
        prop_assert_eq!(first.holds(&point), in_any(&a));
        prop_assert_eq!(first.overlaps(&point), in_any(&a));
        let left = first.without(&second);
        prop_assert_eq!(left.holds(&point), in_any(&a) && !in_any(&b));
        prop_assert_eq!(&left, &left.spans().iter().copied().collect());
        prop_assert!(first.without(&first).is_empty());
    }
}
