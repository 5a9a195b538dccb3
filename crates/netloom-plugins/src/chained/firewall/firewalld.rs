//! The firewall by firewalld, over D-Bus: pod addresses become sources of a zone.
//!
//! As upstream does it, at runtime only: firewalld forgets them when it reloads.

use super::dbus::{Connection, DbusError, Method};
use crate::wiring::SetupError;
use crate::wiring::check::mismatch;
use ipnet::IpNet;
use std::net::IpAddr;

const NAME: &str = "org.fedoraproject.FirewallD1";
const OWNER: Method<'_> = Method {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "GetNameOwner",
};

const fn zone_method(member: &str) -> Method<'_> {
    Method {
        destination: NAME,
        path: "/org/fedoraproject/FirewallD1",
        interface: "org.fedoraproject.FirewallD1.zone",
        member,
    }
}

/// A connection to the bus on which firewalld is.
#[derive(Debug)]
pub(super) struct Firewalld(Connection);

impl Firewalld {
    /// Connects; whether firewalld is there is seen by the first call.
    pub(super) fn connect() -> Result<Self, SetupError> {
        Connection::open()
            .map(Self)
            .map_err(failed("failed to reach firewalld by the system bus"))
    }

    /// Connects if there is a bus, and firewalld on it.
    pub(super) fn if_running() -> Option<Self> {
        let mut connection = Connection::open().ok()?;
        connection.call(OWNER, &[NAME]).ok()?;
        Some(Self(connection))
    }

    /// Fails unless firewalld is on the bus.
    pub(super) fn require(&mut self) -> Result<(), SetupError> {
        self.0
            .call(OWNER, &[NAME])
            .map(drop)
            .map_err(failed("firewalld is not running"))
    }

    /// Makes the addresses sources of the zone. Those that are there already are no error.
    pub(super) fn add(&mut self, zone: &str, ips: &[IpAddr]) -> Result<(), SetupError> {
        for ip in ips {
            let source = IpNet::from(*ip).to_string();
            match self.0.call(zone_method("addSource"), &[zone, &source]) {
                Err(error) if !says(&error, "ZONE_ALREADY_SET") => {
                    let what = format!("failed to add {source} to firewalld's zone {zone:?}");
                    return Err(failed(what)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes the addresses out of the zone. Those that are not there are no error.
    pub(super) fn remove(&mut self, zone: &str, ips: &[IpAddr]) -> Result<(), SetupError> {
        let mut outcome = Ok(());
        for ip in ips {
            let source = IpNet::from(*ip).to_string();
            // The last: it is a source of another zone, where nobody put it for the pod.
            let gone = [
                "NOT_ENABLED",
                "UNKNOWN_SOURCE",
                "INVALID_ZONE",
                "ZONE_CONFLICT",
            ];
            match self.0.call(zone_method("removeSource"), &[zone, &source]) {
                Err(error) if !gone.iter().any(|word| says(&error, word)) => {
                    let what = format!("failed to remove {source} from firewalld's zone {zone:?}");
                    outcome = outcome.and(Err(failed(what)(error)));
                }
                _ => {}
            }
        }
        outcome
    }

    /// Every address is a source of the zone.
    pub(super) fn check(&mut self, zone: &str, ips: &[IpAddr]) -> Result<(), SetupError> {
        for ip in ips {
            let source = IpNet::from(*ip).to_string();
            let what = format!("failed to look for {source} in firewalld's zone {zone:?}");
            let answer = self.0.call(zone_method("querySource"), &[zone, &source]);
            if !answer
                .and_then(|answer| answer.is_true())
                .map_err(failed(what))?
            {
                return Err(mismatch(format!(
                    "{source} not found in firewalld's zone {zone:?}"
                )));
            }
        }
        Ok(())
    }
}

/// firewalld's own word for an error is in its name or in its message, by version.
fn says(error: &DbusError, word: &str) -> bool {
    matches!(error, DbusError::Refused { name, message }
        if name.contains(word) || message.contains(word))
}

fn failed(what: impl Into<String>) -> impl FnOnce(DbusError) -> SetupError {
    let what = what.into();
    move |cause| mismatch(format!("{what}: {cause}"))
}
