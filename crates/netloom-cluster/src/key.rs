//! The keys of the store.
//!
//! | key below the prefix | record |
//! |---|---|
//! | `blocks/<space>/<4 or 6>/<base in hexadecimal>` | [`BlockRecord`](crate::record::BlockRecord) |
//! | `nodes/<name>` | [`NodeRecord`](crate::record::NodeRecord) |
//! | `alive/<name>`, with a lease | [`AliveRecord`](crate::record::AliveRecord) |
//! | `want/<space>/<name>`, with a lease | [`WantRecord`](crate::record::WantRecord) |
//! | `links/<name>/…`, with a lease | [`LinkRecord`](crate::links::LinkRecord) |

use crate::grid::{Block, Family};
use crate::{NodeName, SpaceName};

/// What all keys begin with.
pub const PREFIX: &str = "/netloom/v1/";

/// The key of a block's record.
pub fn block(space: &SpaceName, block: Block) -> String {
    match block.family() {
        Family::V4 => format!("{PREFIX}blocks/{space}/4/{:08x}", block.base()),
        Family::V6 => format!("{PREFIX}blocks/{space}/6/{:032x}", block.base()),
    }
}

/// What the keys of a space's blocks begin with; of all spaces' without one.
pub fn blocks(space: Option<&SpaceName>) -> String {
    space.map_or_else(
        || format!("{PREFIX}blocks/"),
        |space| format!("{PREFIX}blocks/{space}/"),
    )
}

/// Which space and block a key is of; `None` for any other spelling than [`block`]'s.
pub fn parse_block(key: &str) -> Option<(SpaceName, Block)> {
    let rest = key.strip_prefix(PREFIX)?.strip_prefix("blocks/")?;
    let mut parts = rest.split('/');
    let (space, family, base) = (parts.next()?, parts.next()?, parts.next()?);
    let space = SpaceName::new(space).ok()?;
    let family = match family {
        "4" => Family::V4,
        "6" => Family::V6,
        _ => return None,
    };
    let parsed = Block::holding(family, u128::from_str_radix(base, 16).ok()?);
    (block(&space, parsed) == key).then_some((space, parsed))
}

/// The key of a node's record.
pub fn node(name: &NodeName) -> String {
    format!("{}{name}", nodes())
}

/// What the keys of all nodes' records begin with.
pub fn nodes() -> String {
    format!("{PREFIX}nodes/")
}

/// The node a key is of.
pub fn parse_node(key: &str) -> Option<NodeName> {
    NodeName::new(key.strip_prefix(&nodes())?).ok()
}

/// The key that says that a node's daemon is there.
pub fn alive(name: &NodeName) -> String {
    format!("{PREFIX}alive/{name}")
}

/// The key that says how many addresses a node lacks.
pub fn want(space: &SpaceName, name: &NodeName) -> String {
    format!("{}{space}/{name}", wants())
}

/// What the keys of everybody's wants begin with.
pub fn wants() -> String {
    format!("{PREFIX}want/")
}

/// The space and the node that a want's key is of.
pub fn parse_want(key: &str) -> Option<(SpaceName, NodeName)> {
    let (space, name) = key.strip_prefix(&wants())?.split_once('/')?;
    Some((SpaceName::new(space).ok()?, NodeName::new(name).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_a_block_is_read_back_and_no_other_spelling_is() {
        let space = SpaceName::new("sriov.1").unwrap();
        for address in ["10.9.1.77", "fd00::1:2"] {
            let one = Block::of(address.parse().unwrap());
            let key = block(&space, one);
            assert_eq!(parse_block(&key), Some((space.clone(), one)), "{key}");
        }
        assert_eq!(
            block(&space, Block::of("10.9.1.77".parse().unwrap())),
            "/netloom/v1/blocks/sriov.1/4/0a090140"
        );
        for other in [
            "/netloom/v1/blocks/sriov.1/4/a090140",
            "/netloom/v1/blocks/sriov.1/4/0A090140",
            "/netloom/v1/blocks/sriov.1/4/0a090141",
            "/netloom/v1/blocks/sriov.1/4/+a090140",
            "/netloom/v1/blocks/sriov.1/4/0a090140/x",
            "/netloom/v1/blocks/../4/0a090140",
            "/netloom/v1/blocks/sriov.1/5/0a090140",
            "/netloom/v1/blocks/sriov.1/4/ffffffffff",
            "blocks/sriov.1/4/0a090140",
            "",
        ] {
            assert_eq!(parse_block(other), None, "{other}");
        }
    }
}
