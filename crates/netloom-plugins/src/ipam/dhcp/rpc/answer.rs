//! Answers: Go's `types100.Result`, or nothing, or an error.

use super::super::gob::{
    Fields, GobError, Record, TypeId, Value, message, slice_type, struct_type,
};
use super::Response;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netloom_spec::{AddResult, Dns, IpConfig, Route};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const RESPONSE: TypeId = 65;
const RESULT: TypeId = 66;
const INTERFACES: TypeId = 67;
const INTERFACE: TypeId = 68;
const IPS: TypeId = 69;
const IP_CONFIG: TypeId = 70;
const IP_NET: TypeId = 71;
const ROUTES: TypeId = 72;
const ROUTE: TypeId = 73;
const DNS: TypeId = 74;
const STRINGS: TypeId = 75;
const NOTHING: TypeId = 76;

/// Writes the answers of one connection: types are described before their first use only.
#[derive(Debug, Default)]
pub(in super::super) struct Answers {
    response_described: bool,
    result_described: bool,
    nothing_described: bool,
}

impl Answers {
    /// A call that returned a result.
    pub(in super::super) fn result(
        &mut self,
        method: &str,
        sequence: u64,
        result: &AddResult,
    ) -> Vec<u8> {
        let mut out = self.head(method, sequence, "");
        if !std::mem::replace(&mut self.result_described, true) {
            out.extend(result_types());
        }
        out.extend(message(RESULT, result_fields(result)));
        out
    }

    /// A call that returned nothing.
    pub(in super::super) fn nothing(&mut self, method: &str, sequence: u64) -> Vec<u8> {
        self.without_value(method, sequence, "")
    }

    /// A call that failed.
    pub(in super::super) fn error(&mut self, method: &str, sequence: u64, error: &str) -> Vec<u8> {
        // An empty text would be success.
        let error = if error.is_empty() { "unknown" } else { error };
        self.without_value(method, sequence, error)
    }

    fn without_value(&mut self, method: &str, sequence: u64, error: &str) -> Vec<u8> {
        let mut out = self.head(method, sequence, error);
        if !std::mem::replace(&mut self.nothing_described, true) {
            out.extend(struct_type(NOTHING, "", &[]));
        }
        out.extend(message(NOTHING, Fields::default()));
        out
    }

    fn head(&mut self, method: &str, sequence: u64, error: &str) -> Vec<u8> {
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.response_described, true) {
            let fields = [
                ("ServiceMethod", Fields::STRING),
                ("Seq", Fields::UINT),
                ("Error", Fields::STRING),
            ];
            out.extend(struct_type(RESPONSE, "Response", &fields));
        }
        let head = Fields::default()
            .string(1, method)
            .uint(2, sequence)
            .string(3, error);
        out.extend(message(RESPONSE, head));
        out
    }
}

/// Fields of newer versions come after those of older ones; a reader finds them by name.
fn result_types() -> Vec<u8> {
    let result = [
        ("CNIVersion", Fields::STRING),
        ("Interfaces", INTERFACES),
        ("IPs", IPS),
        ("Routes", ROUTES),
        ("DNS", DNS),
    ];
    let interface = [
        ("Name", Fields::STRING),
        ("Mac", Fields::STRING),
        ("Sandbox", Fields::STRING),
    ];
    let ip_config = [
        ("Interface", Fields::INT),
        ("Address", IP_NET),
        ("Gateway", Fields::BYTES),
    ];
    let ip_net = [("IP", Fields::BYTES), ("Mask", Fields::BYTES)];
    let route = [
        ("Dst", IP_NET),
        ("GW", Fields::BYTES),
        ("MTU", Fields::INT),
        ("AdvMSS", Fields::INT),
        ("Priority", Fields::INT),
        ("Table", Fields::INT),
        ("Scope", Fields::INT),
    ];
    let dns = [
        ("Nameservers", STRINGS),
        ("Domain", Fields::STRING),
        ("Search", STRINGS),
        ("Options", STRINGS),
    ];
    [
        struct_type(RESULT, "Result", &result),
        slice_type(INTERFACES, "[]*types100.Interface", INTERFACE),
        struct_type(INTERFACE, "Interface", &interface),
        slice_type(IPS, "[]*types100.IPConfig", IP_CONFIG),
        struct_type(IP_CONFIG, "IPConfig", &ip_config),
        struct_type(IP_NET, "IPNet", &ip_net),
        slice_type(ROUTES, "[]*types.Route", ROUTE),
        struct_type(ROUTE, "Route", &route),
        struct_type(DNS, "DNS", &dns),
        slice_type(STRINGS, "[]string", Fields::STRING),
    ]
    .concat()
}

fn result_fields(result: &AddResult) -> Fields {
    Fields::default()
        .records(3, &result.ips, |ip| {
            Fields::default()
                .record(2, ip_net_fields(&ip.address))
                .bytes(3, &ip.gateway.map(octets).unwrap_or_default())
        })
        .records(4, &result.routes, |route| {
            let fields = Fields::default()
                .record(1, ip_net_fields(&route.dst))
                .bytes(2, &route.gw.map(octets).unwrap_or_default())
                .int(3, route.mtu.into())
                .int(4, route.advmss.into())
                .int(5, route.priority.into());
            let fields = fields.int(6, route.table.unwrap_or_default().into());
            fields.int(7, route.scope.map_or(0, i64::from))
        })
        .record(
            5,
            Fields::default()
                .strings(1, &result.dns.nameservers)
                .string(2, &result.dns.domain)
                .strings(3, &result.dns.search)
                .strings(4, &result.dns.options),
        )
}

fn ip_net_fields(net: &IpNet) -> Fields {
    Fields::default()
        .bytes(1, &octets(net.addr()))
        .bytes(2, &octets(net.netmask()))
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

impl Response {
    pub(super) fn into_error(self) -> Option<String> {
        (!self.error.is_empty()).then_some(self.error)
    }
}

/// A result as it came. Addresses are bytes in it and may be anything.
#[derive(Debug, Default)]
pub(super) struct WireResult {
    ips: Vec<WireIp>,
    routes: Vec<WireRoute>,
    dns: WireDns,
}

#[derive(Debug, Default)]
struct WireIp {
    address: WireNet,
    gateway: Vec<u8>,
}

#[derive(Debug, Default)]
struct WireNet {
    ip: Vec<u8>,
    mask: Vec<u8>,
}

#[derive(Debug, Default)]
struct WireRoute {
    dst: WireNet,
    gw: Vec<u8>,
    mtu: i64,
    advmss: i64,
    priority: i64,
    table: Option<i64>,
    scope: Option<i64>,
}

#[derive(Debug, Default)]
struct WireDns(Dns);

impl Record for WireResult {
    fn set(&mut self, field: &str, value: &mut Value<'_, '_>) -> Result<(), GobError> {
        match field {
            "IPs" => self.ips = value.records()?,
            "Routes" => self.routes = value.records()?,
            "DNS" => self.dns = value.record()?,
            _ => {}
        }
        Ok(())
    }
}

impl Record for WireIp {
    fn set(&mut self, field: &str, value: &mut Value<'_, '_>) -> Result<(), GobError> {
        match field {
            "Address" => self.address = value.record()?,
            "Gateway" => self.gateway = value.bytes()?,
            _ => {}
        }
        Ok(())
    }
}

impl Record for WireNet {
    fn set(&mut self, field: &str, value: &mut Value<'_, '_>) -> Result<(), GobError> {
        match field {
            "IP" => self.ip = value.bytes()?,
            "Mask" => self.mask = value.bytes()?,
            _ => {}
        }
        Ok(())
    }
}

impl Record for WireRoute {
    fn set(&mut self, field: &str, value: &mut Value<'_, '_>) -> Result<(), GobError> {
        match field {
            "Dst" => self.dst = value.record()?,
            "GW" => self.gw = value.bytes()?,
            "MTU" => self.mtu = value.int()?,
            "AdvMSS" => self.advmss = value.int()?,
            "Priority" => self.priority = value.int()?,
            "Table" => self.table = Some(value.int()?),
            "Scope" => self.scope = Some(value.int()?),
            _ => {}
        }
        Ok(())
    }
}

impl Record for WireDns {
    fn set(&mut self, field: &str, value: &mut Value<'_, '_>) -> Result<(), GobError> {
        match field {
            "Nameservers" => self.0.nameservers = value.strings()?,
            "Domain" => self.0.domain = value.string()?,
            "Search" => self.0.search = value.strings()?,
            "Options" => self.0.options = value.strings()?,
            _ => {}
        }
        Ok(())
    }
}

/// A value in a result that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} in the daemon's answer is {value}")]
pub(in super::super) struct BadValue {
    what: &'static str,
    value: String,
}

fn bad(what: &'static str, value: impl std::fmt::Debug) -> BadValue {
    let value = format!("{value:?}");
    BadValue { what, value }
}

impl WireResult {
    pub(super) fn into_result(self) -> Result<AddResult, BadValue> {
        let mut result = AddResult::new();
        for ip in self.ips {
            let mut config = IpConfig::new(ip.address.parse("an address")?);
            config.gateway = optional_ip("a gateway", &ip.gateway)?;
            result.ips.push(config);
        }
        for route in self.routes {
            result.routes.push(route.into_route()?);
        }
        result.dns = self.dns.0;
        Ok(result)
    }
}

impl WireRoute {
    fn into_route(self) -> Result<Route, BadValue> {
        let small = |what, n: i64| u32::try_from(n).map_err(|_| bad(what, n));
        let mut route = Route::new(self.dst.parse("the destination of a route")?);
        route.gw = optional_ip("the gateway of a route", &self.gw)?;
        route.mtu = small("the MTU of a route", self.mtu)?;
        route.advmss = small("the MSS of a route", self.advmss)?;
        route.priority = small("the priority of a route", self.priority)?;
        if let Some(table) = self.table {
            route.table = Some(small("the table of a route", table)?);
        }
        if let Some(scope) = self.scope {
            let scope = scope
                .try_into()
                .map_err(|_| bad("the scope of a route", scope))?;
            route.scope = Some(scope);
        }
        Ok(route)
    }
}

impl WireNet {
    fn parse(&self, what: &'static str) -> Result<IpNet, BadValue> {
        let net = match (ip(&self.ip), ip_exact(&self.mask)) {
            (Some(IpAddr::V4(ip)), Some(IpAddr::V4(mask))) => {
                Ipv4Net::with_netmask(ip, mask).ok().map(IpNet::V4)
            }
            (Some(IpAddr::V6(ip)), Some(IpAddr::V6(mask))) => {
                Ipv6Net::with_netmask(ip, mask).ok().map(IpNet::V6)
            }
            _ => None,
        };
        net.ok_or_else(|| bad(what, self))
    }
}

fn optional_ip(what: &'static str, bytes: &[u8]) -> Result<Option<IpAddr>, BadValue> {
    match bytes {
        [] => Ok(None),
        bytes => ip(bytes).map(Some).ok_or_else(|| bad(what, bytes)),
    }
}

/// Go writes an IPv4 address in 4 bytes or in the 16 of its mapped form.
fn ip(bytes: &[u8]) -> Option<IpAddr> {
    ip_exact(bytes).map(|ip| ip.to_canonical())
}

fn ip_exact(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(octets).into())
}
