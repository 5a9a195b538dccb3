//! The versions of the specification.

use netloom_spec::Version;
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::case::cases;
use crate::class::Class;
use crate::stop::{Check, skip, wrong};

cases! {
    "101" Must ALL "ADD, 0.1.0" "the result has the form of 0.1.0" form "0.1.0";
    "102" Must ALL "ADD, 0.2.0" "the result has the form of 0.2.0" form "0.2.0";
    "103" Must ALL "ADD, 0.3.0" "the result has the form of 0.3.0" form "0.3.0";
    "104" Must ALL "ADD, 0.3.1" "the result has the form of 0.3.1" form "0.3.1";
    "105" Must ALL "ADD, 0.4.0" "the result has the form of 0.4.0" form "0.4.0";
    "106" Must ALL "ADD, 1.0.0" "the result has the form of 1.0.0" form "1.0.0";
    "107" Must ALL "ADD, 1.1.0" "the result has the form of 1.1.0" form "1.1.0";
    "108" Should ALL "Configuration" "a configuration without cniVersion is one of 0.1.0" no_version "";
    "109" Should ALL "CHECK" "CHECK is refused below 0.4.0" too_old "CHECK 0.3.1";
    "110" Should ALL "GC" "GC is refused below 1.1.0" too_old "GC 1.0.0";
    "111" Should ALL "STATUS" "STATUS is refused below 1.1.0" too_old "STATUS 1.0.0";
    "112" Must ALL "DEL" "DEL accepts every version that the plugin says it speaks" del_of_each "";
}

fn form(bench: &mut Bench<'_>, given: &'static str) -> Check {
    let version: Version = given.parse().unwrap_or(Version::LATEST);
    bench.needs_version(version)?;
    bench.may_add()?;
    bench.version = version;
    let pod = bench.pod("one")?;
    let request = bench.request("ADD", pod);
    let said = bench.call(&request)?;
    if bench.subject.broken.is_some() && serde_json::from_str::<Value>(&said.stdout).is_err()
        || !said.is_success() && version == bench.subject.version()
    {
        return skip("ADD fails, which another case tells");
    }
    let (document, _) = bench.result(&said)?;
    if document["cniVersion"].as_str() != Some(given) {
        return wrong(format!(
            "expected cniVersion {given:?} in the result, got {}",
            document["cniVersion"]
        ));
    }
    let is_old = version <= Version::V0_2_0;
    let strange: &[&str] = match is_old {
        true => &["ips", "interfaces", "routes"],
        false => &["ip4", "ip6"],
    };
    if let Some(key) = strange.iter().find(|key| document.get(key).is_some()) {
        return wrong(format!(
            "{key} is no key of a result of {given}, got {document}"
        ));
    }
    let ips = document["ips"].as_array().into_iter().flatten();
    let wants = (Version::V0_3_0..=Version::V0_4_0).contains(&version);
    for ip in ips {
        let has = matches!(ip["version"].as_str(), Some("4" | "6"));
        if has != wants && !is_old {
            let word = if wants { "with" } else { "without" };
            return wrong(format!(
                "expected ips {word} a version in a result of {given}, got {ip}"
            ));
        }
    }
    Ok(())
}

fn no_version(bench: &mut Bench<'_>, _: &str) -> Check {
    bench.needs_add()?;
    bench.version = Version::V0_1_0;
    let pod = bench.pod("one")?;
    let request = Bench::edit(bench.request("ADD", pod), |conf| {
        if let Value::Object(conf) = conf {
            conf.remove("cniVersion");
        }
    });
    if !bench.subject.speaks(Version::V0_1_0) {
        return bench.refused(&request).map(drop);
    }
    // The kit's IPAM plugin finds its version in what it is sent.
    if bench.subject.has_ipam() && bench.subject.class != Class::Ipam {
        return skip("what the IPAM plugin is sent is the plugin's to say");
    }
    bench.add_by(pod, &request).map(drop)
}

fn too_old(bench: &mut Bench<'_>, given: &'static str) -> Check {
    let (command, version) = given.split_once(' ').unwrap_or_default();
    bench.needs_version(Version::V0_4_0)?;
    let version: Version = version.parse().unwrap_or(Version::V0_1_0);
    bench.needs_version(version)?;
    bench.version = version;
    let pod = bench.pod("one")?;
    let request = Bench::edit(bench.request(command, pod), |conf| {
        conf["cni.dev/valid-attachments"] = json!([]);
    });
    let error = bench.refused(&request)?;
    match error["code"].as_u64() {
        // The first plugins did not know the command at all.
        Some(1 | 4) => Ok(()),
        _ => wrong(format!("expected code 1, got {error}")),
    }
}

fn del_of_each(bench: &mut Bench<'_>, _: &str) -> Check {
    let pod = bench.pod("one")?;
    for version in bench.subject.versions.clone() {
        bench.version = version;
        let request = bench.request("DEL", pod);
        let said = bench.call(&request)?;
        if said.stdout.contains("\"code\":1,") || said.stdout.contains("\"code\": 1,") {
            return wrong(format!(
                "the plugin says that it speaks {version}, and refuses it"
            ));
        }
    }
    Ok(())
}
