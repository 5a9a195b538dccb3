//! The flags of `dhcp daemon`, as Go's package flag reads them: one dash or two, `-name value` or
//! `-name=value`.

use super::config::SOCKET;
use super::retry::Patience;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What the daemon was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) pidfile: Option<PathBuf>,
    /// Put before paths of namespaces and the socket's, for a daemon in a container.
    pub(super) host_prefix: String,
    pub(super) socket: String,
    pub(super) broadcast: bool,
    pub(super) patience: Patience,
}

/// Why there is nothing to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Somebody asked for help.
    Help,
    /// What is wrong.
    Wrong(String),
}

/// What `-help` prints.
pub(super) const USAGE: &str = "\
Usage of daemon:
  -broadcast
    \task servers to broadcast their answers
  -hostprefix string
    \tprefix of the socket's path and of namespaces' paths
  -pidfile string
    \tabsolute path to write the daemon's PID to
  -resendmax duration
    \tlongest wait between two tries (default 1m2s)
  -resendtimeout duration
    \twhen to give up an acquisition (default 3m28s)
  -socketpath string
    \twhere to listen (default \"/run/cni/dhcp.sock\")
  -timeout duration
    \thow long to wait for the first answer, doubling with each try (default 10s)
";

impl Default for Flags {
    fn default() -> Self {
        Self {
            pidfile: None,
            host_prefix: String::new(),
            socket: SOCKET.to_owned(),
            broadcast: false,
            patience: Patience::default(),
        }
    }
}

impl Flags {
    pub(super) fn parse(arguments: &[OsString]) -> Result<Self, Stop> {
        let mut flags = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let argument = argument.to_string_lossy();
            let Some(flag) = argument.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
                break;
            };
            if flag == "-" {
                break;
            }
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            let (name, given) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            let mut next = || {
                rest.next()
                    .map(|value| value.to_string_lossy().into_owned())
            };
            flags.set(name, given, &mut next)?;
        }
        flags.validated()
    }

    fn set(
        &mut self,
        name: &str,
        given: Option<String>,
        next: &mut dyn FnMut() -> Option<String>,
    ) -> Result<(), Stop> {
        match name {
            "h" | "help" => return Err(Stop::Help),
            "broadcast" => {
                self.broadcast = match given {
                    None => true,
                    Some(text) => boolean(&text).ok_or_else(|| invalid(name, &text))?,
                };
                return Ok(());
            }
            "pidfile" | "hostprefix" | "socketpath" | "timeout" | "resendmax" | "resendtimeout" => {
            }
            "" => return Err(Stop::Wrong("bad flag syntax: -=".to_owned())),
            _ => {
                return Err(Stop::Wrong(format!(
                    "flag provided but not defined: -{name}"
                )));
            }
        }
        let needs = || Stop::Wrong(format!("flag needs an argument: -{name}"));
        let value = given.or_else(next).ok_or_else(needs)?;
        let time = || duration(&value).ok_or_else(|| invalid(name, &value));
        match name {
            "timeout" => self.patience.timeout = time()?,
            "resendmax" => self.patience.resend_max = time()?,
            "resendtimeout" => self.patience.give_up = time()?,
            "hostprefix" => self.host_prefix = value,
            "socketpath" if value.is_empty() => SOCKET.clone_into(&mut self.socket),
            "socketpath" => self.socket = value,
            _ => self.pidfile = (!value.is_empty()).then(|| value.into()),
        }
        Ok(())
    }

    fn validated(self) -> Result<Self, Stop> {
        match &self.pidfile {
            Some(path) if !path.is_absolute() => Err(Stop::Wrong(format!(
                "Error writing pidfile {path:?}: path not absolute"
            ))),
            _ => Ok(self),
        }
    }
}

fn invalid(name: &str, value: &str) -> Stop {
    let right = if name == "broadcast" {
        "true or false"
    } else {
        "a duration above zero such as 10s or 1m30s"
    };
    Stop::Wrong(format!(
        "invalid value {value:?} for flag -{name}: parse error, it must be {right}"
    ))
}

/// Go's strconv.ParseBool.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Go's time.ParseDuration, without what is not above zero.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (number, after) = rest.split_at(rest.find(|c| !is_number(c))?);
        let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let scale = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let seconds = number.parse::<f64>().ok()? * scale;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = after;
    }
    (!total.is_zero()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags, Stop> {
        let arguments: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
        Flags::parse(&arguments)
    }

    #[test]
    fn the_defaults_are_the_references() {
        let flags = parse("").unwrap();
        assert_eq!(flags.socket, "/run/cni/dhcp.sock");
        let Patience {
            timeout,
            resend_max,
            give_up,
        } = flags.patience;
        let seconds = [timeout, resend_max, give_up].map(|time| time.as_secs());
        assert_eq!((seconds, flags.broadcast), ([10, 62, 208], false));
    }

    #[test]
    fn every_way_to_write_a_flag_is_read() {
        let flags = parse(
            "-pidfile /run/p --hostprefix=/host -socketpath=/s.sock --broadcast -timeout 1m1.5s \
             -resendmax=300ms -resendtimeout 1h",
        );
        let flags = flags.unwrap();
        assert_eq!(flags.pidfile, Some("/run/p".into()));
        assert_eq!(
            (flags.host_prefix.as_str(), flags.socket.as_str()),
            ("/host", "/s.sock")
        );
        assert!(flags.broadcast);
        assert_eq!(flags.patience.timeout, Duration::from_millis(61_500));
        assert_eq!(flags.patience.resend_max, Duration::from_millis(300));
        assert_eq!(flags.patience.give_up, Duration::from_secs(3600));
        assert!(!parse("-broadcast=F").unwrap().broadcast);
    }

    #[test]
    fn what_follows_the_flags_is_ignored_as_go_does() {
        assert_eq!(parse("now -bogus"), parse(""));
        assert_eq!(parse("-- -bogus"), parse(""));
        assert_eq!(parse("- -bogus"), parse(""));
    }

    #[test]
    fn every_wrong_flag_is_named() {
        assert_eq!(parse("-h"), Err(Stop::Help));
        assert_eq!(parse("--help"), Err(Stop::Help));
        for (line, words) in [
            ("-bogus", "flag provided but not defined: -bogus"),
            ("-timeout", "flag needs an argument: -timeout"),
            (
                "-timeout x",
                "invalid value \"x\" for flag -timeout: parse error",
            ),
            ("-timeout 10", "invalid value \"10\""),
            ("-timeout 0s", "invalid value \"0s\""),
            ("-timeout -1s", "invalid value \"-1s\""),
            ("-timeout 1e3s", "invalid value"),
            ("-broadcast=yes", "true or false"),
            ("-pidfile p", "path not absolute"),
            ("-=", "bad flag syntax"),
        ] {
            match parse(line) {
                Err(Stop::Wrong(text)) => assert!(text.contains(words), "{line}: {text}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}
