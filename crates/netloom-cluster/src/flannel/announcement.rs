//! What a host tells the others: its addresses, and its end of the tunnel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netloom_spec::{Error, Mac, code, decode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// No host announces as much, so that a reader need not look at more.
const LONGEST: usize = 4096;

/// A host's end of a VXLAN tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Vtep {
    /// The tunnel's network identifier, 24 bits.
    pub vni: u32,
    /// The hardware address.
    pub mac: Mac,
}

/// The value of a host's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Where the others reach the host, IPv4.
    pub public_v4: Option<Ipv4Addr>,
    /// Where the others reach the host, IPv6.
    pub public_v6: Option<Ipv6Addr>,
    /// `host-gw`, `vxlan`, or what netloom does not speak.
    pub backend: String,
    /// The tunnel end for IPv4 pods.
    pub vtep_v4: Option<Vtep>,
    /// The tunnel end for IPv6 pods.
    pub vtep_v6: Option<Vtep>,
}

/// As flannel spells it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Wire {
    #[serde(rename = "PublicIP")]
    public_ip: String,
    #[serde(rename = "PublicIPv6")]
    public_ipv6: String,
    backend_type: String,
    backend_data: Option<Value>,
    #[serde(rename = "BackendV6Data")]
    backend_v6_data: Option<Value>,
}

#[derive(Debug, Deserialize, Serialize)]
struct WireVtep {
    #[serde(rename = "VNI", default)]
    vni: u32,
    #[serde(rename = "VtepMAC")]
    mac: Mac,
}

impl Announcement {
    /// Reads a value.
    ///
    /// # Errors
    /// In words that name the field and what it must be.
    pub fn parse(value: &[u8]) -> Result<Self, Error> {
        if value.len() > LONGEST {
            let text = format!("{} bytes, more than the {LONGEST} of any host", value.len());
            return Err(invalid(text));
        }
        let wire: Wire = decode::from_slice(value)?;
        Ok(Self {
            public_v4: address("PublicIP", &wire.public_ip)?,
            public_v6: address("PublicIPv6", &wire.public_ipv6)?,
            vtep_v4: vtep(
                "BackendData",
                &wire.backend_type,
                wire.backend_data.as_ref(),
            )?,
            vtep_v6: vtep(
                "BackendV6Data",
                &wire.backend_type,
                wire.backend_v6_data.as_ref(),
            )?,
            backend: wire.backend_type,
        })
    }

    /// The value, as flannel writes it.
    #[must_use]
    pub fn to_json(&self) -> String {
        let v4 = self.public_v4.unwrap_or(Ipv4Addr::UNSPECIFIED);
        let mut value = json!({
            "PublicIP": v4,
            "PublicIPv6": self.public_v6,
            "BackendType": self.backend,
        });
        let vteps = [
            ("BackendData", self.vtep_v4),
            ("BackendV6Data", self.vtep_v6),
        ];
        for (key, vtep) in vteps {
            if let Some(Vtep { vni, mac }) = vtep {
                value[key] = json!(WireVtep { vni, mac });
            }
        }
        value.to_string()
    }

    /// Where the others reach the host, in the family of an address.
    #[must_use]
    pub fn public(&self, like: IpAddr) -> Option<IpAddr> {
        match like {
            IpAddr::V4(_) => self.public_v4.map(IpAddr::V4),
            IpAddr::V6(_) => self.public_v6.map(IpAddr::V6),
        }
    }

    /// The tunnel end for pods of the family of an address.
    #[must_use]
    pub fn vtep(&self, like: IpAddr) -> Option<Vtep> {
        match like {
            IpAddr::V4(_) => self.vtep_v4,
            IpAddr::V6(_) => self.vtep_v6,
        }
    }
}

fn invalid(text: String) -> Error {
    Error::new(code::INVALID_CONFIG, text)
}

/// flannel writes 0.0.0.0 and nothing at all for what a host does not have.
fn address<T>(field: &str, text: &str) -> Result<Option<T>, Error>
where
    T: std::str::FromStr + PartialEq + Absent,
{
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = text.parse::<T>();
    let parsed = parsed.map_err(|_| invalid(format!("{field} {text:?} is no such address")))?;
    Ok((parsed != T::NONE).then_some(parsed))
}

/// The address that stands for none.
trait Absent {
    const NONE: Self;
}

impl Absent for Ipv4Addr {
    const NONE: Self = Self::UNSPECIFIED;
}

impl Absent for Ipv6Addr {
    const NONE: Self = Self::UNSPECIFIED;
}

/// Only vxlan's data are read; `null` is none.
fn vtep(field: &str, backend: &str, data: Option<&Value>) -> Result<Option<Vtep>, Error> {
    let Some(data) = data.filter(|data| !data.is_null() && backend == "vxlan") else {
        return Ok(None);
    };
    let wire: WireVtep = decode::from_value_at(data, field)?;
    let vtep = Vtep {
        vni: wire.vni,
        mac: wire.mac,
    };
    Ok(Some(vtep))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flannels_own_values_are_read() {
        let value = br#"{"PublicIP":"192.0.2.7","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"4e:5c:11:22:33:44"}}"#;
        let read = Announcement::parse(value).unwrap();
        assert_eq!(read.public_v4, Some("192.0.2.7".parse().unwrap()));
        assert_eq!((read.public_v6, read.vtep_v6), (None, None));
        let vtep = read.vtep_v4.unwrap();
        assert_eq!(
            (vtep.vni, vtep.mac.to_string()),
            (1, "4e:5c:11:22:33:44".to_owned())
        );
        let value = br#"{"PublicIP":"192.0.2.7","PublicIPv6":null,"BackendType":"host-gw"}"#;
        assert_eq!(Announcement::parse(value).unwrap().backend, "host-gw");
        let value = br#"{"PublicIP":"0.0.0.0","PublicIPv6":"2001:db8::7","BackendType":"vxlan","BackendV6Data":{"VNI":1,"VtepMAC":"4e:5c:11:22:33:44"}}"#;
        let read = Announcement::parse(value).unwrap();
        assert_eq!((read.public_v4, read.vtep_v4), (None, None));
        assert!(read.vtep_v6.is_some());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mac = "4e:5c:11:22:33:44".parse().unwrap();
        let vtep = Some(Vtep { vni: 1, mac });
        let whole = Announcement {
            public_v4: Some("192.0.2.7".parse().unwrap()),
            public_v6: Some("2001:db8::7".parse().unwrap()),
            backend: "vxlan".into(),
            vtep_v4: vtep,
            vtep_v6: vtep,
        };
        let less = Announcement {
            public_v6: None,
            backend: "host-gw".into(),
            vtep_v4: None,
            vtep_v6: None,
            ..whole.clone()
        };
        for announcement in [whole, less] {
            let text = announcement.to_json();
            assert_eq!(
                Announcement::parse(text.as_bytes()).unwrap(),
                announcement,
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let wrong: [(&[u8], &str); 5] = [
            (b"", "invalid JSON"),
            (b"[]", "object"),
            (br#"{"PublicIP":"2001:db8::1"}"#, "PublicIP \"2001:db8::1\""),
            (br#"{"PublicIP":7}"#, "PublicIP"),
            (
                br#"{"PublicIP":"192.0.2.7","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"x"}}"#,
                "BackendData.VtepMAC",
            ),
        ];
        for (value, part) in wrong {
            let error = Announcement::parse(value).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(Announcement::parse(&vec![b' '; LONGEST + 1]).is_err());
    }
}
