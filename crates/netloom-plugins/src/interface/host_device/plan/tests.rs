use super::*;
use netloom_kernel::rtnl::Parent;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

/// A sysfs with PCI devices of each kind: an ordinary one, a virtio one, one for user space, one
/// without a driver; and an auxiliary device.
fn tree() -> (TempDir, Sysfs) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let make = |path: &str| fs::create_dir_all(root.join(path)).unwrap();
    for driver in ["e1000", "virtio-pci", "vfio-pci"] {
        make(&format!("bus/pci/drivers/{driver}"));
    }
    make("bus/pci/devices");
    make("bus/virtio/devices");
    make("bus/auxiliary/devices");
    for (id, driver, below) in [
        ("0000:00:05.0", "e1000", "net/ens5"),
        ("0000:00:06.0", "virtio-pci", "virtio3/net/ens6"),
        ("0000:00:07.0", "vfio-pci", "power"),
        ("0000:00:08.0", "", "power"),
        ("0000:00:09.0", "e1000", "mlx5_core.sf.4/net/enp9s0f0s4"),
    ] {
        let device = format!("devices/pci0000:00/{id}");
        make(&format!("{device}/{below}"));
        symlink(root.join(&device), root.join("bus/pci/devices").join(id)).unwrap();
        if !driver.is_empty() {
            let at = root.join("bus/pci/drivers").join(driver);
            symlink(at, root.join(&device).join("driver")).unwrap();
        }
    }
    let child = |bus: &str, parent: &str, id: &str| {
        let path = root.join(format!("devices/pci0000:00/{parent}/{id}"));
        symlink(path, root.join(format!("bus/{bus}/devices/{id}"))).unwrap();
    };
    child("virtio", "0000:00:06.0", "virtio3");
    child("auxiliary", "0000:00:09.0", "mlx5_core.sf.4");
    let sysfs = Sysfs::at(root);
    (dir, sysfs)
}

fn plan(keys: Value) -> Result<Plan, Error> {
    let (_dir, sysfs) = tree();
    let mut conf = json!({"cniVersion": "1.1.0", "name": "net", "type": "host-device"});
    for (key, value) in keys.as_object().unwrap() {
        conf[key] = value.clone();
    }
    let conf = PluginConf::parse(conf.to_string().as_bytes())?;
    Plan::new(&conf, &sysfs)
}

#[test]
fn of_several_keys_the_first_one_counts() {
    let all = [
        ("device", json!("ens5"), Selector::Name("ens5".into())),
        (
            "hwaddr",
            json!("02:00:00:00:00:01"),
            Selector::Address(vec![2, 0, 0, 0, 0, 1]),
        ),
        (
            "kernelpath",
            json!("/sys/devices/pci0000:00/0000:00:05.0"),
            Selector::KernelPath("/sys/devices/pci0000:00/0000:00:05.0".into()),
        ),
        (
            "pciBusID",
            json!("0000:00:05.0"),
            Selector::Pci("0000:00:05.0".into()),
        ),
    ];
    for first in 0..all.len() {
        let keys: Value = all[first..]
            .iter()
            .map(|(key, value, _)| ((*key).to_owned(), value.clone()))
            .collect::<serde_json::Map<_, _>>()
            .into();
        assert_eq!(plan(keys).unwrap().selector, all[first].2);
    }
}

#[test]
fn the_allocated_device_replaces_the_fixed_one_on_either_bus() {
    let with = |id: &str| {
        let keys = json!({"pciBusID": "0000:00:08.0", "runtimeConfig": {"deviceID": id}});
        plan(keys).unwrap()
    };
    let pci = with("0000:00:05.0");
    assert_eq!(pci.selector, Selector::Pci("0000:00:05.0".into()));
    let auxiliary = with("mlx5_core.sf.4");
    assert_eq!(
        auxiliary.selector,
        Selector::Auxiliary("mlx5_core.sf.4".into())
    );
    // The PCI device without a driver was not looked at.
    assert_eq!(auxiliary.pci, None);
    let named = json!({"device": "x", "runtimeConfig": {"deviceID": "0000:00:05.0"}});
    assert_eq!(plan(named).unwrap().selector, Selector::Name("x".into()));
}

#[test]
fn the_driver_says_whether_there_is_a_link() {
    for (keys, user_space) in [
        (json!({"pciBusID": "0000:00:05.0"}), false),
        (json!({"pciBusID": "0000:00:06.0"}), false),
        (json!({"pciBusID": "0000:00:07.0"}), true),
        (json!({"device": "x", "pciBusID": "0000:00:07.0"}), true),
        (json!({"device": "x"}), false),
        (json!({"device": "x", "DPDKMode": true}), true),
        (json!({"pciBusID": "0000:00:05.0", "dpdkMode": true}), false),
    ] {
        assert_eq!(plan(keys.clone()).unwrap().user_space, user_space, "{keys}");
    }
}

#[test]
fn bad_input_is_refused_by_name_and_value() {
    for (keys, code, words) in [
        (
            json!({}),
            7,
            r#"specify either "device", "hwaddr", "kernelpath" or "pciBusID""#,
        ),
        (json!({"device": ""}), 7, "specify either"),
        (json!({"device": 7}), 6, "device"),
        (
            json!({"hwaddr": "2:0"}),
            7,
            r#"failed to parse MAC address "2:0""#,
        ),
        (
            json!({"kernelpath": "sys/devices/x"}),
            7,
            "must be absolute and begin with /sys/devices/",
        ),
        (
            json!({"kernelpath": "/sys/class/net/x"}),
            7,
            r#""/sys/class/net/x""#,
        ),
        (
            json!({"kernelpath": "/sys/devices/../../etc"}),
            7,
            "kernelpath",
        ),
        (json!({"pciBusID": "../drivers"}), 7, "pciBusID"),
        (
            json!({"pciBusID": "0000:00:08.0"}),
            999,
            "0000:00:08.0 has no driver",
        ),
        (json!({"pciBusID": "0000:ff:00.0"}), 999, "0000:ff:00.0"),
        (
            json!({"runtimeConfig": {"deviceID": "0000:ff:00.0"}}),
            999,
            "runtime config DeviceID 0000:ff:00.0 not found or unsupported",
        ),
        (
            json!({"runtimeConfig": {"deviceID": "/etc"}}),
            7,
            "runtimeConfig.deviceID",
        ),
    ] {
        let error = plan(keys.clone()).unwrap_err();
        assert_eq!(error.code, code, "{keys}: {error}");
        assert!(error.msg.contains(words), "{keys}: {error}");
    }
}

#[test]
fn links_are_found_below_the_device_or_its_virtio_child() {
    let (_dir, sysfs) = tree();
    assert_eq!(sysfs.links_of_pci("0000:00:05.0").unwrap(), ["ens5"]);
    assert_eq!(sysfs.links_of_pci("0000:00:06.0").unwrap(), ["ens6"]);
    let none = sysfs.links_of_pci("0000:00:07.0").unwrap_err();
    assert!(
        none.to_string()
            .starts_with("no net directory under pci device 0000:00:07.0")
    );
    let auxiliary = sysfs.links_of_auxiliary("mlx5_core.sf.4").unwrap();
    assert_eq!(auxiliary, ["enp9s0f0s4"]);
    let path = "/sys/devices/pci0000:00/0000:00:06.0/virtio3";
    assert_eq!(sysfs.links_of_path(path).unwrap(), ["ens6"]);
}

#[test]
fn the_pci_device_is_found_from_the_links_parent() {
    let (_dir, sysfs) = tree();
    let parent = |bus: &str, name: &str| Parent {
        bus: bus.to_owned(),
        name: name.to_owned(),
    };
    for (bus, name, pci) in [
        ("pci", "0000:00:05.0", Some("0000:00:05.0")),
        ("virtio", "virtio3", Some("0000:00:06.0")),
        ("auxiliary", "mlx5_core.sf.4", Some("0000:00:09.0")),
        ("usb", "1-1:1.0", None),
    ] {
        assert_eq!(sysfs.pci_of(&parent(bus, name)).as_deref(), pci, "{bus}");
    }
    assert!(sysfs.is_device(&parent("virtio", "virtio3"), "0000:00:06.0"));
    assert!(!sysfs.is_device(&parent("virtio", "virtio3"), "0000:00:05.0"));
}
