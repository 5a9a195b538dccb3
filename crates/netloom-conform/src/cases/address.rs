//! What DEL does with the addresses of an IPAM plugin.

use netloom_kernel::rtnl::Socket;

use super::failure::{called, with_ipam};
use crate::bench::Bench;
use crate::case::cases;
use crate::stop::{Check, wrong};
use crate::stub;

cases! {
    "320" Must IM "Delegated plugins" "DEL has the IPAM plugin free the address" frees "";
    "321" Must IM "Delegated plugins" "DEL has the address freed when the namespace is gone" frees_when "gone";
    "322" Must IM "Delegated plugins" "DEL has the address freed without CNI_NETNS" frees_when "none";
    "323" Should IM "DEL" "DEL removes the interface though the IPAM plugin fails" goes_on "";
    "324" Should IM "Delegated plugins" "a second DEL asks the IPAM plugin again" asks_again "";
}

fn frees(bench: &mut Bench<'_>, _: &str) -> Check {
    frees_when(bench, "usual")
}

fn frees_when(bench: &mut Bench<'_>, how: &'static str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let request = with_ipam(bench, "ADD", pod, stub::IPAM.0)?;
    bench.add_by(pod, &request)?;
    let mut request = with_ipam(bench, "DEL", pod, stub::IPAM.0)?;
    match how {
        "none" => request = request.without("CNI_NETNS"),
        "gone" => {
            netloom_kernel::netns::remove_at(&bench.pods[pod].path)?;
            bench.step("ip netns del one");
        }
        _ => {}
    }
    bench.succeeds(&request)?;
    called(&["ADD conform-one eth0", "DEL conform-one eth0"])
}

fn goes_on(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    bench.put(stub::STUCK)?;
    let pod = bench.pod("one")?;
    let request = with_ipam(bench, "ADD", pod, stub::STUCK.0)?;
    bench.add_by(pod, &request)?;
    let request = with_ipam(bench, "DEL", pod, stub::STUCK.0)?;
    bench.call(&request)?;
    let inside = Socket::open_in(&bench.pods[pod].netns)?;
    match inside.find_link("eth0")? {
        None => Ok(()),
        Some(_) => {
            wrong("expected DEL to remove eth0 though the IPAM plugin fails, got eth0 still there")
        }
    }
}

fn asks_again(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    let pod = bench.pod("one")?;
    let request = with_ipam(bench, "ADD", pod, stub::IPAM.0)?;
    bench.add_by(pod, &request)?;
    let request = with_ipam(bench, "DEL", pod, stub::IPAM.0)?;
    bench.succeeds(&request)?;
    stub::forget();
    bench.succeeds(&request)?;
    called(&["DEL conform-one eth0"])
}
