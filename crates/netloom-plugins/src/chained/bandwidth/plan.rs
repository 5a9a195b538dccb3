//! What is going to be done about a configuration.

use super::config::Entry;
use crate::wiring::setup_error::invalid;
use ipnet::IpNet;
use netloom_kernel::rtnl::tc::{MOST_TICKS, Tbf, longest_packet, passing, ticks, ticks_of};
use netloom_spec::{Error, PluginConf, net};

/// Upstream's, which it does not let be changed.
const DEFAULT_LATENCY: u64 = 25;
/// A minute: whatever waits longer is of no use to anybody.
const MOST_LATENCY: u64 = 60_000;
const BITS: u64 = 8;
/// 4.29 s, the longest burst of netloom up to commit 17b6fbc.
const FORMER_MOST_TICKS: u32 = u32::MAX / 64;

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

    /// In bits per second.
    pub(super) fn bits(&self) -> u64 {
        self.rate.saturating_mul(BITS)
    }

    /// In bytes.
    pub(super) fn burst(&self) -> u32 {
        self.burst
    }

    /// As a token bucket, for packets of at most so many bytes. The numbers are upstream's, unless its
    /// rounding would make the bucket too small for a packet that the burst has room for, or nothing of
    /// it: the kernel refuses a bucket of less than a tick.
    pub(super) fn bucket(&self, packet: u32) -> Tbf {
        let rounded = self.rounded_down();
        let fits = |bucket: Tbf| longest_packet(bucket.buffer, self.rate) >= u64::from(packet);
        if rounded.buffer > 0 && (self.burst < packet || fits(rounded)) {
            rounded
        } else {
            self.rounded_up()
        }
    }

    /// Every bucket that an ADD makes or made of this: today's for any packet, that of netloom up to
    /// commit 17b6fbc, which cut the burst off at 4.29 s and had all of it wait, and upstream's, whose
    /// numbers overflow.
    pub(super) fn buckets(&self) -> Vec<Tbf> {
        let all_waits = self.waiting().saturating_add(u64::from(self.burst));
        let former = Tbf {
            rate: self.rate,
            limit: u32::try_from(all_waits).unwrap_or(u32::MAX),
            buffer: ticks(self.microseconds()).min(FORMER_MOST_TICKS),
        };
        let reference = Tbf {
            rate: self.rate,
            limit: low_half(all_waits),
            buffer: low_half(u64::from(low_half(self.microseconds())) * 1000 / 64),
        };
        let mut buckets = vec![self.rounded_down()];
        for bucket in [self.rounded_up(), former, reference] {
            if !buckets.contains(&bucket) {
                buckets.push(bucket);
            }
        }
        buckets
    }

    fn rounded_down(&self) -> Tbf {
        self.bucket_of(ticks(self.microseconds()))
    }

    fn rounded_up(&self) -> Tbf {
        self.bucket_of(ticks_of(self.burst, self.rate))
    }

    /// As many bytes may wait as the bucket really holds, and what passes within the latency: not all
    /// of a burst that is longer than the kernel counts, because the rest would only wait.
    fn bucket_of(&self, buffer: u32) -> Tbf {
        let holds = if buffer == MOST_TICKS {
            passing(buffer, self.rate).min(u64::from(self.burst))
        } else {
            u64::from(self.burst)
        };
        Tbf {
            rate: self.rate,
            limit: u32::try_from(self.waiting().saturating_add(holds)).unwrap_or(u32::MAX),
            buffer,
        }
    }

    /// How long it takes to send the burst, with upstream's rounding.
    fn microseconds(&self) -> u64 {
        u64::from(self.burst) * 1_000_000 / self.rate
    }

    /// How many bytes pass within the latency.
    fn waiting(&self) -> u64 {
        let bytes = u128::from(self.rate) * u128::from(self.latency) / 1000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// What is left of a number in 32 bits.
fn low_half(number: u64) -> u32 {
    (number & u64::from(u32::MAX)) as u32
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
        let limit = |rate, burst| limit(rate, burst).bucket(0);
        let tiny = limit(8, 8);
        assert_eq!((tiny.rate, tiny.limit, tiny.buffer), (1, 1, 15_625_000));
        let slow = limit(16, 8);
        assert_eq!((slow.rate, slow.limit, slow.buffer), (2, 1, 7_812_500));
        let usual = limit(1_000_000, 80_000);
        assert_eq!(
            (usual.rate, usual.limit, usual.buffer),
            (125_000, 13_125, 1_250_000)
        );
        assert_eq!(limit(u64::MAX, 34_359_738_352).limit, u32::MAX);
    }

    #[test]
    fn no_more_waits_than_the_bucket_holds_and_what_passes_in_the_latency() {
        let limit = |rate, burst| Limit::new("x", rate, burst, 25).unwrap().unwrap();
        // What CRI sends. 214 s fit in the kernel's number, 2147 s do not.
        let long = limit(10_000_000, i32::MAX as u64).bucket(1514);
        assert_eq!((long.buffer, long.limit), (0xc7ff_fff3, 268_466_705));
        for burst in [i32::MAX as u64, 4_294_967_288, 34_359_738_359] {
            let longest = limit(1_000_000, burst).bucket(1514);
            assert_eq!((longest.buffer, longest.limit), (MOST_TICKS, 34_362_863));
        }
    }

    #[test]
    fn a_packet_that_fits_in_the_burst_fits_in_the_bucket() {
        for bits in [64_000, 1_000_000, 999_999_999, 40_000_000_000] {
            for burst in [1514, 1515, 9014, 65_549] {
                let limit = Limit::new("x", bits, burst * 8, 25).unwrap().unwrap();
                let bucket = limit.bucket(1514);
                assert!(longest_packet(bucket.buffer, bucket.rate) >= 1514, "{bits}");
                assert!(limit.buckets().contains(&bucket));
            }
        }
        // Upstream's number is 187, which 1496 bytes fit in.
        let limit = Limit::new("x", 1_000_000_000, 1514 * 8, 25)
            .unwrap()
            .unwrap();
        assert_eq!(
            (limit.bucket(1514).buffer, limit.bucket(1400).buffer),
            (190, 187)
        );
    }

    #[test]
    fn former_numbers_are_known() {
        let buckets = |rate, burst| {
            let limit = Limit::new("x", rate, burst, 25).unwrap().unwrap();
            let numbers = limit.buckets().into_iter();
            numbers.map(|b| (b.buffer, b.limit)).collect::<Vec<_>>()
        };
        // The last ones as tc showed them of Debian's plugin.
        assert_eq!(
            buckets(1_000_000, i32::MAX as u64),
            [
                (u32::MAX, 34_362_863),
                (67_108_863, 268_438_580),
                (0xcfff_ff83, 268_438_580)
            ]
        );
        assert_eq!(
            buckets(64_000, 34_359_738_352),
            [
                (u32::MAX, 2_199_223),
                (67_108_863, u32::MAX),
                (0x9fff_f0bd, 198)
            ]
        );
        assert_eq!(buckets(1_000_000, 80_000), [(1_250_000, 13_125)]);
    }

    #[test]
    fn another_latency_is_another_limit() {
        let limit = |latency| {
            Limit::new("x", 8000, 80, latency)
                .unwrap()
                .unwrap()
                .bucket(0)
                .limit
        };
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
                r#", "ingressRate": 8, "ingressBurst": 18446744073709551615"#,
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
