//! ADD.

use super::plan::{Limit, Plan};
use super::shape::{self, OtherEnd, Piece};
use super::{host_end, ifb};
use crate::wiring::owner::Owner;
use crate::wiring::setup_error::invalid;
use crate::wiring::{SetupError, listed, sandbox};
use netloom_kernel::rtnl::tc::{Handle, QdiscSpec, longest_packet};
use netloom_kernel::rtnl::{Link, LinkChange, Socket};
use netloom_plugin::{AddRequest, Context, Undo};
use netloom_spec::{AddResult, Error, code};

/// The length of an Ethernet header, which counts with a packet.
const ETHERNET: u32 = 14;

/// Shapes. Nothing is touched before the whole request is known to be good.
pub(super) fn add<'r>(
    request: &'r AddRequest<'r>,
    undo: &mut Undo<'r>,
) -> Result<AddResult, Error> {
    let plan = Plan::new(request.conf)?;
    let made = request.prev_result()?;
    let mut result = made.ok_or_else(|| invalid("must be called as chained plugin"))?;
    if !plan.limits_anything() {
        return Ok(result);
    }
    let netns = sandbox::open(request.netns)?;
    let inside =
        Socket::open_in(&netns).map_err(SetupError::kernel("failed to enter the netns"))?;
    let host = Socket::open().map_err(SetupError::kernel("failed to reach the kernel"))?;
    let link = host_end::find(&inside, &host, request.if_name.as_str(), &result)?;
    refuse_shaped(&host, &link, &plan)?;
    let packet = link.mtu.saturating_add(ETHERNET);
    for (side, limit) in [("ingress", plan.ingress), ("egress", plan.egress)] {
        warn_of_dropped_packets(request, side, limit, packet);
    }

    let mut pieces = Vec::new();
    if let Some(limit) = plan.ingress {
        let bucket = limit.bucket(packet);
        let end = OtherEnd::Source;
        pieces.extend(shape::limit(link.index, bucket, &plan.subnets, end));
    }
    let mut marked = None;
    if let Some(limit) = plan.egress {
        let owner = Owner::new(request.network(), &request.container_id, &request.if_name);
        let ifb = ifb::create(&host, owner, link.mtu, undo)?;
        result
            .interfaces
            .push(listed::host_link(&ifb, request.version()));
        let end = OtherEnd::Destination;
        let bucket = limit.bucket(packet);
        pieces.extend(shape::limit(ifb.index, bucket, &plan.subnets, end));
        pieces.extend(shape::redirect(link.index, ifb.index));
        marked = Some((ifb.index, owner.alias()));
    }
    let marked = marked
        .as_ref()
        .map(|(index, alias)| (*index, alias.as_str()));
    create_pieces(&host, &link, &pieces, marked, undo)?;
    Ok(result)
}

/// Somebody else's discipline is neither replaced nor added to.
fn refuse_shaped(host: &Socket, link: &Link, plan: &Plan) -> Result<(), Error> {
    let places = [
        (Handle::ROOT, plan.ingress.is_some()),
        (Handle::INGRESS, plan.egress.is_some()),
    ];
    for (place, _) in places.iter().filter(|(_, needed)| *needed) {
        let found = host
            .find_qdisc(link.index, *place)
            .map_err(SetupError::kernel(format!(
                "look at the qdiscs of {:?}",
                link.name
            )))?;
        if let Some(found) = found {
            let text = format!(
                "create qdisc: {} has the qdisc {} at its {place} already; the DEL of an earlier \
                 ADD removes it",
                link.name,
                found.discipline.name()
            );
            return Err(Error::new(code::INTERNAL, text));
        }
    }
    Ok(())
}

/// The kernel drops what a bucket can never hold.
fn warn_of_dropped_packets(context: &Context<'_>, side: &str, limit: Option<Limit>, packet: u32) {
    let Some(limit) = limit else { return };
    let bucket = limit.bucket(packet);
    let longest = longest_packet(bucket.buffer, bucket.rate);
    let mtu = packet.saturating_sub(ETHERNET);
    if limit.burst() < packet {
        context.warn(&format!(
            "{side}Burst is {} bytes, and packets may have {mtu} and a header of {ETHERNET}: longer \
             ones than the burst are dropped",
            limit.burst()
        ));
    } else if longest < u64::from(packet) {
        context.warn(&format!(
            "{side}Rate is {} bits per second, at which the kernel drops packets of more than \
             {longest} bytes, and packets may have {mtu} and a header of {ETHERNET}",
            limit.bits()
        ));
    }
}

/// Makes everything in one go, the alias of the ifb first.
fn create_pieces(
    host: &Socket,
    link: &Link,
    pieces: &[Piece],
    marked: Option<(u32, &str)>,
    undo: &mut Undo<'_>,
) -> Result<(), SetupError> {
    let mut batch = host.batch();
    if let Some((index, alias)) = marked {
        batch.set_link(index, &LinkChange::new().alias(alias));
    }
    let first = batch.len();
    for piece in pieces {
        piece.add_to(&mut batch);
    }
    let what = format!("failed to shape {:?}", link.name);
    let outcome = match batch.commit_all() {
        Ok(outcome) => outcome,
        Err(error) => {
            // All of it may be there.
            pieces
                .iter()
                .for_each(|piece| undo_piece(link, piece, undo));
            return Err(SetupError::kernel(what)(error));
        }
    };
    for (position, piece) in (first..).zip(pieces) {
        if !outcome
            .failures
            .iter()
            .any(|(failed, _)| *failed == position)
        {
            undo_piece(link, piece, undo);
        }
    }
    match outcome.failures.into_iter().next() {
        None => Ok(()),
        Some((_, error)) => Err(SetupError::kernel(what)(error)),
    }
}

/// The host's end stays when ADD fails; classes and filters go with their discipline, and what is
/// on the ifb with that.
fn undo_piece(link: &Link, piece: &Piece, undo: &mut Undo<'_>) {
    let Piece::Qdisc(QdiscSpec {
        link: index,
        parent,
        ..
    }) = *piece
    else {
        return;
    };
    if index != link.index || ![Handle::ROOT, Handle::INGRESS].contains(&parent) {
        return;
    }
    let name = link.name.clone();
    undo.on_failure(
        format!("remove the qdisc at {parent} of {name}"),
        move || {
            let remove = || Socket::open()?.remove_qdisc(index, parent).map(drop);
            Ok(remove().map_err(SetupError::kernel(format!("failed to unshape {name:?}")))?)
        },
    );
}
