//! What is going to be done about a configuration.

use super::config::Entry;
use crate::wiring::fault::invalid;
use ipnet::IpNet;
use netloom_kernel::rtnl::tc::{Tbf, ticks};
use netloom_spec::{Error, PluginConf, net};

/// Upstream's, which it does not let be changed.
const DEFAULT_LATENCY: u64 = 25;
/// A minute: whatever waits longer is of no use to anybody.
const MOST_LATENCY: u64 = 60_000;
const BITS: u64 = 8;

/// A valid request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// For what the pod receives.
    pub(super) ingress: Option<Limit>,
    /// For what the pod sends.
    pub(super) egress: Option<Limit>,
    /// Whom the limits are for.
    pub(super) subnets: Subnets,
}

/// A limit for one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    /// In bytes per second.
    rate: u64,
    /// In bytes.
    burst: u32,
    /// In milliseconds.
    latency: u64,
}

/// The other ends of the traffic that is limited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Subnets {
    All,
    /// All but those in these subnets.
    Except(Vec<IpNet>),
    /// Those in these subnets.
    Only(Vec<IpNet>),
}

impl Plan {
    /// Validates the configuration; nothing has been touched when this fails.
    pub(super) fn new(conf: &PluginConf) -> Result<Self, Error> {
        let entry = Entry::read(conf)?;
        let side = |name, rate: Option<u64>, burst: Option<u64>, latency: Option<u64>| {
            Limit::new(
                name,
                rate.unwrap_or(0),
                burst.unwrap_or(0),
                latency.unwrap_or(DEFAULT_LATENCY),
            )
        };
        Ok(Self {
            ingress: side(
                "ingress",
                entry.ingress_rate,
                entry.ingress_burst,
                entry.ingress_latency,
            )?,
            egress: side(
                "egress",
                entry.egress_rate,
                entry.egress_burst,
                entry.egress_latency,
            )?,
            subnets: Subnets::new(
                entry.unshaped_subnets.unwrap_or_default(),
                entry.shaped_subnets.unwrap_or_default(),
            )?,
        })
    }

    pub(super) fn limits_anything(&self) -> bool {
        self.ingress.is_some() || self.egress.is_some()
    }
}

impl Limit {
    fn new(side: &str, rate: u64, burst: u64, latency: u64) -> Result<Option<Self>, Error> {
        if latency > MOST_LATENCY {
            return Err(invalid(format!(
                "invalid {side}Latency {latency} (must be between 0 and {MOST_LATENCY} ms)"
            )));
        }
        match (rate, burst) {
            (0, 0) => return Ok(None),
            (_, 0) => {
                return Err(invalid(format!(
                    "if rate is set, burst must also be set: {side}Rate is {rate}, {side}Burst is 0"
                )));
            }
            (0, _) => {
                return Err(invalid(format!(
                    "if burst is set, rate must also be set: {side}Burst is {burst}, {side}Rate is 0"
                )));
            }
            _ => {}
        }
        for (key, bits) in [("Rate", rate), ("Burst", burst)] {
            if bits < BITS {
                return Err(invalid(format!(
                    "invalid {side}{key} {bits} (must be at least {BITS} bits, a byte)"
                )));
            }
        }
        match u32::try_from(burst / BITS) {
            Ok(burst) if burst < u32::MAX => Ok(Some(Self {
                rate: rate / BITS,
                burst,
                latency,
            })),
            _ => Err(invalid(format!(
                "burst cannot be more than 4GB: {side}Burst is {burst} bits"
            ))),
        }
    }

    /// In bytes per second.
    pub(super) fn rate(&self) -> u64 {
        self.rate
    }

    /// In bytes.
    pub(super) fn burst(&self) -> u32 {
        self.burst
    }

    /// How long it takes to send the burst, in the kernel's unit and with upstream's rounding. The
    /// kernel keeps no more than four seconds.
    pub(super) fn buffer(&self) -> u32 {
        ticks(u64::from(self.burst) * 1_000_000 / self.rate)
    }

    /// How many bytes may wait: the burst, and what passes within the latency.
    pub(super) fn limit(&self) -> u32 {
        let waiting = u128::from(self.rate) * u128::from(self.latency) / 1000;
        u32::try_from(waiting)
            .unwrap_or(u32::MAX)
            .saturating_add(self.burst)
    }

    /// As a token bucket.
    pub(super) fn bucket(&self) -> Tbf {
        Tbf {
            rate: self.rate,
            limit: self.limit(),
            buffer: self.buffer(),
        }
    }
}

impl Subnets {
    fn new(unshaped: Vec<String>, shaped: Vec<String>) -> Result<Self, Error> {
        let parse = |key: &str, texts: Vec<String>| -> Result<Vec<IpNet>, Error> {
            let parse = |text: String| match net::parse_cidr(&text) {
                Ok(net) => Ok(net.trunc()),
                Err(error) => Err(invalid(format!(
                    "bad subnet {text:?} provided in {key}: {error}"
                ))),
            };
            texts.into_iter().map(parse).collect()
        };
        match (unshaped.is_empty(), shaped.is_empty()) {
            (true, true) => Ok(Self::All),
            (false, true) => Ok(Self::Except(parse("unshapedSubnets", unshaped)?)),
            (true, false) => Ok(Self::Only(parse("shapedSubnets", shaped)?)),
            (false, false) => Err(invalid(
                "unshapedSubnets and shapedSubnets cannot be both specified, one of them should be \
                 discarded",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use netloom_spec::code;

    fn plan(keys: &str) -> Result<Plan, Error> {
        let json = format!(r#"{{"name": "n", "type": "bandwidth"{keys}}}"#);
        Plan::new(&PluginConf::parse(json.as_bytes()).unwrap())
    }

    const OWN: &str = r#", "ingressRate": 8000, "ingressBurst": 800"#;
    const RUNTIME: &str =
        r#", "runtimeConfig": {"bandwidth": {"egressRate": 16000, "egressBurst": 1600}}"#;

    #[test]
    fn no_limit_is_none() {
        for keys in ["", r#", "ingressRate": 0, "ingressBurst": 0"#] {
            assert!(!plan(keys).unwrap().limits_anything(), "{keys}");
        }
    }

    #[test]
    fn one_limit_in_the_configuration_outdoes_all_of_the_runtimes() {
        let runtime = plan(RUNTIME).unwrap();
        assert!(runtime.ingress.is_none() && runtime.egress.is_some());
        let own = plan(&format!("{OWN}{RUNTIME}")).unwrap();
        assert!(own.ingress.is_some() && own.egress.is_none());
        let zero = plan(&format!(r#", "egressBurst": 0{RUNTIME}"#)).unwrap();
        assert!(!zero.limits_anything());
        // What is no limit is not asked for at all in one place only.
        let latency = plan(&format!(r#", "egressLatency": 5{RUNTIME}"#)).unwrap();
        assert_eq!(latency.egress.unwrap().latency, 5);
    }

    #[test]
    fn the_numbers_are_upstreams() {
        // As its tests have them: rate and burst of 8 and 16 bits.
        let limit = |rate, burst| Limit::new("x", rate, burst, 25).unwrap().unwrap();
        let tiny = limit(8, 8).bucket();
        assert_eq!((tiny.rate, tiny.limit, tiny.buffer), (1, 1, 15_625_000));
        let slow = limit(16, 8).bucket();
        assert_eq!((slow.rate, slow.limit, slow.buffer), (2, 1, 7_812_500));
        let usual = limit(1_000_000, 80_000).bucket();
        assert_eq!(
            (usual.rate, usual.limit, usual.buffer),
            (125_000, 13_125, 1_250_000)
        );
        // What containerd asks for, of which upstream's number overflows.
        let wide = limit(1_000_000, u64::from(u32::MAX)).bucket();
        assert_eq!(wide.buffer, netloom_kernel::rtnl::tc::MOST_TICKS);
        assert_eq!(limit(u64::MAX, 34_359_738_352).limit(), u32::MAX);
    }

    #[test]
    fn another_latency_is_another_limit() {
        let limit = |latency| Limit::new("x", 8000, 80, latency).unwrap().unwrap().limit();
        assert_eq!((limit(0), limit(25), limit(1000)), (10, 35, 1010));
    }

    #[test]
    fn subnets_are_of_one_sort() {
        let shaped = r#", "shapedSubnets": ["10.1.2.3/8", "fd00::1/64"]"#;
        let subnets = plan(shaped).unwrap().subnets;
        let nets = ["10.0.0.0/8", "fd00::/64"].map(|net| net.parse().unwrap());
        assert_eq!(subnets, Subnets::Only(nets.to_vec()));
        let unshaped = r#", "unshapedSubnets": ["10.0.0.0/8"]"#;
        assert!(matches!(
            plan(unshaped).unwrap().subnets,
            Subnets::Except(_)
        ));
        let both = plan(&format!("{shaped}{unshaped}")).unwrap_err();
        assert!(both.msg.contains("cannot be both specified"), "{both}");
    }

    #[test]
    fn bad_values_are_named() {
        for (keys, words) in [
            (
                r#", "ingressRate": 8000"#,
                "if rate is set, burst must also be set: ingressRate is 8000",
            ),
            (
                r#", "egressBurst": 800"#,
                "if burst is set, rate must also be set: egressBurst is 800",
            ),
            (
                r#", "ingressRate": 7, "ingressBurst": 8"#,
                "invalid ingressRate 7",
            ),
            (
                r#", "egressRate": 8, "egressBurst": 7"#,
                "invalid egressBurst 7",
            ),
            (
                r#", "ingressRate": 8, "ingressBurst": 34359738360"#,
                "burst cannot be more than 4GB",
            ),
            (
                r#", "ingressLatency": 60001"#,
                "invalid ingressLatency 60001",
            ),
            (
                r#", "shapedSubnets": ["10.0.0.0/8", "hello"]"#,
                "bad subnet \"hello\"",
            ),
        ] {
            let error = plan(keys).unwrap_err();
            assert_eq!(error.code, code::INVALID_CONFIG, "{keys}");
            assert!(error.msg.contains(words), "{keys}: {error}");
        }
        assert!(plan(r#", "ingressRate": 8, "ingressBurst": 34359738359"#).is_ok());
        assert!(plan(r#", "ingressRate": -8"#).is_err());
    }
}
