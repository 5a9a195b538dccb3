//! Comments, kept in the opaque data that nf_tables stores for its users.
//!
//! `nft` reads and writes type-length-value triples there, one byte each for type and length.

/// The longest comment in bytes that `nft` takes; longer ones are cut at a character.
pub const COMMENT_MAX: usize = 128;

/// The type of a comment in the data of tables, chains, rules and elements.
pub(super) const COMMENT: u8 = 0;
/// The type of a comment in the data of sets.
pub(super) const SET_COMMENT: u8 = 7;

/// Appends a triple.
pub(super) fn push(data: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let length = u8::try_from(value.len()).unwrap_or(u8::MAX);
    data.extend_from_slice(&[kind, length]);
    data.extend_from_slice(&value[..length.into()]);
}

/// A comment, with the NUL that `nft` expects.
pub(super) fn comment(kind: u8, text: &str) -> Vec<u8> {
    let mut value = text.as_bytes()[..text.floor_char_boundary(COMMENT_MAX)].to_vec();
    value.push(0);
    let mut data = Vec::with_capacity(value.len() + 2);
    push(&mut data, kind, &value);
    data
}

/// Finds a comment.
pub(super) fn find_comment(mut data: &[u8], wanted: u8) -> Option<String> {
    while let [kind, length, rest @ ..] = data {
        let value = rest.get(..usize::from(*length))?;
        if *kind == wanted {
            let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
            return Some(String::from_utf8_lossy(&value[..end]).into_owned());
        }
        data = &rest[usize::from(*length)..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_read_back_and_cut_at_a_character() {
        assert_eq!(
            find_comment(&comment(COMMENT, "pod 1"), COMMENT).unwrap(),
            "pod 1"
        );
        let long = "ä".repeat(100);
        let cut = find_comment(&comment(COMMENT, &long), COMMENT).unwrap();
        assert_eq!(cut, "ä".repeat(64));
        assert_eq!(find_comment(&comment(COMMENT, "x"), SET_COMMENT), None);
        assert_eq!(find_comment(&[0, 9, 1], COMMENT), None);
    }
}
