//! This node's place in the store: its name, and its part of the network.

use std::net::IpAddr;

use etcd_client::{Client, Compare, CompareOp, GetOptions, KeyValue, PutOptions, Txn, TxnOp};
use netloom_cluster::flannel::{self, Announcement, NetworkConfig, Subnets};
use netloom_cluster::record::NodeRecord;
use netloom_cluster::{NodeName, key};

use super::endpoint::within;
use super::{Trouble, Wish, WishedPlace, config_key, subnet_keys};
use crate::identity::random;

/// How often a part that somebody else was faster with is followed by another.
const TRIES: u32 = 100;

/// Takes the node's name, unless another machine lives under it.
pub(super) async fn name(client: &mut Client, wish: &Wish, alive: i64) -> Result<(), Trouble> {
    let key = key::node(&wish.name);
    let value = wish.record.to_json();
    loop {
        let found = within("read the node", client.get(key.clone(), None)).await?;
        let compare = match found.kvs().first() {
            None => Compare::version(key.clone(), CompareOp::Equal, 0),
            Some(kv) => {
                judge_name(client, kv, &wish.name, &wish.record.machine).await?;
                if kv.value() == value {
                    break;
                }
                Compare::mod_revision(key.clone(), CompareOp::Equal, kv.mod_revision())
            }
        };
        let put = TxnOp::put(key.clone(), value.clone(), None);
        let txn = Txn::new().when([compare]).and_then([put]);
        if within("write the node", client.txn(txn)).await?.succeeded() {
            break;
        }
    }
    let lives = netloom_cluster::record::AliveRecord::new(&wish.instance).to_json();
    let options = PutOptions::new().with_lease(alive);
    within(
        "say that the node lives",
        client.put(key::alive(&wish.name), lives, Some(options)),
    )
    .await?;
    Ok(())
}

async fn judge_name(
    client: &mut Client,
    kv: &KeyValue,
    name: &NodeName,
    machine: &str,
) -> Result<(), Trouble> {
    let Ok(other) = NodeRecord::parse(kv.value()) else {
        note!("the record of node {name} cannot be read, and is written anew");
        return Ok(());
    };
    if other.machine == machine {
        return Ok(());
    }
    let lives = within("ask whether it lives", client.get(key::alive(name), None)).await?;
    if lives.kvs().is_empty() {
        note!(
            "node {name} was another machine, {}, whose daemon is gone",
            other.machine
        );
        return Ok(());
    }
    Err(Trouble::Refused(format!(
        "the node's name {name} is that of another machine, {}, whose daemon runs: --name gives this \
         one another",
        other.machine
    )))
}

/// Takes a part of the network: the one that this node had, or was given by flannel, else a free one.
/// Returns it with its lease.
pub(super) async fn subnet(
    client: &mut Client,
    prefix: &str,
    wish: &Wish,
    place: &WishedPlace,
) -> Result<(Subnets, i64), Trouble> {
    let config = &place.config;
    let claim = Claim {
        prefix,
        wish,
        place,
        value: place.announcement.to_json(),
    };
    if let Some(preferred) = place.preferred.filter(|subnets| config.allows(subnets)) {
        return claim.again(client, preferred).await;
    }
    for _ in 0..TRIES {
        let others = claim.others(client).await?;
        if let Some((subnets, kv)) = claim.own_among(client, &others, config).await? {
            return claim.take_over(client, subnets, &kv).await;
        }
        let taken: Vec<Subnets> = others.iter().map(|(subnets, _)| *subnets).collect();
        let Some(free) = flannel::choose(config, &taken, random()) else {
            let count = taken.len();
            return Err(Trouble::Refused(format!(
                "{} gives no host a part any more, {count} have one: a larger network, or a longer \
                 SubnetLen, is needed",
                config_key(prefix)
            )));
        };
        if let Some(lease) = claim.create(client, free).await? {
            return Ok((free, lease));
        }
    }
    Err(Trouble::Gone(format!(
        "{TRIES} times somebody else was faster"
    )))
}

struct Claim<'w> {
    prefix: &'w str,
    wish: &'w Wish,
    place: &'w WishedPlace,
    value: String,
}

impl Claim<'_> {
    fn key(&self, subnets: Subnets) -> String {
        format!("{}{}", subnet_keys(self.prefix), subnets.key())
    }

    /// The part that this node had before.
    async fn again(
        &self,
        client: &mut Client,
        subnets: Subnets,
    ) -> Result<(Subnets, i64), Trouble> {
        let key = self.key(subnets);
        for _ in 0..TRIES {
            let found = within("read the own part", client.get(key.clone(), None)).await?;
            let Some(kv) = found.kvs().first() else {
                match self.create(client, subnets).await? {
                    Some(lease) => return Ok((subnets, lease)),
                    None => continue,
                }
            };
            let said = Announcement::parse(kv.value()).ok();
            let ours = kv.value() == self.place.announced.as_bytes()
                || kv.value() == self.value.as_bytes()
                || said.as_ref().is_some_and(|said| self.is_own(said));
            if ours {
                return self.take_over(client, subnets, kv).await;
            }
            let who = said.and_then(|said| {
                said.public_v4
                    .map(IpAddr::V4)
                    .or(said.public_v6.map(IpAddr::V6))
            });
            let who = who.map_or("somebody".to_owned(), |ip| ip.to_string());
            return Err(Trouble::Refused(format!(
                "{key}, this node's part of the network, was taken by {who}: pods of both would have the \
                 same addresses. Free it there, or give this node another one: netloom node uninstall \
                 --forget"
            )));
        }
        Err(Trouble::Gone(format!("{key} does not stay as it is read")))
    }

    fn is_own(&self, said: &Announcement) -> bool {
        let own = &self.place.announcement;
        let v4 = said.public_v4.is_some() && said.public_v4 == own.public_v4;
        let v6 = said.public_v6.is_some() && said.public_v6 == own.public_v6;
        v4 || v6
    }

    /// All parts that hosts have.
    async fn others(&self, client: &mut Client) -> Result<Vec<(Subnets, KeyValue)>, Trouble> {
        let keys = subnet_keys(self.prefix);
        let options = GetOptions::new().with_prefix();
        let mut found = within("list the parts", client.get(keys.clone(), Some(options))).await?;
        let of = |kv: KeyValue| {
            let key = std::str::from_utf8(kv.key()).ok()?.strip_prefix(&keys)?;
            Some((Subnets::of_key(key)?, kv))
        };
        Ok(found.take_kvs().into_iter().filter_map(of).collect())
    }

    /// A part that is announced with this host's address: its own from before, or by flannel. Unless a
    /// node of another name says that the address is its own.
    async fn own_among(
        &self,
        client: &mut Client,
        others: &[(Subnets, KeyValue)],
        config: &NetworkConfig,
    ) -> Result<Option<(Subnets, KeyValue)>, Trouble> {
        let is_own =
            |kv: &KeyValue| Announcement::parse(kv.value()).is_ok_and(|said| self.is_own(&said));
        let Some((subnets, kv)) = others.iter().find(|(_, kv)| is_own(kv)) else {
            return Ok(None);
        };
        let options = GetOptions::new().with_prefix();
        let nodes = within("list the nodes", client.get(key::nodes(), Some(options))).await?;
        for node in nodes.kvs() {
            let name = std::str::from_utf8(node.key())
                .ok()
                .and_then(key::parse_node);
            let record = NodeRecord::parse(node.value());
            let (Some(name), Ok(record)) = (name, record) else {
                continue;
            };
            self.judge_address(&name, &record)?;
        }
        Ok(config.allows(subnets).then(|| (*subnets, kv.clone())))
    }

    fn judge_address(&self, name: &NodeName, record: &NodeRecord) -> Result<(), Trouble> {
        let own = &self.place.announcement;
        let mine = [own.public_v4.map(IpAddr::V4), own.public_v6.map(IpAddr::V6)];
        let same = mine
            .into_iter()
            .flatten()
            .find(|ip| record.addresses.contains(ip));
        match same {
            Some(ip) if *name != self.wish.name => Err(Trouble::Refused(format!(
                "{ip}, this node's address, is that of node {name} too: --iface names the link by which \
                 the others reach this one"
            ))),
            _ => Ok(()),
        }
    }

    /// Writes the own record unless there is one. `None`: there is.
    async fn create(&self, client: &mut Client, subnets: Subnets) -> Result<Option<i64>, Trouble> {
        let key = self.key(subnets);
        let lease = self.grant(client).await?;
        let compare = Compare::version(key.clone(), CompareOp::Equal, 0);
        let put = TxnOp::put(key, self.value.clone(), with(lease));
        let txn = Txn::new().when([compare]).and_then([put]);
        if within("take a part", client.txn(txn)).await?.succeeded() {
            return Ok(Some(lease));
        }
        if lease != 0 {
            let _ = within("give a lease back", client.lease_revoke(lease)).await;
        }
        Ok(None)
    }

    /// Goes on with a record that is there: as it is, if it says what it shall and its lease lives.
    async fn take_over(
        &self,
        client: &mut Client,
        subnets: Subnets,
        kv: &KeyValue,
    ) -> Result<(Subnets, i64), Trouble> {
        let wants_lease = !self.wish.lease.is_zero();
        if kv.value() == self.value.as_bytes() && wants_lease == (kv.lease() != 0) {
            return Ok((subnets, kv.lease()));
        }
        let lease = match kv.lease() {
            0 => self.grant(client).await?,
            lease if wants_lease => lease,
            _ => 0,
        };
        let key = self.key(subnets);
        let compare = Compare::mod_revision(key.clone(), CompareOp::Equal, kv.mod_revision());
        let put = TxnOp::put(key.clone(), self.value.clone(), with(lease));
        let txn = Txn::new().when([compare]).and_then([put]);
        match within("announce", client.txn(txn)).await?.succeeded() {
            true => Ok((subnets, lease)),
            false => Err(Trouble::Gone(format!("{key} was changed meanwhile"))),
        }
    }

    async fn grant(&self, client: &mut Client) -> Result<i64, Trouble> {
        let seconds = i64::try_from(self.wish.lease.as_secs()).unwrap_or(i64::MAX);
        if seconds == 0 {
            return Ok(0);
        }
        Ok(within("get a lease", client.lease_grant(seconds, None))
            .await?
            .id())
    }
}

fn with(lease: i64) -> Option<PutOptions> {
    (lease != 0).then(|| PutOptions::new().with_lease(lease))
}
