//! Queueing disciplines that make an end as bad as is asked: netem, or tbf where only the rate is limited.

use std::time::Duration;

use netloom_kernel::rtnl::tc::{Discipline, Handle, Netem, QdiscSpec, Tbf, ticks};

use crate::{Error, Impairment, Place, Probability, Result};

/// The handle of a queueing discipline of ours.
pub(crate) const OURS: Handle = Handle::new(0x6e6c, 0);
/// How many packets wait in netem at most; the kernel's default of 1000 is 12 ms of a gigabit.
const NETEM_LIMIT: u32 = 100_000;
/// How long a packet waits at most where only the rate is limited.
const TBF_LATENCY_MS: u64 = 50;

/// The queueing discipline that an impairment needs.
pub(crate) fn kind_for(impairment: &Impairment) -> Option<&'static str> {
    if impairment.is_none() {
        None
    } else if impairment.is_rate_only() {
        Some("tbf")
    } else {
        Some("netem")
    }
}

/// That the kernel lacks the queueing discipline of an impairment.
pub(crate) fn lacking(name: &str, impairment: &Impairment) -> Error {
    Error::Unsupported {
        what: format!("impair a link by {impairment}"),
        option: Error::option_of(name),
    }
}

/// The queueing discipline for an impairment.
pub(crate) fn discipline(impairment: &Impairment, link: u32, mtu: u32) -> Option<QdiscSpec> {
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let rate = impairment.rate / 8;
    let discipline = match kind_for(impairment)? {
        "tbf" => Discipline::Tbf(bucket(rate, mtu)),
        _ => Discipline::Netem(Netem {
            delay: nanoseconds(impairment.delay),
            jitter: nanoseconds(impairment.jitter),
            loss: impairment.loss.0,
            duplicate: impairment.duplicate.0,
            corrupt: impairment.corrupt.0,
            rate,
            limit: NETEM_LIMIT,
        }),
    };
    Some(QdiscSpec {
        link,
        parent: Handle::ROOT,
        handle: OURS,
        discipline,
    })
}

/// What an interface of a place does to what it sends, by a queueing discipline of ours.
///
/// # Errors
/// [`Error::Invalid`] if it has a queueing discipline that somebody else put there.
pub fn impairment_of(place: &Place, link: u32) -> Result<Impairment> {
    let found = place.socket().find_qdisc(link, Handle::ROOT)?;
    let nothing = Impairment::default();
    let Some(found) = found else {
        return Ok(nothing);
    };
    match found.discipline {
        Discipline::Tbf(tbf) if found.handle == OURS => Ok(Impairment {
            rate: tbf.rate * 8,
            ..nothing
        }),
        Discipline::Netem(netem) if found.handle == OURS => Ok(Impairment {
            delay: Duration::from_nanos(netem.delay),
            jitter: Duration::from_nanos(netem.jitter),
            loss: Probability(netem.loss),
            duplicate: Probability(netem.duplicate),
            corrupt: Probability(netem.corrupt),
            rate: netem.rate * 8,
        }),
        other => Err(Error::invalid(format!(
            "the interface has a queueing discipline ({}) that is not ours; remove it (tc qdisc del)",
            other.name()
        ))),
    }
}

/// Impairs what an interface of a place sends, and nothing else than this.
///
/// # Errors
/// As [`impairment_of`]; [`Error::Unsupported`] if the kernel lacks what it takes.
pub fn set_impairment(place: &Place, link: u32, impairment: &Impairment) -> Result<()> {
    if *impairment == impairment_of(place, link)? {
        return Ok(());
    }
    impairment.validate()?;
    let socket = place.socket();
    if let Some(name) = kind_for(impairment)
        && !socket.has_discipline(name)?
    {
        return Err(lacking(name, impairment));
    }
    let mtu = socket.get_link(link)?.mtu;
    match discipline(impairment, link, mtu) {
        Some(spec) => socket.replace_qdisc(&spec)?,
        None => drop(socket.remove_qdisc(link, Handle::ROOT)?),
    }
    Ok(())
}

/// A bucket for 5 ms, and for three packets at least.
fn bucket(rate: u64, mtu: u32) -> Tbf {
    let packets = u64::from(mtu + 14) * 3;
    let burst = (rate / 200).max(packets);
    let limit = burst + rate * TBF_LATENCY_MS / 1000;
    Tbf {
        rate,
        limit: u32::try_from(limit).unwrap_or(u32::MAX),
        buffer: ticks(burst.saturating_mul(1_000_000).div_ceil(rate.max(1))),
    }
}
