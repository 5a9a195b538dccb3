//! The MAC address that a configuration asks for.

use super::setup_error::invalid;
use netloom_spec::{CniArgs, Error, Mac};
use serde::Deserialize;

/// An object of the configuration of which only `mac` matters: `runtimeConfig`, `args.cni`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WithMac {
    pub(crate) mac: String,
}

/// What plugins with a key `mac` are asked for: `runtimeConfig.mac` wins over `MAC` of `CNI_ARGS`,
/// which wins over `mac`.
pub(crate) fn requested(
    runtime: &WithMac,
    cni_args: &str,
    own: &str,
) -> Result<Option<Mac>, Error> {
    first([&runtime.mac, &of_cni_args(cni_args)?, own])
}

/// `MAC` of `CNI_ARGS`, which refuses other keys unless it says to ignore them.
pub(crate) fn of_cni_args(cni_args: &str) -> Result<String, Error> {
    let args = CniArgs::parse(cni_args)?;
    args.known(&["MAC"])?;
    Ok(args.get("MAC").unwrap_or_default().to_owned())
}

/// The first source that says anything.
pub(crate) fn first(sources: [&str; 3]) -> Result<Option<Mac>, Error> {
    let given = sources.into_iter().find(|text| !text.is_empty());
    given.map(unicast).transpose()
}

/// Reads the address of an interface.
fn unicast(text: &str) -> Result<Mac, Error> {
    let mac: Mac = text
        .parse()
        .map_err(|error| invalid(format!("{error} (mac {text:?} of the container interface)")))?;
    // The kernel refuses group addresses and zero for an interface.
    if mac.0[0] & 1 == 1 || mac.0 == [0; 6] {
        return Err(invalid(format!(
            "address {text}: invalid MAC address, a unicast address is needed (mac {text:?} of the \
             container interface)"
        )));
    }
    Ok(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(runtime: &str, args: &str, own: &str) -> Result<Option<String>, Error> {
        let runtime = WithMac {
            mac: runtime.to_owned(),
        };
        Ok(requested(&runtime, args, own)?.map(|mac| mac.to_string()))
    }

    #[test]
    fn the_runtime_wins_over_arguments_which_win_over_the_configuration() {
        let [one, two, three] = [
            "02:00:00:00:00:01",
            "02:00:00:00:00:02",
            "02:00:00:00:00:03",
        ];
        assert_eq!(of("", "", ""), Ok(None));
        assert_eq!(of("", "", one), Ok(Some(one.to_owned())));
        assert_eq!(
            of("", "MAC=02-00-00-00-00-02", one),
            Ok(Some(two.to_owned()))
        );
        assert_eq!(of(three, "MAC=x", one), Ok(Some(three.to_owned())));
    }

    #[test]
    fn what_no_interface_can_have_is_refused_by_its_value() {
        for bad in ["01:00:00:00:00:01", "00:00:00:00:00:00", "02:00", "eth0"] {
            let error = of("", "", bad).unwrap_err();
            assert!(error.msg.contains(bad), "{error}");
            assert_eq!(error.code, netloom_spec::code::INVALID_CONFIG);
        }
    }

    #[test]
    fn foreign_arguments_are_refused_unless_they_are_to_be_ignored() {
        assert!(of("", "FOO=1", "").is_err());
        assert_eq!(of("", "FOO=1;IgnoreUnknown=1", ""), Ok(None));
    }
}
