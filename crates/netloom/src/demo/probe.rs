//! Traffic that proves a network: an ICMP echo and an HTTP request, with no program but this one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, ipproto, sockopt};

/// How long one answer may take before the demo calls the network broken.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sends one ICMP echo request from the current network namespace and waits for its reply
/// (RFC 792); returns the round trip time.
pub(super) fn ping(target: Ipv4Addr) -> Result<Duration> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP))
        .context("open a raw ICMP socket")?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
    let request = echo_request(0x6e6c, 1);
    let start = Instant::now();
    rustix::net::sendto(
        &socket,
        &request,
        SendFlags::empty(),
        &SocketAddrV4::new(target, 0),
    )
    .with_context(|| format!("send an echo request to {target}"))?;
    let mut buffer = [0u8; 256];
    while start.elapsed() < PATIENCE {
        let (length, _) = rustix::net::recv(&socket, &mut buffer[..], RecvFlags::empty())
            .with_context(|| format!("no echo reply from {target} within {PATIENCE:?}"))?;
        if answers(&buffer[..length], target, &request) {
            return Ok(start.elapsed());
        }
    }
    bail!("no echo reply from {target} within {PATIENCE:?}");
}

/// An echo request: type 8, code 0, checksum, identifier, sequence number.
fn echo_request(identifier: u16, sequence: u16) -> [u8; 8] {
    let mut message = [8, 0, 0, 0, 0, 0, 0, 0];
    message[4..6].copy_from_slice(&identifier.to_be_bytes());
    message[6..8].copy_from_slice(&sequence.to_be_bytes());
    let sum: u32 = message
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from(folded).unwrap_or(u16::MAX);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    message
}

/// Whether an IPv4 packet is the reply from `target` to `request`.
fn answers(packet: &[u8], target: Ipv4Addr, request: &[u8; 8]) -> bool {
    let header = packet
        .first()
        .map_or(0, |first| usize::from(first & 0x0f) * 4);
    let (Some(source), Some(reply)) = (packet.get(12..16), packet.get(header..header + 8)) else {
        return false;
    };
    source == target.octets() && reply[0] == 0 && reply[4..8] == request[4..8]
}

/// Serves one HTTP request on `address` of the current network namespace. The answer names the
/// client as the server sees it, which shows whether the client was masqueraded.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("listen on {address}"))
}

/// Answers the next request of `listener`.
pub(super) fn serve_once(listener: &TcpListener, who: &str) -> Result<()> {
    let (mut stream, client) = listener.accept()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let body = format!("hello from {who}, you are {}", client.ip());
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    Ok(())
}

/// Requests `/` from `server` and returns the body.
pub(super) fn http_get(server: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE)
        .with_context(|| format!("connect to {server}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .with_context(|| format!("{server} sent no HTTP answer: {answer:?}"))?;
    ensure!(
        head.starts_with("HTTP/1.1 200 "),
        "{server} answered {head:?}"
    );
    Ok(body.to_owned())
}

/// The IPv4 address of a result's first IPv4 entry.
pub(super) fn ipv4(address: IpAddr) -> Result<Ipv4Addr> {
    match address {
        IpAddr::V4(v4) => Ok(v4),
        IpAddr::V6(v6) => bail!("expected an IPv4 address, got {v6}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_request_carries_a_checksum_that_sums_to_all_ones() {
        let message = echo_request(0x6e6c, 1);
        let sum: u32 = message
            .chunks_exact(2)
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }

    #[test]
    fn only_the_targets_own_reply_counts_as_an_answer() {
        let target = Ipv4Addr::new(10, 0, 0, 2);
        let request = echo_request(7, 1);
        let mut packet = vec![0u8; 28];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&target.octets());
        packet[24..28].copy_from_slice(&request[4..8]);
        assert!(answers(&packet, target, &request));
        packet[12] = 11;
        assert!(!answers(&packet, target, &request), "another source");
        assert!(!answers(&packet[..20], target, &request), "cut short");
    }
}
