//! A pool of addresses with reservations in it, as host-local keeps them on disk.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context, Result};

/// Reserves the first `count` addresses of `network`.0.0/15 after the gateway's.
pub(crate) fn fill(folder: &Path, network: &str, count: u32) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let gateway: Ipv4Addr = format!("{network}.0.1").parse()?;
    let mut last = gateway;
    for number in 1..=count {
        last = (u32::from(gateway) + number).into();
        let owner = format!("{:064x}\r\neth0", 0xbe2c_0000_0000_u64 + u64::from(number));
        fs::write(folder.join(last.to_string()), owner)?;
    }
    fs::write(folder.join("last_reserved_ip.0"), last.to_string())?;
    fs::write(folder.join("lock"), "")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_pool_has_a_file_for_each_reservation_and_the_last_one_noted() {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), "10.100", 300).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 302);
        assert_eq!(
            fs::read_to_string(folder.path().join("last_reserved_ip.0")).unwrap(),
            "10.100.1.45"
        );
        let owner = fs::read_to_string(folder.path().join("10.100.0.2")).unwrap();
        assert!(
            owner.len() == 64 + 6 && owner.ends_with("\r\neth0"),
            "{owner:?}"
        );
    }
}
