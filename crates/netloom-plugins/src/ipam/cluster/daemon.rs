//! The plugin's end of the daemon's socket.

use netloom_cluster::message::{Answer, LONGEST_LINE, Request, SOCKET};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// What the daemon may take longer than it was told that the plugin waits.
const GRACE: Duration = Duration::from_millis(500);

/// Why there is no answer.
pub(super) enum NoAnswer {
    /// Nobody is there, or says nothing in time.
    Silence(io::Error),
    /// Not in words that are understood.
    Nonsense(String),
}

impl From<io::Error> for NoAnswer {
    fn from(error: io::Error) -> Self {
        Self::Silence(error)
    }
}

fn open(flags: SocketFlags, limit: Duration) -> io::Result<UnixStream> {
    let flags = flags | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // It holds for connect(2) too, which waits where many others do.
    set_socket_timeout(&socket, Timeout::Send, Some(limit))?;
    set_socket_timeout(&socket, Timeout::Recv, Some(limit))?;
    connect(&socket, &SocketAddrUnix::new(SOCKET)?)?;
    Ok(UnixStream::from(socket))
}

/// Asks, and waits for the answer.
pub(super) fn ask(request: &Request, limit: Duration) -> Result<Answer, NoAnswer> {
    let mut stream = open(SocketFlags::empty(), limit + GRACE)?;
    stream.write_all(&request.to_line())?;
    let mut line = Vec::new();
    let most = LONGEST_LINE as u64 + 1;
    let mut limited = stream.take(most);
    let mut buffer = [0; 4096];
    while !line.ends_with(b"\n") {
        match limited.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => line.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    if line.is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Answer::parse(&line).map_err(|error| NoAnswer::Nonsense(error.to_string()))
}

/// Tells, and waits for nothing.
pub(super) fn tell(request: &Request) {
    let told = open(SocketFlags::NONBLOCK, Duration::from_secs(1));
    // Whoever needs an address later asks.
    let _ = told.and_then(|mut stream| stream.write_all(&request.to_line()));
}

/// Whether a daemon is there.
pub(super) fn is_there() -> bool {
    match open(SocketFlags::NONBLOCK, Duration::from_secs(1)) {
        Ok(_) => true,
        // It has more to do than it can take at once.
        Err(error) => Errno::from_io_error(&error) == Some(Errno::AGAIN),
    }
}
