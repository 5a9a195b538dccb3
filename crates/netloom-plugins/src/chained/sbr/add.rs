//! ADD.

use super::moves::{Moves, Restore, families};
use super::plan::{Plan, Source, Tables, sources};
use super::pod::{FIRST_TABLE, find_link, routes, rule_of};
use crate::wiring::sandbox::{self, LockedPod};
use crate::wiring::setup_error::invalid;
use crate::wiring::tables;
use netloom_kernel::rtnl::{Rule, Socket, table};
use netloom_plugin::{AddRequest, Undo};
use netloom_spec::{AddResult, Error, code};
use std::rc::Rc;

/// Routes what comes from the interface's addresses. The result is the one it was given.
pub(super) fn add<'r>(
    request: &'r AddRequest<'r>,
    undo: &mut Undo<'r>,
) -> Result<AddResult, Error> {
    let plan = Plan::new(request.conf)?;
    let name = request.if_name.as_str();
    let result = request
        .prev_result()?
        .ok_or_else(|| invalid("This plugin must be called as chained plugin: no prevResult"))?;
    let sources = match &plan {
        Plan::Rules { .. } => sources(&result, name, &Tables::default()),
        Plan::Tables(tables) => sources(&result, name, tables),
    };
    if sources.is_empty() {
        let what = format!("No IP addresses supplied on interface: {name}, see prevResult");
        return Err(invalid(what));
    }

    let pod = Rc::new(LockedPod::enter(sandbox::open(request.netns)?, request)?);
    let present = tables::rules(&pod.socket)?;
    refuse_ruled(&sources, &present)?;
    let moves = match plan {
        Plan::Rules { table } => Moves::rules_only(&sources, table),
        Plan::Tables(tables) => to_tables(&pod.socket, name, &sources, &present, tables.hints)?,
    };
    let (made, where_) = (moves.clone(), Rc::clone(&pod));
    undo.on_failure(format!("take back the routes of {name}"), move || {
        Ok(made.take_back(&where_.socket, Restore::Strictly)?)
    });
    moves.apply(&pod.socket)?;
    Ok(result)
}

/// A second ADD, or another interface with the same address.
fn refuse_ruled(sources: &[Source], present: &[Rule]) -> Result<(), Error> {
    let ruled = |source: &Source| Some((source.ip(), rule_of(present, source)?.table));
    match sources.iter().find_map(ruled) {
        None => Ok(()),
        Some((ip, table)) => {
            let what = format!(
                "a rule from {ip} exists already, to table {table}: \
                 DEL the attachment that has this address first"
            );
            Err(Error::new(code::INTERNAL, what))
        }
    }
}

fn to_tables(
    socket: &Socket,
    name: &str,
    sources: &[Source],
    present: &[Rule],
    hints: bool,
) -> Result<Moves, Error> {
    let link = find_link(socket, name)?.ok_or_else(|| {
        let what = format!("Cannot find network interface {name} in the container");
        Error::new(code::INTERNAL, what)
    })?;
    let main = routes(socket, &families(sources), link.index, table::MAIN)?;
    let free = tables::free(socket, present, FIRST_TABLE, sources.len(), |_| false)?;
    let sources: Vec<_> = sources.iter().copied().zip(free).collect();
    Ok(Moves::plan(link.index, &sources, &main, hints))
}
