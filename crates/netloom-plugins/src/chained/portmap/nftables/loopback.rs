//! The way from `::1` to ports that iptables maps: iptables has no means for it, but translates
//! what the elements here have given another source address.

use super::entry::{Entry, Maker, PortKey};
use super::layout::{self, Half};
use super::scope::Scope;
use super::{add, is_taken, take};
use crate::chained::portmap::plan::{Masquerade, Plan};
use crate::wiring::Fault;
use crate::wiring::nftables::Nftables;
use crate::wiring::owner::Owner;
use crate::wiring::transaction::atomically;
use netloom_kernel::Result;
use netloom_kernel::nft::Socket;
use std::net::Ipv6Addr;

/// What is to be added for one attachment.
#[derive(Debug)]
pub(in super::super) struct Loopback(Vec<Entry>);

impl Loopback {
    /// Nothing is touched. `source` is the address by which `::1` can reach the pod.
    pub(in super::super) fn new(owner: Owner<'_>, plan: &Plan, source: Option<Ipv6Addr>) -> Self {
        let source = source.filter(|_| plan.masquerade != Masquerade::Nobody);
        let maker = Maker::for_iptables(owner);
        let common = Scope::common();
        let ports = PortKey::all(Half { v6: true }, &common, &plan.mappings);
        let entries = ports.filter_map(|port| maker.loopback(&port, source?));
        Self(entries.collect())
    }

    /// Adds the elements, and what is missing around them. A kernel without nf_tables has no such
    /// way.
    pub(in super::super) fn create(&self) -> std::result::Result<(), Fault> {
        if self.0.is_empty() {
            return Ok(());
        }
        Nftables::open()?
            .with(|socket| self.create_by(socket))
            .map_err(Fault::kernel(
                "failed to let ::1 reach the ports by nftables",
            ))
    }

    fn create_by(&self, socket: &Socket) -> Result<()> {
        let mut batch = socket.batch();
        add(&mut batch, self.0.iter());
        match batch.commit() {
            Err(error) if error.is_absent() || is_taken(&error) => {}
            outcome => return outcome,
        }
        atomically(socket, |socket, batch| {
            layout::complete_loopback(socket, batch)?;
            take(socket, batch, &self.0)
        })
    }
}
