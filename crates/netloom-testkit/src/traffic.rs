//! Packets sent by tests: echo requests and TCP connections in the namespace of the thread.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// Whether one of a few echo requests to `address` is answered within two seconds.
pub(crate) fn ping(address: IpAddr) -> bool {
    Command::new("ping")
        .args(["-n", "-q", "-c", "1", "-i", "0.2", "-w", "2"])
        .arg(address.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap_or_else(|error| panic!("cannot run ping (package iputils-ping): {error}"))
        .success()
}

/// A TCP server socket at a free port of `address`, in the namespace of the calling thread.
pub(crate) fn listen(address: IpAddr) -> Result<TcpListener, String> {
    TcpListener::bind((address, 0)).map_err(|error| format!("cannot listen at {address}: {error}"))
}

/// Connects to a server from the namespace of the calling thread.
pub(crate) fn connect(listener: &TcpListener) -> Result<TcpStream, String> {
    let address = local(listener)?;
    TcpStream::connect_timeout(&address, PATIENCE)
        .map_err(|error| format!("cannot connect to {address}: {error}"))
}

/// The source address of the connection that `client` made, as the server sees it.
pub(crate) fn peer_of(listener: &TcpListener, _client: &TcpStream) -> Result<IpAddr, String> {
    let (_, peer) = listener
        .accept()
        .map_err(|error| format!("cannot accept a connection: {error}"))?;
    Ok(peer.ip())
}

fn local(listener: &TcpListener) -> Result<SocketAddr, String> {
    listener
        .local_addr()
        .map_err(|error| format!("a listener without an address: {error}"))
}
