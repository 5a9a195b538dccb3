//! CNI_ARGS, and the texts that come in it and in the other variables.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netloom_spec::{CniArgs, ContainerId, IfName, Mac, NetworkName, Version, net, version::Triple};

fuzz_target!(|text: &str| {
    let _ = (
        ContainerId::new(text),
        NetworkName::new(text),
        IfName::new(text),
    );
    let _ = (Triple::parse(text), text.parse::<Version>());
    CniArgs::lenient(text);
    let Ok(args) = CniArgs::parse(text) else {
        return;
    };
    let _ = args.known(&["IP", "GATEWAY", "MAC"]);
    let _ = (
        args.get_parsed("IP", net::parse_ip),
        args.get_parsed("GATEWAY", net::parse_cidr),
    );
    let _ = args.get_parsed("MAC", str::parse::<Mac>);
});
