//! What nf_tables tells of the current network namespace.

use netloom_kernel::Result;
use netloom_kernel::nft::{Family, Socket, Table};

use crate::Kind;
use crate::describe::{self, Told};

pub(crate) fn observe() -> Result<Vec<Told>> {
    let socket = match Socket::open() {
        Ok(socket) => socket,
        Err(error) if error.is_unsupported() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for family in Family::ALL {
        let tables = match socket.list_tables(family) {
            Ok(tables) => tables,
            // A kernel may lack nf_tables, or a family of it.
            Err(error) if error.is_unsupported() || error.is_denied() => continue,
            Err(error) => return Err(error),
        };
        for table in tables {
            of_table(&socket, family, &table.name, &mut found)?;
        }
    }
    Ok(found)
}

fn of_table(socket: &Socket, family: Family, name: &str, found: &mut Vec<Told>) -> Result<()> {
    let table = Table::new(family, name);
    let title = format!("{} {name}", family.name());
    let mut tell = |kind, name: String, details: String| {
        found.push(Told {
            kind,
            name,
            details,
        });
    };
    tell(Kind::Table, title.clone(), String::new());
    for chain in socket.list_chains(&table)? {
        let place = format!("{title} {}", chain.name);
        let details = match (&chain.kind, chain.priority) {
            (Some(kind), Some(priority)) => {
                format!(
                    "{kind} hook, priority {priority}, policy {:?}",
                    chain.policy
                )
            }
            _ => String::new(),
        };
        tell(Kind::Chain, place.clone(), details);
        for rule in socket.list_rules(&table, &chain.name)? {
            let words = describe::chain_rule(&rule);
            tell(Kind::ChainRule, format!("{place}: {words}"), String::new());
        }
    }
    for set in socket.list_sets(&table)? {
        let place = format!("{title} {}", set.name);
        tell(Kind::Set, place.clone(), String::new());
        for element in socket.list_elements(&table, &set.name)? {
            let key = describe::element(&element);
            let comment = element.comment.unwrap_or_default();
            tell(Kind::Element, format!("{place} {{ {key} }}"), comment);
        }
    }
    Ok(())
}
