//! The vrf plugin's configuration.

use crate::wiring::setup_error::invalid;
use crate::wiring::tables::is_reserved;
use netloom_spec::{Error, IfName, PluginConf};
use serde::Deserialize;
use serde_json::Value;

/// Upstream's keys, unvalidated.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    vrfname: String,
    table: i64,
}

/// A valid request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// The name of the VRF.
    pub(super) name: String,
    /// Its table; `None` leaves the choice.
    pub(super) table: Option<u32>,
}

impl Plan {
    /// Validates the configuration; nothing has been touched when this fails.
    pub(super) fn new(conf: &PluginConf, if_name: &str) -> Result<Self, Error> {
        let Config { vrfname, table } = conf.decode()?;
        if vrfname.is_empty() {
            let text = "configuration is expected to have a valid vrf name: set \"vrfname\"";
            return Err(invalid(text));
        }
        IfName::new(vrfname.as_str())
            .map_err(|error| invalid(format!("invalid vrfname {vrfname:?}: {error}")))?;
        if vrfname == if_name {
            let text = format!("vrfname {vrfname:?} is the name of the interface itself");
            return Err(invalid(text));
        }
        Ok(Self {
            name: vrfname,
            table: checked(table)?,
        })
    }
}

fn checked(table: i64) -> Result<Option<u32>, Error> {
    match u32::try_from(table) {
        Ok(0) => Ok(None),
        Ok(number) if is_reserved(number) => Err(invalid(format!(
            "invalid table {number}: everybody uses 253 to 255, a VRF needs one of its own"
        ))),
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(invalid(format!(
            "invalid table {table}: a routing table has a number from 1 to {}",
            u32::MAX
        ))),
    }
}

/// The name of the VRF, for DEL, which the rest of the configuration must not make impossible.
pub(super) fn name_in(conf: &PluginConf) -> Option<&str> {
    let name = conf.get("vrfname").and_then(Value::as_str)?;
    IfName::new(name).is_ok().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(keys: &str) -> Result<Plan, Error> {
        let text = format!(r#"{{"name": "n", "type": "vrf"{keys}}}"#);
        Plan::new(&PluginConf::parse(text.as_bytes()).unwrap(), "eth0")
    }

    #[test]
    fn a_vrf_has_a_name_and_maybe_a_table() {
        let blue = |table| Plan {
            name: "blue".into(),
            table,
        };
        assert_eq!(plan(r#", "vrfname": "blue""#), Ok(blue(None)));
        assert_eq!(plan(r#", "VrfName": "blue", "table": 0"#), Ok(blue(None)));
        let most = plan(r#", "vrfname": "blue", "table": 4294967295"#);
        assert_eq!(most, Ok(blue(Some(u32::MAX))));
    }

    #[test]
    fn what_cannot_be_a_vrf_is_refused() {
        for (keys, told) in [
            ("", "configuration is expected to have a valid vrf name"),
            (r#", "vrfname": "a/b""#, "invalid vrfname \"a/b\""),
            (r#", "vrfname": "sixteen-letters-""#, "invalid vrfname"),
            (r#", "vrfname": "eth0""#, "the interface itself"),
            (r#", "vrfname": "blue", "table": -1"#, "invalid table -1"),
            (r#", "vrfname": "blue", "table": 254"#, "invalid table 254"),
            (r#", "vrfname": "blue", "table": 4294967296"#, "from 1 to"),
        ] {
            let error = plan(keys).unwrap_err();
            assert!(error.code == 7 && error.msg.contains(told), "{error}");
        }
    }
}
