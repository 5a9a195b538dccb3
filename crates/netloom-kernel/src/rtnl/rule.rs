//! Routing policy rules.

use ipnet::IpNet;

use super::route::{Family, family_of, octets};
use super::{Batch, Socket};
use crate::error::Result;
use crate::netlink::{Attributes, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, Request};

pub(super) const RTM_NEWRULE: u16 = 32;
pub(super) const RTM_DELRULE: u16 = 33;
const RTM_GETRULE: u16 = 34;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_L3MDEV: u16 = 19;
const FRA_PROTOCOL: u16 = 21;
const FIB_RULE_INVERT: u32 = 2;

/// What a rule does with packets it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RuleAction {
    /// Looks in its table.
    #[default]
    ToTable,
    /// Drops silently.
    Blackhole,
    /// Drops and says that the destination is unreachable.
    Unreachable,
    /// Drops and says that it is prohibited.
    Prohibit,
    /// Any other, by the kernel's number.
    Other(u8),
}

impl RuleAction {
    fn to_wire(self) -> u8 {
        match self {
            Self::ToTable => 1,
            Self::Blackhole => 6,
            Self::Unreachable => 7,
            Self::Prohibit => 8,
            Self::Other(value) => value,
        }
    }

    fn from_wire(value: u8) -> Self {
        match value {
            1 => Self::ToTable,
            6 => Self::Blackhole,
            7 => Self::Unreachable,
            8 => Self::Prohibit,
            other => Self::Other(other),
        }
    }
}

/// A rule to add or remove, and a rule as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSpec {
    /// The family it is for.
    pub family: Family,
    /// Lowest first; chosen by the kernel if `None`.
    pub priority: Option<u32>,
    /// Packets from here.
    pub from: Option<IpNet>,
    /// Packets to here.
    pub to: Option<IpNet>,
    /// Packets that came in by this link.
    pub iif: Option<String>,
    /// Packets that leave by this link.
    pub oif: Option<String>,
    /// Packets with this mark, under this mask.
    pub mark: Option<(u32, u32)>,
    /// Packets that do *not* match the rest.
    pub invert: bool,
    /// Looks in the table of the VRF that the packet belongs to.
    pub l3mdev: bool,
    /// The table to look in.
    pub table: u32,
    /// What to do.
    pub action: RuleAction,
    /// Who made it (`RTPROT_*`); 0 if nobody said so, and when removing, for any.
    pub protocol: u8,
}

/// A rule as the kernel describes it.
pub type Rule = RuleSpec;

impl RuleSpec {
    /// A rule that sends every packet of a family to a table.
    #[must_use]
    pub fn to_table(family: Family, table: u32) -> Self {
        Self {
            family,
            priority: None,
            from: None,
            to: None,
            iif: None,
            oif: None,
            mark: None,
            invert: false,
            l3mdev: false,
            table,
            action: RuleAction::ToTable,
            protocol: 0,
        }
    }

    /// A rule that sends what comes from a network to a table.
    #[must_use]
    pub fn from(from: IpNet, table: u32) -> Self {
        let mut rule = Self::to_table(Family::of(from.addr()), table);
        rule.from = Some(from.trunc());
        rule
    }

    /// Its priority.
    #[must_use]
    pub fn priority(mut self, priority: u32) -> Self {
        self.priority = Some(priority);
        self
    }

    fn object(&self) -> String {
        let from = self
            .from
            .map_or_else(|| "all".into(), |from| from.to_string());
        format!("from {from} to table {}", self.table)
    }

    fn request(&self, operation: &'static str, kind: u16, flags: u16) -> Request {
        let mut header = [0; 12];
        header[0] = self.family.to_wire();
        header[1] = self.to.map_or(0, |to| to.prefix_len());
        header[2] = self.from.map_or(0, |from| from.prefix_len());
        header[4] = u8::try_from(self.table).unwrap_or(0);
        header[7] = self.action.to_wire();
        if self.invert {
            header[8..].copy_from_slice(&FIB_RULE_INVERT.to_ne_bytes());
        }
        let mut r = Request::new(operation, self.object(), kind, flags, &header);
        let b = &mut r.buffer;
        for (kind, net) in [(FRA_DST, self.to), (FRA_SRC, self.from)] {
            if let Some(net) = net.filter(|net| net.prefix_len() != 0) {
                debug_assert_eq!(family_of(net.addr()), self.family.to_wire());
                b.put(kind, &octets(net.addr()));
            }
        }
        for (kind, name) in [(FRA_IIFNAME, &self.iif), (FRA_OIFNAME, &self.oif)] {
            if let Some(name) = name {
                b.put_str(kind, name);
            }
        }
        if let Some(priority) = self.priority {
            b.put_u32(FRA_PRIORITY, priority);
        }
        if let Some((mark, mask)) = self.mark {
            b.put_u32(FRA_FWMARK, mark);
            b.put_u32(FRA_FWMASK, mask);
        }
        if self.l3mdev {
            b.put_u8(FRA_L3MDEV, 1);
        }
        if self.table != 0 {
            b.put_u32(FRA_TABLE, self.table);
        }
        if self.protocol != 0 {
            b.put_u8(FRA_PROTOCOL, self.protocol);
        }
        r
    }

    pub(super) fn parse(payload: &[u8]) -> Option<Self> {
        let fixed = payload.first_chunk::<12>()?;
        let mut rule = Self::to_table(Family::from_wire(fixed[0])?, fixed[4].into());
        rule.action = RuleAction::from_wire(fixed[7]);
        let flags = u32::from_ne_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
        rule.invert = flags & FIB_RULE_INVERT != 0;
        let (mut mark, mut mask) = (None, u32::MAX);
        for a in Attributes::after(payload, 12) {
            match a.kind {
                FRA_DST => rule.to = IpNet::new(a.ip()?, fixed[1]).ok(),
                FRA_SRC => rule.from = IpNet::new(a.ip()?, fixed[2]).ok(),
                FRA_IIFNAME => rule.iif = Some(a.string()),
                FRA_OIFNAME => rule.oif = Some(a.string()),
                FRA_PRIORITY => rule.priority = a.u32(),
                FRA_FWMARK => mark = a.u32(),
                FRA_FWMASK => mask = a.u32().unwrap_or(mask),
                FRA_L3MDEV => rule.l3mdev = a.u8() == Some(1),
                FRA_TABLE => rule.table = a.u32().unwrap_or_default(),
                FRA_PROTOCOL => rule.protocol = a.u8().unwrap_or_default(),
                _ => {}
            }
        }
        rule.mark = mark.map(|mark| (mark, mask));
        // The kernel leaves priority 0 out: it is that of the rule for the local table.
        rule.priority = rule.priority.or(Some(0));
        Some(rule)
    }
}

fn add(rule: &RuleSpec) -> Request {
    rule.request("add rule", RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL)
}

fn remove(rule: &RuleSpec) -> Request {
    rule.request("remove rule", RTM_DELRULE, 0)
        .absent_is_success()
}

impl Socket {
    /// Adds a rule.
    ///
    /// # Errors
    /// `is_exists()` if there is exactly this one already.
    pub fn add_rule(&self, rule: &RuleSpec) -> Result<()> {
        self.execute(add(rule)).map(drop)
    }

    /// Removes the first rule that matches. `false` if none did.
    ///
    /// # Errors
    /// Anything but absence.
    pub fn remove_rule(&self, rule: &RuleSpec) -> Result<bool> {
        self.execute(remove(rule))
    }

    /// The rules of a family, in order.
    ///
    /// # Errors
    /// If the kernel refuses the dump.
    pub fn list_rules(&self, family: Family) -> Result<Vec<Rule>> {
        let mut header = [0; 12];
        header[0] = family.to_wire();
        let r = Request::new("list", "rules".into(), RTM_GETRULE, NLM_F_DUMP, &header);
        self.dump(r, |_, payload| RuleSpec::parse(payload))
    }
}

impl Batch<'_> {
    /// See [`Socket::add_rule`].
    pub fn add_rule(&mut self, rule: &RuleSpec) -> &mut Self {
        self.push(add(rule))
    }

    /// See [`Socket::remove_rule`].
    pub fn remove_rule(&mut self, rule: &RuleSpec) -> &mut Self {
        self.push(remove(rule))
    }
}
