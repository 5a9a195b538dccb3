//! Which part of the network a new host asks for.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{NetworkConfig, Pool, Subnets};

/// Free parts for a host, one of each family; `None` if a family has none left.
///
/// `taken`: what the others have, whatever its length. `random` spreads hosts that join together over
/// the network, so that hardly two of them ask for one part.
#[must_use]
pub fn choose(config: &NetworkConfig, taken: &[Subnets], random: u64) -> Option<Subnets> {
    let free = |pool: &Option<Pool>| match pool {
        None => Some(None),
        Some(pool) => free_part(pool, taken, random).map(Some),
    };
    let (v4, v6) = (free(&config.v4)?, free(&config.v6)?);
    let v4 = v4.and_then(|base| match (base, &config.v4) {
        (IpAddr::V4(ip), Some(pool)) => Ipv4Net::new(ip, pool.subnet_len).ok(),
        _ => None,
    });
    let v6 = v6.and_then(|base| match (base, &config.v6) {
        (IpAddr::V6(ip), Some(pool)) => Ipv6Net::new(ip, pool.subnet_len).ok(),
        _ => None,
    });
    Some(Subnets { v4, v6 })
}

fn free_part(pool: &Pool, taken: &[Subnets], random: u64) -> Option<IpAddr> {
    let (first, last) = (pool.number(pool.min), pool.number(pool.max));
    let count = last - first + 1;
    let parts: BTreeSet<u128> = taken
        .iter()
        .filter_map(|subnets| subnets.of_family(pool.min))
        .flat_map(|net| covered(pool, net, first, last))
        .collect();
    let start = u128::from(random) % count;
    // One more than are taken is enough to find a free one.
    let tries = count.min(parts.len() as u128 + 1);
    (0..tries)
        .map(|step| first + (start + step) % count)
        .find(|number| !parts.contains(number))
        .map(|number| pool.base(number))
}

/// The numbers of the parts that a network lies in or covers. One that covers very many of them is no
/// host's.
fn covered(pool: &Pool, net: IpNet, first: u128, last: u128) -> Vec<u128> {
    const MOST: u128 = 1 << 16;
    if net.contains(&pool.network) {
        return (first..=last).take(MOST as usize).collect();
    }
    if !pool.network.contains(&net) {
        return Vec::new();
    }
    let begin = pool.number(net.trunc().addr());
    let end = pool.number(net.broadcast());
    (begin..=end.min(begin + MOST)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> NetworkConfig {
        NetworkConfig::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn every_part_is_given_once_until_there_is_none() {
        let config = config(r#"{"Network":"10.5.0.0/22","SubnetLen":26}"#);
        let mut taken = Vec::new();
        for random in 0..15 {
            let chosen = choose(&config, &taken, random * 7919).unwrap();
            assert!(
                config.allows(&chosen) && !taken.contains(&chosen),
                "{chosen}"
            );
            taken.push(chosen);
        }
        assert_eq!(
            choose(&config, &taken, 1),
            None,
            "the first of sixteen is not given"
        );
    }

    #[test]
    fn a_part_that_somebody_covers_with_another_length_is_not_free() {
        let config = config(r#"{"Network":"10.5.0.0/22","SubnetLen":24}"#);
        let others = ["10.5.1.0-25", "10.5.2.0-23"].map(|key| Subnets::of_key(key).unwrap());
        assert_eq!(choose(&config, &others, 0), None);
        let others = ["10.5.1.0-25", "10.5.2.128-26"].map(|key| Subnets::of_key(key).unwrap());
        assert_eq!(choose(&config, &others, 1).unwrap().key(), "10.5.3.0-24");
    }

    #[test]
    fn both_families_are_chosen_together() {
        let config =
            config(r#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48"}"#);
        let chosen = choose(&config, &[], 254).unwrap();
        assert_eq!(chosen.key(), "10.5.255.0-24&fd00:5:0:ff::-64");
    }
}
