//! Reading: single objects by name, and dumps that the kernel filters.

use super::chain::{NFTA_CHAIN_NAME, NFTA_CHAIN_TABLE};
use super::element::{
    NFTA_SET_ELEM_LIST_ELEMENTS, NFTA_SET_ELEM_LIST_SET, NFTA_SET_ELEM_LIST_TABLE,
};
use super::rule::{NFTA_RULE_CHAIN, NFTA_RULE_TABLE};
use super::set::{NFTA_SET_NAME, NFTA_SET_TABLE};
use super::table::NFTA_TABLE_NAME;
use super::{
    ChainInfo, Element, ElementInfo, Family, Key, RuleInfo, SUBSYSTEM, SetInfo, Socket, Table,
    TableInfo, header,
};
use crate::error::Result;
use crate::netlink::{Attributes, NLM_F_DUMP, Request};

const NFT_MSG_GETTABLE: u16 = SUBSYSTEM | 1;
const NFT_MSG_GETCHAIN: u16 = SUBSYSTEM | 4;
const NFT_MSG_GETRULE: u16 = SUBSYSTEM | 7;
const NFT_MSG_GETSET: u16 = SUBSYSTEM | 10;
const NFT_MSG_GETSETELEM: u16 = SUBSYSTEM | 13;
const NFT_MSG_GETGEN: u16 = SUBSYSTEM | 16;
const NFTA_GEN_ID: u16 = 1;

fn request(operation: &'static str, object: String, kind: u16, flags: u16, f: Family) -> Request {
    Request::new(operation, object, kind, flags, &header(f))
}

impl Socket {
    /// A table by name; `None` if there is none.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn get_table(&self, table: &Table<'_>) -> Result<Option<TableInfo>> {
        let mut r = request(
            "get table",
            table.title(),
            NFT_MSG_GETTABLE,
            0,
            table.family,
        );
        r.buffer.put_str(NFTA_TABLE_NAME, table.name);
        self.ask(r, |_, payload| TableInfo::parse(payload))
    }

    /// All tables of a family.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn list_tables(&self, family: Family) -> Result<Vec<TableInfo>> {
        let object = format!("{} tables", family.name());
        let r = request("list", object, NFT_MSG_GETTABLE, NLM_F_DUMP, family);
        self.dump(r, |_, payload| TableInfo::parse(payload))
    }

    /// A chain by name; `None` if there is none. Of `ip nat` this also finds the chains of
    /// iptables where that is the nf_tables variant.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn get_chain(&self, table: &Table<'_>, name: &str) -> Result<Option<ChainInfo>> {
        let title = table.title_of(name);
        let mut r = request("get chain", title, NFT_MSG_GETCHAIN, 0, table.family);
        r.buffer.put_str(NFTA_CHAIN_TABLE, table.name);
        r.buffer.put_str(NFTA_CHAIN_NAME, name);
        Ok(self
            .ask(r, |_, payload| ChainInfo::parse(payload))?
            .map(|(_, info)| info))
    }

    /// The chains of a table. The kernel has no filter for this: it dumps those of the family.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn list_chains(&self, table: &Table<'_>) -> Result<Vec<ChainInfo>> {
        let r = request(
            "list chains of",
            table.title(),
            NFT_MSG_GETCHAIN,
            NLM_F_DUMP,
            table.family,
        );
        self.dump(r, |_, payload| {
            ChainInfo::parse(payload).and_then(|(of, info)| (of == table.name).then_some(info))
        })
    }

    /// The chains of all tables of a family, each with the name of its table.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn list_all_chains(&self, family: Family) -> Result<Vec<(String, ChainInfo)>> {
        let object = format!("{} chains", family.name());
        let r = request("list", object, NFT_MSG_GETCHAIN, NLM_F_DUMP, family);
        self.dump(r, |_, payload| ChainInfo::parse(payload))
    }

    /// The rules of one chain in order, filtered by the kernel.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn list_rules(&self, table: &Table<'_>, chain: &str) -> Result<Vec<RuleInfo>> {
        let title = table.title_of(chain);
        let mut r = request(
            "list rules of",
            title,
            NFT_MSG_GETRULE,
            NLM_F_DUMP,
            table.family,
        );
        r.buffer.put_str(NFTA_RULE_TABLE, table.name);
        r.buffer.put_str(NFTA_RULE_CHAIN, chain);
        self.dump(r, |_, payload| {
            let (in_table, in_chain, info) = RuleInfo::parse(payload)?;
            (in_table == table.name && in_chain == chain).then_some(info)
        })
    }

    /// A set or map by name; `None` if there is none.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn get_set(&self, table: &Table<'_>, name: &str) -> Result<Option<SetInfo>> {
        let mut r = request(
            "get set",
            table.title_of(name),
            NFT_MSG_GETSET,
            0,
            table.family,
        );
        r.buffer.put_str(NFTA_SET_TABLE, table.name);
        r.buffer.put_str(NFTA_SET_NAME, name);
        self.ask(r, |_, payload| SetInfo::parse(payload))
    }

    /// The sets and maps of a table, filtered by the kernel, without their elements.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn list_sets(&self, table: &Table<'_>) -> Result<Vec<SetInfo>> {
        let mut r = request(
            "list sets of",
            table.title(),
            NFT_MSG_GETSET,
            NLM_F_DUMP,
            table.family,
        );
        r.buffer.put_str(NFTA_SET_TABLE, table.name);
        self.dump(r, |_, payload| SetInfo::parse(payload))
    }

    /// One element of a set or map by its key, without a dump; `None` if there is none.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn get_element(
        &self,
        table: &Table<'_>,
        set: &str,
        key: &Key,
    ) -> Result<Option<ElementInfo>> {
        let title = table.title_of(set);
        let mut r = request("get element of", title, NFT_MSG_GETSETELEM, 0, table.family);
        r.buffer.put_str(NFTA_SET_ELEM_LIST_TABLE, table.name);
        r.buffer.put_str(NFTA_SET_ELEM_LIST_SET, set);
        let element = Element::new(key.clone());
        r.buffer
            .nest(NFTA_SET_ELEM_LIST_ELEMENTS, |b| element.put(b));
        self.ask(r, |_, payload| {
            ElementInfo::parse_all(payload).into_iter().next()
        })
    }

    /// The elements of one set or map.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn list_elements(&self, table: &Table<'_>, set: &str) -> Result<Vec<ElementInfo>> {
        let title = table.title_of(set);
        let mut r = request(
            "list elements of",
            title,
            NFT_MSG_GETSETELEM,
            NLM_F_DUMP,
            table.family,
        );
        r.buffer.put_str(NFTA_SET_ELEM_LIST_TABLE, table.name);
        r.buffer.put_str(NFTA_SET_ELEM_LIST_SET, set);
        let lists = self.dump(r, |_, payload| Some(ElementInfo::parse_all(payload)))?;
        Ok(lists.into_iter().flatten().collect())
    }

    /// A number that changes with every transaction; see [`Socket::batch_of_generation`].
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn generation(&self) -> Result<u32> {
        let object = "nf_tables generation".to_owned();
        let r = Request::new("get", object, NFT_MSG_GETGEN, 0, &[0; 4]);
        let id = self.ask(r, |_, payload| {
            Attributes::after(payload, 4)
                .find(|a| a.kind == NFTA_GEN_ID)?
                .be32()
        })?;
        Ok(id.unwrap_or_default())
    }
}
