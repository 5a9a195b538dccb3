//! A flow of packets, and how many of them are lost.

use std::io::Read as _;
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::machine::Pod;

/// An echo request each ten milliseconds.
pub(crate) struct Flow {
    child: Child,
}

impl Flow {
    /// Begins once the two know each other: an IPv6 address is looked at for duplicates first.
    pub(crate) fn start(from: &Pod, to: IpAddr) -> Self {
        assert!(from.pings(to), "{} to {to}", from.name);
        let ping = || {
            Command::new("ping")
                .args(["-n", "-q", "-i", "0.01", "-W", "5", &to.to_string()])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .spawn()
        };
        Self {
            child: from.netns.run(ping).unwrap().unwrap(),
        }
    }

    /// Ends it; gives back how many were sent and how many of them were not answered. The last may be
    /// under way.
    pub(crate) fn end(mut self) -> (u64, u64) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let mut said = String::new();
        self.child
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        self.child.wait().unwrap();
        let line = said
            .lines()
            .find(|line| line.contains("transmitted"))
            .unwrap();
        let numbers: Vec<u64> = line
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|text| text.parse().ok())
            .collect();
        let [sent, answered, ..] = numbers[..] else {
            panic!("ping said {said}");
        };
        (sent, (sent - answered).saturating_sub(1))
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
