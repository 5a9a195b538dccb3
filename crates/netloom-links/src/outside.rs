//! Makes an interface that leads outside of its namespace.

use std::thread::sleep;
use std::time::{Duration, Instant};

use netloom_kernel::rtnl::{
    KindSpec, LinkKind, LinkSpec, MacvlanOptions, VlanProtocol, VxlanOptions,
};

use crate::wanted::Wanted;
use crate::{Error, Outside, Place, Result, Vxlan};

/// How long the kernel may take to remove what a namespace had that has just ended. It takes
/// milliseconds, and more where many namespaces end at once.
const ENDING: Duration = Duration::from_secs(5);

/// The first and the longest pause between two tries.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(64)];

/// Makes the interface straight in its namespace.
///
/// A VNI and a VLAN exist once in the namespace of their underlay. A node that is started anew has
/// another namespace, and the kernel removes the interface of the former one some time after that
/// namespace has ended. Nothing tells when: this tries again, unless the VNI is that of a link that is
/// there.
pub(crate) fn create(link: &Wanted<'_, '_>, base: &Place, by: &Outside) -> Result<()> {
    let spec = spec(link, by);
    let is_one_of_its_kind = matches!(by, Outside::Vxlan(_) | Outside::Vlan { .. });
    let end = Instant::now() + ENDING;
    let [mut pause, longest] = PAUSES;
    loop {
        match create_once(link, base, &spec) {
            Err(error)
                if error.is_exists() && is_one_of_its_kind && Instant::now() + pause < end => {}
            outcome => return Ok(outcome?),
        }
        refuse_taken(base, by)?;
        sleep(pause);
        pause = longest.min(pause * 2);
    }
}

fn refuse_taken(base: &Place, by: &Outside) -> Result<()> {
    let Outside::Vxlan(wanted) = by else {
        return Ok(());
    };
    let links = base.socket().list_links_of_kind("vxlan")?;
    let taken = links.into_iter().find(|link| {
        matches!(&link.kind, Some(LinkKind::Vxlan(it))
            if it.vni == wanted.vni && it.port == Some(wanted.port))
    });
    match taken {
        None => Ok(()),
        Some(link) => Err(Error::Foreign {
            place: base.to_string(),
            name: link.name,
            found: format!("it has VNI {}, which can be there once", wanted.vni),
        }),
    }
}

fn create_once(
    link: &Wanted<'_, '_>,
    base: &Place,
    spec: &LinkSpec<'_>,
) -> netloom_kernel::Result<()> {
    let place = link.near.place;
    if base.id() == place.id() {
        base.socket().create_link(spec)?;
    } else {
        base.socket().create_link_in(place.netns(), spec)?;
    }
    Ok(())
}

fn spec<'a>(link: &'a Wanted<'_, '_>, by: &Outside) -> LinkSpec<'a> {
    let near = &link.near;
    let kind = match by {
        Outside::Vxlan(vxlan) => KindSpec::Vxlan(tunnel(vxlan, link.parent)),
        Outside::Macvlan { mode, .. } => KindSpec::Macvlan(MacvlanOptions::from(*mode)),
        Outside::Ipvlan { options, .. } => KindSpec::Ipvlan(*options),
        Outside::Dummy => KindSpec::Dummy,
        Outside::Vlan { id, .. } => KindSpec::Vlan {
            id: *id,
            protocol: VlanProtocol::Dot1q,
        },
    };
    let mut spec = LinkSpec::new(&near.name, kind)
        .group(near.id.group())
        .mtu(near.mtu.unwrap_or(0));
    if let Some(mac) = near.mac {
        spec = spec.mac(mac);
    }
    if !matches!(by, Outside::Vxlan(_))
        && let Some(parent) = link.parent
    {
        spec = spec.lower(parent);
    }
    spec
}

fn tunnel(vxlan: &Vxlan, device: Option<u32>) -> VxlanOptions {
    VxlanOptions {
        vni: vxlan.vni,
        local: vxlan.local,
        remote: Some(vxlan.remote),
        device,
        port: Some(vxlan.port),
        learning: Some(vxlan.learning),
    }
}
