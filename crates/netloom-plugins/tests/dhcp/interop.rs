//! The reference's plugin with our daemon, and ours with the reference's.

use crate::acquire::wait_until;
use crate::lan::{Lan, address, conf, configure};
use crate::running::Running;
use netloom_testkit::{Host, Plugin, PluginDir};
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_netloom-plugins");

#[test]
fn the_references_plugin_talks_to_our_daemon() {
    let Some(host) = Host::new() else { return };
    let options = [
        "--dhcp-option=121,10.9.0.0/16,10.7.0.2,0.0.0.0/0,10.7.0.1",
        "--dhcp-option=option:dns-server,10.7.0.1",
    ];
    let Some(lan) = Lan::served(&host, &options) else {
        return;
    };
    let Some(theirs) = Plugin::debian("dhcp") else {
        return;
    };
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let _daemon = Running::start(&bin, &[]);
    let mut conf = conf(&json!({}));
    conf["cniVersion"] = json!("1.0.0");
    let result = theirs.add(&conf, &pod).succeeds();
    let routes = json!([
        {"dst": "10.9.0.0/16", "gw": "10.7.0.2"}, {"dst": "0.0.0.0/0", "gw": "10.7.0.1"},
    ]);
    assert_eq!(result["routes"], routes);
    assert_eq!(result["ips"][0]["gateway"], "10.7.0.1");
    assert_eq!(result["dns"]["nameservers"], json!(["10.7.0.1"]));
    theirs.check(&conf, &result, &pod).succeeds_silently();
    let ours = Plugin::ours(&bin, "dhcp");
    ours.check(&conf, &result, &pod).succeeds_silently();
    assert_eq!(lan.leases().len(), 1);
    theirs.del(&conf, &pod).succeeds_silently();
    wait_until("the lease to go", || lan.leases().is_empty());
    let call = theirs
        .call("ADD", &conf)
        .pod(&pod)
        .env("CNI_IFNAME", "eth9");
    let error = call.run().fails();
    error.names(&[
        "error calling DHCP.Allocate",
        "error looking up \"eth9\": Link not found",
    ]);
}

#[test]
fn our_plugin_talks_to_the_references_daemon() {
    let Some(host) = Host::new() else { return };
    let Some(lan) = Lan::served(&host, &[]) else {
        return;
    };
    let Some(theirs) = Plugin::debian("dhcp") else {
        return;
    };
    let (pod, bin) = (lan.pod("one"), PluginDir::of(PROGRAM));
    let _daemon = Running::start_quiet(theirs.program(), &[]);
    let (ours, mut conf) = (Plugin::ours(&bin, "dhcp"), conf(&json!({})));
    let result = ours.add(&conf, &pod).succeeds();
    assert_eq!(
        result["routes"],
        json!([{"dst": "0.0.0.0/0", "gw": "10.7.0.1"}])
    );
    configure(&pod, &result);
    assert!(lan.leases()[0].contains(&address(&result)));
    ours.status(&conf).succeeds_silently();
    ours.check(&conf, &result, &pod).succeeds_silently();
    let gc = ours.gc(&conf, &[]);
    gc.succeeds_silently();
    assert!(gc.stderr.contains("DHCP.Collect"), "{gc}");
    ours.del(&conf, &pod).succeeds_silently();
    wait_until("the lease to go", || lan.leases().is_empty());
    conf["ipam"]["provide"] = json!([{"option": "12", "fromArg": "NAME"}]);
    let call = ours.call("ADD", &conf).pod(&pod).env("CNI_IFNAME", "eth9");
    call.run()
        .fails()
        .names(&["error looking up \"eth9\": Link not found"]);
}
