//! The network with a DHCP server, and the daemon that gets leases from it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use netloom_testkit::{Host, Pod};

use crate::call::PLUGINS;

/// A namespace in which dnsmasq serves what is connected to the host's link `lan0`.
pub(crate) struct Lan {
    server: Child,
    _router: Pod,
}

impl Lan {
    pub(crate) fn new(host: &Host, scratch: &Path) -> Self {
        let router = host.pod("router");
        host.ip("link add lan0 type veth peer name eth0 netns router");
        host.ip("link set lan0 up");
        router.sh("ip link set lo up; ip addr add 10.4.0.1/16 dev eth0; ip link set eth0 up");
        let server = router.run(|| {
            Command::new("dnsmasq")
                .args(["-C", "/dev/null", "-k", "--port=0", "--interface=eth0"])
                .args([
                    "--bind-interfaces",
                    "--user=root",
                    "--group=root",
                    "--no-ping",
                ])
                .args([
                    "--dhcp-range=10.4.1.1,10.4.9.250,255.255.0.0,2m",
                    "--pid-file",
                ])
                .arg("--log-facility=-")
                .arg(format!(
                    "--dhcp-leasefile={}",
                    scratch.join("leases").display()
                ))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        });
        let mut lan = Self {
            server,
            _router: router,
        };
        follow(&mut lan.server, "started");
        lan
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        end(&mut self.server);
    }
}

/// netloom's `dhcp daemon`.
pub(crate) struct Daemon(Child);

impl Daemon {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(Path::new(PLUGINS).join("dhcp"))
            .arg("daemon")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        follow(&mut child, "listening at");
        Self(child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

fn end(child: &mut Child) {
    // It may have ended already.
    drop(child.kill());
    drop(child.wait());
}

/// Waits until it says that it is ready, and goes on reading.
fn follow(child: &mut Child, ready: &str) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut said = String::new();
    loop {
        let Some(Ok(line)) = lines.next() else {
            panic!("a server ended before it was {ready:?}:\n{said}");
        };
        said.push_str(&line);
        said.push('\n');
        if line.contains(ready) {
            break;
        }
    }
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
}
