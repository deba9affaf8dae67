//! Random choices.

/// Shuffles items; without random bytes of the system, the order stays.
pub(crate) fn shuffle<T>(items: &mut [T]) {
    for left in (1..items.len()).rev() {
        let mut bytes = [0; 8];
        if getrandom::fill(&mut bytes).is_err() {
            return;
        }
        // The bias of 2^64 modulo a small number is negligible.
        let at = u64::from_ne_bytes(bytes) % (left as u64 + 1);
        items.swap(left, usize::try_from(at).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_first_equally_often() {
        let mut first = [0; 3];
        for _ in 0..3000 {
            let mut items = [0, 1, 2];
            shuffle(&mut items);
            first[items[0]] += 1;
        }
        // A thousand each; 200 away from it is more than seven standard deviations.
        assert!(first.iter().all(|count| (800..1200).contains(count)), "{first:?}");
    }
}
