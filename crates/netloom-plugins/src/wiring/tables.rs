//! Routing tables, and which of them are free.

use super::SetupError;
use netloom_kernel::rtnl::{Family, RouteFilter, Rule, Socket, table};

/// Both.
pub(crate) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Whether it is one of the tables that the kernel's own rules lead to.
pub(crate) fn is_reserved(number: u32) -> bool {
    (table::DEFAULT..=table::LOCAL).contains(&number)
}

/// The rules of both families.
pub(crate) fn rules(socket: &Socket) -> Result<Vec<Rule>, SetupError> {
    let mut rules = Vec::new();
    for family in FAMILIES {
        match socket.list_rules(family) {
            Ok(listed) => rules.extend(listed),
            // A kernel without IPv6 has no IPv6 rules.
            Err(error) if error.is_unsupported() && family == Family::V6 => {}
            Err(error) => return Err(SetupError::kernel("failed to list all rules")(error)),
        }
    }
    Ok(rules)
}

/// Whether a table has no routes.
pub(crate) fn is_empty(socket: &Socket, number: u32) -> Result<bool, SetupError> {
    for family in FAMILIES {
        let filter = RouteFilter::main(family).table(number);
        let mut none_yet = true;
        let first = |_: &_| std::mem::take(&mut none_yet);
        match socket.list_routes_where(&filter, first) {
            Ok(listed) if !listed.is_empty() => return Ok(false),
            Err(error) if !error.is_unsupported() => {
                let what = format!("list the routes of table {number}");
                return Err(SetupError::kernel(what)(error));
            }
            _ => {}
        }
    }
    Ok(true)
}

/// The first tables from `first` on that no rule leads to, no route is in and nobody has `taken`,
/// `count` of them.
pub(crate) fn free(
    socket: &Socket,
    rules: &[Rule],
    first: u32,
    count: usize,
    taken: impl Fn(u32) -> bool,
) -> Result<Vec<u32>, SetupError> {
    let mut free = Vec::with_capacity(count);
    let mut candidates = first..=u32::MAX;
    while free.len() < count
        && let Some(number) = candidates.next()
    {
        let referred = || rules.iter().any(|rule| rule.table == number);
        if !is_reserved(number) && !taken(number) && !referred() && is_empty(socket, number)? {
            free.push(number);
        }
    }
    Ok(free)
}
