//! What the command may: the capabilities of the bounding set, and never more than that.

use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use netloom_kernel::unshare;

use super::User;
use crate::error::{Doing, Error, Result};

/// What root in a pod has. What container engines give, without making devices, which no mount of a pod
/// would let anybody open.
pub const DEFAULT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::AUDIT_WRITE);

/// The capabilities by their names, without `CAP_`, in the order of their numbers.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The default set, with `add` and without `drop`; names with `CAP_` or without, and `ALL`.
///
/// # Errors
/// Names what is no capability.
pub fn choose(add: &[String], drop: &[String]) -> Result<u64> {
    let mut chosen = DEFAULT.bits();
    for name in drop {
        chosen &= !bits(name, "--cap-drop")?;
    }
    for name in add {
        chosen |= bits(name, "--cap-add")?;
    }
    Ok(chosen)
}

/// The names of a set, as OCI has them.
pub(super) fn names(set: u64) -> Vec<String> {
    let all = NAMES.iter().enumerate();
    let kept = all.filter(|(number, _)| set & (1 << number) != 0);
    kept.map(|(_, name)| format!("CAP_{name}")).collect()
}

fn bits(name: &str, option: &str) -> Result<u64> {
    let upper = name.to_ascii_uppercase();
    if upper == "ALL" {
        return Ok((1 << NAMES.len()) - 1);
    }
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    match NAMES.iter().position(|it| *it == bare) {
        Some(at) => Ok(1 << at),
        None => Err(Error::new(format!(
            "{option} {name:?} is no capability: capabilities(7) lists them, such as NET_ADMIN"
        ))),
    }
}

/// Becomes the user, with no capability outside `kept`; whatever is executed later gets none either.
pub(super) fn give_up(user: &User, kept: u64) -> Result<()> {
    let kept = CapabilitySet::from_bits_retain(kept);
    for number in 0..64_u32 {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(one) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // No such capability in this kernel.
            Err(rustix::io::Errno::INVAL) => break,
            Err(errno) => return Err(Error::of("limit the capabilities", errno)),
        }
    }
    let groups: Vec<Gid> = user.groups.iter().map(|id| Gid::from_raw(*id)).collect();
    let become_user = || {
        match rustix::thread::set_thread_groups(&groups) {
            // Where only root is mapped nobody may choose groups.
            Err(rustix::io::Errno::PERM) if unshare::is_user_namespace() => {}
            done => done?,
        }
        let gid = Gid::from_raw(user.gid);
        rustix::thread::set_thread_res_gid(gid, gid, gid)?;
        let uid = Uid::from_raw(user.uid);
        rustix::thread::set_thread_res_uid(uid, uid, uid)
    };
    become_user().doing(|| match unshare::is_user_namespace() {
        true => format!(
            "become user {}:{}, which this user namespace may lack (/etc/subuid gives a user more ids)",
            user.uid, user.gid
        ),
        false => format!("become user {}:{}", user.uid, user.gid),
    })?;
    let own = rustix::thread::capabilities(None).doing(|| "read the capabilities")?;
    let sets = CapabilitySets {
        effective: own.effective & kept,
        permitted: own.permitted & kept,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::clear_ambient_capability_set()
        .and_then(|()| rustix::thread::set_capabilities(None, sets))
        .and_then(|()| rustix::thread::set_no_new_privs(true))
        .doing(|| "give up capabilities")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_kernel() {
        let all = choose(&["all".into()], &[]).unwrap();
        assert_eq!(all, (1 << 41) - 1);
        assert_eq!(
            choose(&["cap_net_admin".into()], &["ALL".into()]),
            Ok(CapabilitySet::NET_ADMIN.bits())
        );
        assert_eq!(
            choose(&["CHECKPOINT_RESTORE".into()], &["all".into()]),
            Ok(CapabilitySet::CHECKPOINT_RESTORE.bits())
        );
        assert!(choose(&["root".into()], &[]).is_err());
        assert!(!DEFAULT.contains(CapabilitySet::SYS_ADMIN));
        assert_eq!(choose(&[], &[]), Ok(DEFAULT.bits()));
    }
}
