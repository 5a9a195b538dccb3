//! Programs that are run in place of this one.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the kernel kill the program when this thread ends, however it ends: who kills this process
/// means that program.
pub fn dies_with_us(command: &mut Command) -> &mut Command {
    let bind = || {
        // SAFETY: prctl(2) with these arguments only sets an attribute of the calling process.
        #[expect(unsafe_code, reason = "rustix's call would do, but not pre_exec")]
        let failed = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } < 0;
        match failed {
            true => Err(std::io::Error::last_os_error()),
            false => Ok(()),
        }
    };
    // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
    #[expect(unsafe_code, reason = "it runs in the child before exec")]
    unsafe {
        command.pre_exec(bind)
    }
}
