//! The word that was probably meant.

/// The one of `known` that differs from `word` by at most two letters (one in short words, none in those of two), or by
/// upper and lower case alone. Of several the nearest, and of these the first.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = word.to_lowercase();
    let limit = match word.chars().count() {
        0..=2 => 0,
        3..=4 => 1,
        _ => 2,
    };
    let near = |it: &&str| {
        let distance = distance(&lower, &it.to_lowercase());
        (distance <= limit).then_some(distance)
    };
    let candidates = known.into_iter().filter(|it| *it != word);
    let measured = candidates.filter_map(|it| Some((near(&it)?, it)));
    measured
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, it)| it)
}

/// How many letters have to be added, removed, replaced, or exchanged with their neighbour.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    for (row, a) in one.iter().enumerate() {
        let mut line = vec![row + 1];
        for (column, b) in other.iter().enumerate() {
            let replaced = last[column] + usize::from(a != b);
            let mut least = replaced.min(last[column + 1] + 1).min(line[column] + 1);
            let exchanged = row > 0 && column > 0 && one[row - 1] == *b && other[column - 1] == *a;
            if exchanged {
                least = least.min(before_last[column - 1] + 1);
            }
            line.push(least);
        }
        before_last = std::mem::replace(&mut last, line);
    }
    last[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_found_and_what_is_far_is_not() {
        let known = ["bridge", "isGateway", "mtu", "vlan"];
        for (word, meant) in [
            ("brigde", Some("bridge")),
            ("isgateway", Some("isGateway")),
            ("isGatway", Some("isGateway")),
            ("mut", Some("mtu")),
            ("vlanId", Some("vlan")),
            ("master", None),
            ("m", None),
            ("mtu", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }
}
