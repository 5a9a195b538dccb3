//! The kinds of links that plugins need of the kernel.

use super::SetupError;
use netloom_kernel::rtnl::Socket;
use netloom_spec::{Error, code};

/// Each kind that kernels are built without: its module, and the option that builds it.
const KINDS: [(&str, &str, &str); 7] = [
    ("bridge", "bridge", "CONFIG_BRIDGE"),
    ("dummy", "dummy", "CONFIG_DUMMY"),
    ("ifb", "ifb", "CONFIG_IFB"),
    ("ipvlan", "ipvlan", "CONFIG_IPVLAN"),
    ("macvlan", "macvlan", "CONFIG_MACVLAN"),
    ("vlan", "8021q", "CONFIG_VLAN_8021Q"),
    ("vrf", "vrf", "CONFIG_NET_VRF"),
];

/// What a kernel without the kind lacks: what STATUS and doctor say.
fn missing((kind, module, option): (&str, &str, &str)) -> String {
    format!(
        "the kernel has no links of kind {kind}: load its module {module}, or use a kernel with \
         {option}"
    )
}

/// The command that loads the kind of link which this text says is missing.
#[must_use]
pub fn command_for(text: &str) -> Option<String> {
    let (_, module, _) = KINDS.iter().find(|it| text.contains(&missing(**it)))?;
    Some(format!("modprobe {module}"))
}

/// Says so if the kernel has no links of the kind. Nothing is made to find out.
///
/// # Errors
/// If the kernel does not say.
pub fn lack_of(kind: &str) -> Result<Option<String>, Error> {
    let ask = || Socket::open()?.has_link_kind(kind);
    let has = ask().map_err(SetupError::kernel(format!(
        "failed to find out whether the kernel has links of kind {kind}"
    )))?;
    let known = KINDS.iter().find(|(name, ..)| *name == kind);
    let of_its_name = (kind, kind, "it");
    Ok((!has).then(|| missing(*known.unwrap_or(&of_its_name))))
}

/// STATUS: without the kind of link no ADD can be served.
pub(crate) fn require_links_of(kind: &str) -> Result<(), Error> {
    let lack = lack_of(kind).unwrap_or_else(|error| Some(error.to_string()));
    lack.map_or(Ok(()), |msg| Err(unavailable(msg)))
}

/// STATUS: the same of bridges that filter VLANs.
pub(crate) fn require_vlan_filtering() -> Result<(), Error> {
    let ask = || Socket::open()?.has_vlan_filtering();
    let what = "failed to find out whether bridges filter VLANs";
    match ask().map_err(SetupError::kernel(what)) {
        Ok(true) => Ok(()),
        Ok(false) => Err(unavailable(
            "the kernel's bridges do not filter VLANs, as vlan and vlanTrunk need: it is built \
             without CONFIG_BRIDGE_VLAN_FILTERING",
        )),
        Err(fault) => Err(unavailable(fault.to_string())),
    }
}

fn unavailable(msg: impl Into<String>) -> Error {
    Error::new(code::PLUGIN_NOT_AVAILABLE, msg)
}

#[cfg(test)]
mod tests {
    use super::{KINDS, command_for, missing};

    #[test]
    fn the_command_loads_what_is_said_to_be_missing_and_nothing_else() {
        for it in KINDS {
            let said = format!("plugin failed (status): {}", missing(it));
            assert_eq!(command_for(&said), Some(format!("modprobe {}", it.1)));
        }
        assert_eq!(command_for("the kernel has no links of kind gre"), None);
    }
}
