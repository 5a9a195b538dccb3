//! Both ends of a wire, as a result of ADD lists them.

use netloom_spec::{AddResult, Interface, IpConfig};

/// The two ends of the wire in a result of ADD.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Ends<'a> {
    /// The host's end.
    pub(crate) host: Option<&'a Interface>,
    /// The position of the pod's end in `interfaces`.
    pub(crate) pod_position: Option<usize>,
}

impl<'a> Ends<'a> {
    /// Finds them as upstream's plugins list them: the host's end stands right before the
    /// container's interface.
    pub(crate) fn of(result: &'a AddResult, if_name: &str) -> Self {
        let listed = &result.interfaces;
        let pod = listed
            .iter()
            .position(|i| i.name == if_name && !i.sandbox.is_empty());
        let host = pod.and_then(|at| at.checked_sub(1)).map(|at| &listed[at]);
        Self {
            host: host.filter(|host| host.sandbox.is_empty() && !host.mac.is_empty()),
            pod_position: pod,
        }
    }

    /// The addresses of the pod's end. Old results do not say whose an address is; then it
    /// counts as the pod's.
    pub(crate) fn ips<'r>(&self, result: &'r AddResult) -> impl Iterator<Item = &'r IpConfig> {
        let position = self.pod_position;
        let own = move |of: Option<usize>| of.is_none() || position.is_none() || of == position;
        result.ips.iter().filter(move |ip| own(ip.interface))
    }
}
