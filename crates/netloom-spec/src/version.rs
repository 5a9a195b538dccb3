//! Protocol versions, their order, and the choice between several.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::decode;
use crate::error::{Error, code};

/// A released version of the CNI specification.
///
/// The order is that of release. [`FromStr`] knows exactly these seven and the
/// empty string, which is 0.1.0: that is what a configuration without
/// `cniVersion` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(
    non_camel_case_types,
    reason = "the digits of a version need a separator"
)]
pub enum Version {
    /// 0.1.0: one plugin, ADD and DEL, `ip4`/`ip6` results.
    V0_1_0,
    /// 0.2.0: adds VERSION and `args`.
    V0_2_0,
    /// 0.3.0: adds lists, `prevResult`, `runtimeConfig`, `interfaces`/`ips` results.
    V0_3_0,
    /// 0.3.1: 0.3.0 with its text corrected.
    V0_3_1,
    /// 0.4.0: adds CHECK, and `prevResult` on DEL.
    V0_4_0,
    /// 1.0.0: lists only; `ips` lose their `version`.
    V1_0_0,
    /// 1.1.0: adds GC, STATUS, `cniVersions`, and more keys in results.
    V1_1_0,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Self; 7] = [
        Self::V0_1_0,
        Self::V0_2_0,
        Self::V0_3_0,
        Self::V0_3_1,
        Self::V0_4_0,
        Self::V1_0_0,
        Self::V1_1_0,
    ];

    /// The newest version.
    pub const LATEST: Self = Self::V1_1_0;

    /// The version as it is spelled on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V0_1_0 => "0.1.0",
            Self::V0_2_0 => "0.2.0",
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// Whether this version has the CHECK command (0.4.0 and later).
    pub fn allows_check(self) -> bool {
        self >= Self::V0_4_0
    }

    /// Whether this version has the GC command (1.1.0 and later).
    pub fn allows_gc(self) -> bool {
        self >= Self::V1_1_0
    }

    /// Whether this version has the STATUS command (1.1.0 and later).
    pub fn allows_status(self) -> bool {
        self >= Self::V1_1_0
    }

    /// The shape results have in this version.
    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::V0_1_0 | Self::V0_2_0 => Shape::PerFamily,
            Self::V0_3_0 | Self::V0_3_1 | Self::V0_4_0 => Shape::VersionedIps,
            Self::V1_0_0 | Self::V1_1_0 => Shape::Current,
        }
    }

    /// `[1.0.0 1.1.0]`, the way lists of versions are written in messages.
    pub(crate) fn list<'a>(versions: impl IntoIterator<Item = &'a Self>) -> String {
        let words: Vec<&str> = versions
            .into_iter()
            .map(|version| version.as_str())
            .collect();
        format!("[{}]", words.join(" "))
    }
}

/// The three shapes a result has had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// 0.1.0 and 0.2.0: `ip4` and `ip6`, each with its routes.
    PerFamily,
    /// 0.3.0 to 0.4.0: `interfaces`, and `ips` with a `version` each.
    VersionedIps,
    /// 1.0.0 and later.
    Current,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Version {
    type Err = Error;

    /// # Errors
    /// [`code::INCOMPATIBLE_VERSION`] for anything but the known spellings.
    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self::V0_1_0);
        }
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
            .ok_or_else(|| {
                Error::new(code::INCOMPATIBLE_VERSION, "incompatible CNI versions").with_details(
                    format!(
                        "cniVersion is {text:?}, known are {}",
                        Self::list(&Self::ALL)
                    ),
                )
            })
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A version taken apart by its dots, to compare versions this crate does not know.
///
/// At most three parts, each an integer; missing parts are 0; the empty string
/// is 0.1.0. A suffix such as `-rc1` is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Triple {
    /// The first part.
    pub major: i64,
    /// The second part.
    pub minor: i64,
    /// The third part.
    pub micro: i64,
}

impl Triple {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// [`code::INCOMPATIBLE_VERSION`] if a part is no integer or there are more than three.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Version::V0_1_0.into());
        }
        let mut parts = [0; 3];
        for (index, part) in text.split('.').enumerate() {
            let slot = parts.get_mut(index).ok_or_else(|| Self::invalid(text))?;
            *slot = part.parse().map_err(|_| Self::invalid(text))?;
        }
        let [major, minor, micro] = parts;
        Ok(Self {
            major,
            minor,
            micro,
        })
    }

    fn invalid(text: &str) -> Error {
        Error::new(
            code::INCOMPATIBLE_VERSION,
            format!("invalid version {text:?}: expected up to three integers such as 1.1.0"),
        )
    }
}

impl From<Version> for Triple {
    fn from(version: Version) -> Self {
        let (major, minor, micro) = match version {
            Version::V0_1_0 => (0, 1, 0),
            Version::V0_2_0 => (0, 2, 0),
            Version::V0_3_0 => (0, 3, 0),
            Version::V0_3_1 => (0, 3, 1),
            Version::V0_4_0 => (0, 4, 0),
            Version::V1_0_0 => (1, 0, 0),
            Version::V1_1_0 => (1, 1, 0),
        };
        Self {
            major,
            minor,
            micro,
        }
    }
}

/// The version to run a configuration list in: the highest known one out of its
/// `cniVersions` and its `cniVersion` (CNI spec 1.1.0, section 1).
///
/// Entries this crate does not know are passed over. If none is left,
/// `cni_version` is kept as it is, and the plugins will have the last word. With
/// no `cniVersions` nothing is selected and nothing is checked.
///
/// # Errors
/// [`code::INVALID_CONFIG`] if an entry is not a version at all.
pub fn select_version(cni_version: &str, cni_versions: &[String]) -> Result<String, Error> {
    if cni_versions.is_empty() {
        return Ok(cni_version.to_owned());
    }
    for (index, entry) in cni_versions.iter().enumerate() {
        is_version(
            entry,
            format_args!("invalid cniVersions entry {entry} at index {index}"),
        )?;
    }
    is_version(
        cni_version,
        format_args!("invalid cniVersion {cni_version:?}"),
    )?;
    let candidates = cni_versions.iter().map(String::as_str).chain([cni_version]);
    let highest = candidates
        .filter(|text| !text.is_empty())
        .filter_map(|text| text.parse().ok());
    Ok(highest.max().map_or_else(
        || cni_version.to_owned(),
        |version: Version| version.to_string(),
    ))
}

fn is_version(text: &str, context: fmt::Arguments<'_>) -> Result<(), Error> {
    Triple::parse(text).map(|_| ()).map_err(|fault| Error {
        code: code::INVALID_CONFIG,
        ..fault.context(context)
    })
}

/// What a plugin answers to VERSION (CNI spec 1.1.0, section 5, "Version").
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginInfo {
    /// The version the answer is written in.
    pub cni_version: String,
    /// The versions the plugin supports, as it spells them.
    pub supported_versions: Vec<String>,
}

impl PluginInfo {
    /// Reads a plugin's answer.
    ///
    /// A plugin of 0.2.0 may leave `supportedVersions` out and then supports
    /// 0.1.0 and 0.2.0.
    ///
    /// # Errors
    /// [`code::DECODING`] if `bytes` are not such an object or a key is missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        #[derive(Default)]
        struct Wire {
            cni_version: String,
            supported_versions: Vec<String>,
        }
        let Wire {
            cni_version,
            mut supported_versions,
        } = decode::from_slice(bytes).map_err(|fault| fault.context("decoding version info"))?;
        if cni_version.is_empty() {
            let text = "decoding version info: missing field cniVersion";
            return Err(Error::new(code::DECODING, text));
        }
        if supported_versions.is_empty() {
            if cni_version != Version::V0_2_0.as_str() {
                let text = "decoding version info: missing field supportedVersions";
                return Err(Error::new(code::DECODING, text));
            }
            supported_versions = vec![Version::V0_1_0.into(), Version::V0_2_0.into()];
        }
        Ok(Self {
            cni_version,
            supported_versions,
        })
    }

    /// The answer as a plugin prints it: compact, one line, with a newline.
    pub fn to_json(&self) -> String {
        let mut text = decode::compact(self);
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(version: &str, versions: &[&str]) -> Result<String, Error> {
        let versions: Vec<String> = versions.iter().map(|text| (*text).to_owned()).collect();
        select_version(version, &versions)
    }

    #[test]
    fn only_the_exact_spellings_are_versions() {
        for version in Version::ALL {
            assert_eq!(version.as_str().parse::<Version>().unwrap(), version);
        }
        assert_eq!("".parse::<Version>().unwrap(), Version::V0_1_0);
        for text in [
            "1.0",
            "1",
            "v1.0.0",
            "1.2.0",
            "01.0.0",
            " 1.0.0",
            "1.0.0-rc1",
            "0.5.0",
        ] {
            let fault = text.parse::<Version>().unwrap_err();
            assert_eq!(fault.code, code::INCOMPATIBLE_VERSION, "{text}");
            assert!(fault.details.contains(&format!("{text:?}")), "{fault}");
        }
    }

    #[test]
    fn versions_are_in_order_of_release() {
        assert!(Version::ALL.is_sorted());
        assert_eq!(Version::ALL.last(), Some(&Version::LATEST));
        let triples = Version::ALL.map(Triple::from);
        assert!(triples.is_sorted());
        for version in Version::ALL {
            assert_eq!(Triple::parse(version.as_str()).unwrap(), version.into());
        }
    }

    #[test]
    fn commands_belong_to_the_versions_that_brought_them() {
        let with = |allows: fn(Version) -> bool| Version::ALL.into_iter().find(|v| allows(*v));
        assert_eq!(with(Version::allows_check), Some(Version::V0_4_0));
        assert_eq!(with(Version::allows_gc), Some(Version::V1_1_0));
        assert_eq!(with(Version::allows_status), Some(Version::V1_1_0));
    }

    #[test]
    fn triples_are_up_to_three_integers() {
        let triple = |major, minor, micro| Triple {
            major,
            minor,
            micro,
        };
        assert_eq!(Triple::parse("").unwrap(), triple(0, 1, 0));
        assert_eq!(Triple::parse("2").unwrap(), triple(2, 0, 0));
        assert_eq!(Triple::parse("1.10").unwrap(), triple(1, 10, 0));
        assert_eq!(Triple::parse("0.-42.0").unwrap(), triple(0, -42, 0));
        for text in [
            "1.0.0.0",
            "1.0.0-rc1",
            "a",
            "1..0",
            ".",
            "1.0.",
            "99999999999999999999",
        ] {
            assert!(
                Triple::parse(text).unwrap_err().msg.contains(text),
                "{text}"
            );
        }
    }

    #[test]
    fn the_highest_known_version_is_selected() {
        assert_eq!(select("0.4.0", &["1.0.0", "0.3.1"]).unwrap(), "1.0.0");
        assert_eq!(select("1.1.0", &["1.0.0"]).unwrap(), "1.1.0");
        assert_eq!(select("", &["0.4.0"]).unwrap(), "0.4.0");
        assert_eq!(select("2.0.0", &["1.0.0", "1.2.0"]).unwrap(), "1.0.0");
        assert_eq!(select("0.4.0", &["0.5.0"]).unwrap(), "0.4.0");
    }

    #[test]
    fn the_version_stays_where_there_is_no_choice() {
        assert_eq!(select("9.9.9", &[]).unwrap(), "9.9.9");
        assert_eq!(select("", &[]).unwrap(), "");
        assert_eq!(select("9.9.9", &["1.2.0"]).unwrap(), "9.9.9");
        assert_eq!(select("nonsense", &[]).unwrap(), "nonsense");
    }

    #[test]
    fn what_is_no_version_cannot_be_chosen_from() {
        let fault = select("1.0.0", &["1.1.0", "1.x"]).unwrap_err();
        assert_eq!(fault.code, code::INVALID_CONFIG);
        assert!(
            fault
                .msg
                .starts_with("invalid cniVersions entry 1.x at index 1: "),
            "{fault}"
        );
        let fault = select("x", &["1.1.0"]).unwrap_err();
        assert!(
            fault.msg.starts_with("invalid cniVersion \"x\": "),
            "{fault}"
        );
    }

    #[test]
    fn version_answers_are_read_as_old_plugins_wrote_them() {
        let read = |text: &str| PluginInfo::parse(text.as_bytes());
        let info = read(r#"{"cniVersion":"1.0.0","supportedVersions":["0.4.0","x"]}"#).unwrap();
        assert_eq!(info.supported_versions, ["0.4.0", "x"]);
        let info = read(r#"{"cniVersion":"0.2.0"}"#).unwrap();
        assert_eq!(info.supported_versions, ["0.1.0", "0.2.0"]);
        for (text, missing) in [
            (r#"{"supportedVersions":["0.4.0"]}"#, "cniVersion"),
            (r#"{"cniVersion":"0.3.0"}"#, "supportedVersions"),
            (
                r#"{"cniVersion":"1.0.0","supportedVersions":null}"#,
                "supportedVersions",
            ),
        ] {
            let fault = read(text).unwrap_err();
            assert_eq!(
                fault.msg,
                format!("decoding version info: missing field {missing}")
            );
        }
        assert!(read("").is_err());
    }

    #[test]
    fn a_version_answer_is_one_compact_line() {
        let info = PluginInfo {
            cni_version: "1.1.0".into(),
            supported_versions: vec!["0.4.0".into()],
        };
        let line = "{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.4.0\"]}\n";
        assert_eq!(info.to_json(), line);
    }
}
