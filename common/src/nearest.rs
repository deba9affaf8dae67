//! What somebody may have meant by a name that is unknown.

/// The candidate that is nearest to a name: at most a third of the name's characters, and at least one, are added, missing,
/// replaced or swapped with their neighbour. Upper and lower case are alike; nothing is near an empty name.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let chars = name.chars().count();
    let most = (chars / 3).max(1).min(chars);
    let distances = candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&name, &candidate.to_lowercase()), candidate));
    let near = distances.filter(|(distance, _)| *distance <= most);
    near.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_and_another_name_does_not() {
        let names = ["/help", "/status", "/model", "집"];
        let find = |name| nearest(name, names);

        for (name, found) in [
            ("/hlep", Some("/help")),
            ("/modle", Some("/model")),
            ("/STATUS", Some("/status")),
            ("/statuses", Some("/status")),
            ("/stop", None),
            ("길", Some("집")),
            ("", None),
        ] {
            assert_eq!(find(name), found, "{name}");
        }
    }
}
