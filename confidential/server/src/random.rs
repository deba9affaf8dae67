//! Random choices.

/// Puts items into a random order. Without random bytes of the system they stay in theirs.
pub(crate) fn shuffle<T>(items: &mut [T]) {
    for left in (1..items.len()).rev() {
        let mut bytes = [0; 8];
        if getrandom::fill(&mut bytes).is_err() {
            return;
        }
        // Of 2^64 numbers those left over are too few to tell.
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
