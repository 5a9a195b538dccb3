//! Hardware addresses of any length: six bytes for Ethernet, twenty for InfiniBand.

use netloom_spec::AddResult;
use std::fmt::Write as _;

/// How many bytes a hardware address may have.
const LENGTHS: [usize; 3] = [6, 8, 20];

/// Reads pairs of hexadecimal digits joined by `:` or `-`, or groups of four joined by `.`.
pub(super) fn parse(text: &str) -> Option<Vec<u8>> {
    let separator = text.chars().find(|c| !c.is_ascii_hexdigit())?;
    let digits = match separator {
        ':' | '-' => 2,
        '.' => 4,
        _ => return None,
    };
    let mut bytes = Vec::with_capacity(20);
    for group in text.split(separator) {
        if group.len() != digits || !group.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        for at in (0..digits).step_by(2) {
            bytes.push(u8::from_str_radix(&group[at..at + 2], 16).ok()?);
        }
    }
    LENGTHS.contains(&bytes.len()).then_some(bytes)
}

/// As results write it; empty for a link without one, such as CAN.
pub(super) fn text(address: &[u8]) -> String {
    let mut text = String::with_capacity(3 * address.len());
    for (at, byte) in address.iter().enumerate() {
        let colon = if at == 0 { "" } else { ":" };
        let _ = write!(text, "{colon}{byte:02x}");
    }
    text
}

/// The container's interface in a result of ADD.
pub(super) fn listed(made: &AddResult, if_name: &str) -> Option<Vec<u8>> {
    let of_pod = |sandbox: &str| !sandbox.is_empty();
    let interface = made
        .interfaces
        .iter()
        .find(|interface| interface.name == if_name && of_pod(&interface.sandbox))?;
    parse(&interface.mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_every_length_and_form_are_read_and_written_alike() {
        let long = "80:00:00:48:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0a:0b:0c";
        for (given, written) in [
            ("02:00:00:00:AB:01", "02:00:00:00:ab:01"),
            ("02-00-00-00-ab-01", "02:00:00:00:ab:01"),
            ("0200.0000.ab01", "02:00:00:00:ab:01"),
            ("02:00:00:00:00:00:00:01", "02:00:00:00:00:00:00:01"),
            (long, long),
        ] {
            assert_eq!(parse(given).map(|a| text(&a)).as_deref(), Some(written));
        }
        assert_eq!(text(&[]), "");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for bad in [
            "",
            "eth0",
            "02:00:00:00:00",
            "02:00:00:00:00:0g",
            "02:00-00:00:00:01",
            "2:00:00:00:00:01",
            "02:00:00:00:00:00:01",
            "020000000001",
            "02:00:00:00:00:01:",
            "é2:00:00:00:00:01",
            "+2:00:00:00:00:01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
