//! The way from `::1` to ports that iptables maps: iptables has no means for it, but translates
//! what the elements here have given another source address.

use super::entry::{Entry, Maker};
use super::layout::{self, IpVersion};
use super::port_key::PortKey;
use super::record::{Digest, Record};
use super::scope::Scope;
use super::{add, distinct, missing, take};
use crate::chained::portmap::plan::{Masquerade, Plan};
use crate::wiring::SetupError;
use crate::wiring::check::mismatch;
use crate::wiring::elements;
use crate::wiring::masquerade::Backend;
use crate::wiring::nftables::Nftables;
use crate::wiring::owner::Owner;
use netloom_kernel::Result;
use netloom_kernel::nft::{Batch, Socket};
use std::net::Ipv6Addr;

const HALF: IpVersion = IpVersion { v6: true };

/// What is to be added for one attachment.
#[derive(Debug)]
pub(in super::super) struct Loopback(Vec<Entry>);

impl Loopback {
    /// Nothing is touched. `source` is the address by which `::1` can reach the pod. Conditions would
    /// be asked of that in place of `::1`: with conditions there is no such way.
    pub(in super::super) fn new(owner: Owner<'_>, plan: &Plan, source: Option<Ipv6Addr>) -> Self {
        let wanted = plan.masquerade != Masquerade::Nobody && plan.conditions(true).is_empty();
        let Some(source) = source.filter(|_| wanted) else {
            return Self(Vec::new());
        };
        let maker = Maker::new(owner);
        let ports = ports(plan);
        let entries = ports.iter().filter_map(|port| maker.loopback(port, source));
        let mut entries: Vec<_> = entries.collect();
        if !entries.is_empty() {
            entries.push(maker.record(HALF, &digest(plan, &ports)));
            entries.push(maker.index(HALF));
        }
        Self(distinct(entries))
    }

    /// Adds the elements, and what is missing around them. A kernel without nf_tables has no such
    /// way.
    pub(in super::super) fn create(&self) -> std::result::Result<(), SetupError> {
        if self.0.is_empty() {
            return Ok(());
        }
        Nftables::open()?
            .with(|socket| self.create_by(socket))
            .map_err(SetupError::kernel(
                "failed to let ::1 reach the ports by nftables",
            ))
    }

    fn create_by(&self, socket: &Socket) -> Result<()> {
        let complete = |socket: &Socket, batch: &mut Batch<'_>| {
            layout::complete_loopback(socket, batch)?;
            take(socket, batch, &self.0)
        };
        elements::create(socket, |batch| add(batch, self.0.iter()), complete)
    }

    /// Everything is there, if this attachment had it: what the reference added has no such way.
    pub(in super::super) fn check(&self, owner: Owner<'_>) -> std::result::Result<(), SetupError> {
        let find = |socket: &Socket| {
            if Record::find(socket, HALF, &owner.nft_prefix())?.is_none() {
                return Ok(None);
            }
            for entry in self.0.iter().filter(|entry| !entry.is_index()) {
                if let Some(text) = missing(socket, entry)? {
                    return Ok(Some(format!("{text} in nftables' \"{}\"", entry.set)));
                }
            }
            Ok(None)
        };
        let found = Nftables::open()?.with(find);
        match found.map_err(SetupError::kernel("failed to read nftables' port mappings"))? {
            Some(text) => Err(mismatch(text)),
            None => Ok(()),
        }
    }
}

/// The ports, whatever the conditions are.
pub(super) fn ports(plan: &Plan) -> Vec<PortKey> {
    PortKey::all(HALF, &Scope::common(), &plan.mappings).collect()
}

pub(super) fn digest(plan: &Plan, ports: &[PortKey]) -> Digest {
    Digest::of(Backend::Iptables, plan.masquerade, ports)
}
