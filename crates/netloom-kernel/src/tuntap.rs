//! Tap devices: Ethernet links whose other end is a file descriptor, such as a virtual machine's.
//!
//! A device lives as long as its descriptor until [`Tap::persist`]: what is made of it before
//! that goes with the process if it dies.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;

use crate::error::{Error, Result};

const CONTROL: &str = "/dev/net/tun";

/// What a new tap device is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapSpec<'a> {
    name: &'a str,
    multi_queue: bool,
    vnet_header: bool,
    owner: Option<u32>,
    group: Option<u32>,
}

impl<'a> TapSpec<'a> {
    /// A device that anybody may attach to who can open `/dev/net/tun`, without packet information
    /// in front of its frames.
    #[must_use]
    pub fn new(name: &'a str) -> Self {
        Self {
            name,
            multi_queue: false,
            vnet_header: false,
            owner: None,
            group: None,
        }
    }

    /// Several descriptors may be attached at once. Who attaches must ask for the same.
    #[must_use]
    pub fn multi_queue(mut self, on: bool) -> Self {
        self.multi_queue = on;
        self
    }

    /// Frames have a `struct virtio_net_hdr` in front, until somebody attaches who asks otherwise.
    #[must_use]
    pub fn vnet_header(mut self, on: bool) -> Self {
        self.vnet_header = on;
        self
    }

    /// The user who may attach to it. Others need CAP_NET_ADMIN then.
    #[must_use]
    pub fn owner(mut self, user: Option<u32>) -> Self {
        self.owner = user;
        self
    }

    /// The group whose members may attach to it. Others need CAP_NET_ADMIN then.
    #[must_use]
    pub fn group(mut self, group: Option<u32>) -> Self {
        self.group = group;
        self
    }

    fn flags(&self) -> libc::c_int {
        // EXCL: without it the kernel would attach to a device of that name that exists.
        let mut flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_TUN_EXCL;
        if self.multi_queue {
            flags |= libc::IFF_MULTI_QUEUE;
        }
        if self.vnet_header {
            flags |= libc::IFF_VNET_HDR;
        }
        flags
    }
}

/// A tap device and the descriptor that it was made by.
#[derive(Debug)]
pub struct Tap {
    control: File,
    name: String,
}

impl Tap {
    /// Makes a tap device in the network namespace of the current thread, down. It ends with this
    /// handle unless [`Tap::persist`] is called.
    ///
    /// # Errors
    /// `is_exists()` if a link of that name exists; `is_absent()` if the machine has no
    /// `/dev/net/tun`; EINVAL if the name is not one, or an id is unknown to the user namespace.
    pub fn create(spec: &TapSpec<'_>) -> Result<Self> {
        let object = format!("\"{}\"", spec.name);
        let control = OpenOptions::new()
            .read(true)
            .write(true)
            .open(CONTROL)
            .map_err(|e| Error::of_io("open", format_args!("\"{CONTROL}\""), &e))?;
        let tap = Self {
            control,
            name: object,
        };
        tap.attach(spec)?;
        if let Some(user) = spec.owner {
            tap.set("set owner of tap device", libc::TUNSETOWNER, user)?;
        }
        if let Some(group) = spec.group {
            tap.set("set group of tap device", libc::TUNSETGROUP, group)?;
        }
        Ok(tap)
    }

    /// Lets the device stay when its last descriptor is closed.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn persist(&self) -> Result<()> {
        self.set("make persistent tap device", libc::TUNSETPERSIST, 1)
    }

    fn attach(&self, spec: &TapSpec<'_>) -> Result<()> {
        let failed = |errno| Error::new("create tap device", &self.name, errno);
        let mut request = libc::ifreq {
            ifr_name: [0; libc::IFNAMSIZ],
            ifr_ifru: libc::__c_anonymous_ifr_ifru {
                // IFF_TUN_EXCL is the sign bit of this field.
                ifru_flags: spec.flags() as libc::c_short,
            },
        };
        // An empty name would let the kernel choose one; the last byte stays a NUL.
        if spec.name.is_empty() || spec.name.len() >= request.ifr_name.len() {
            return Err(failed(libc::EINVAL).with_words("a name has 1 to 15 bytes"));
        }
        for (to, from) in request.ifr_name.iter_mut().zip(spec.name.bytes()) {
            *to = from.cast_signed() as libc::c_char;
        }
        // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, which `request` is for the length
        // of the call.
        #[expect(unsafe_code, reason = "rustix has no requests of tun devices")]
        let done = unsafe {
            libc::ioctl(
                self.control.as_raw_fd(),
                libc::TUNSETIFF,
                std::ptr::from_mut(&mut request),
            )
        };
        match outcome(done) {
            // That is what the kernel calls it if EXCL is asked for.
            Err(libc::EBUSY) => {
                Err(failed(libc::EEXIST).with_words("there is a link of that name"))
            }
            other => other.map_err(failed),
        }
    }

    fn set(&self, what: &'static str, request: libc::Ioctl, value: u32) -> Result<()> {
        // SAFETY: these requests take their argument by value and touch no memory of ours.
        #[expect(unsafe_code, reason = "rustix has no requests of tun devices")]
        let done = unsafe {
            libc::ioctl(
                self.control.as_raw_fd(),
                request,
                libc::c_ulong::from(value),
            )
        };
        outcome(done).map_err(|errno| {
            let object = match request {
                libc::TUNSETPERSIST => self.name.clone(),
                _ => format!("{} to {value}", self.name),
            };
            Error::new(what, object, errno)
        })
    }
}

fn outcome(returned: libc::c_int) -> Result<(), i32> {
    if returned >= 0 {
        return Ok(());
    }
    let error = std::io::Error::last_os_error();
    Err(error.raw_os_error().unwrap_or(libc::EIO))
}

/// Whether the machine has tap devices: the control file can be opened.
///
/// # Errors
/// Why it cannot.
pub fn probe() -> Result<()> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(CONTROL)
        .map(drop)
        .map_err(|e| Error::of_io("open", format_args!("\"{CONTROL}\""), &e))
}
