//! `/healthz`, `/readyz` and `/metrics`, for probes and Prometheus.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::status::Shared;

/// A client that takes longer for its request or for our answer is left.
const PATIENCE: Duration = Duration::from_secs(2);
/// A longer request is nobody's whom we serve.
const LONGEST: usize = 8 * 1024;
/// So many clients are served at the same time.
const AT_ONCE: usize = 16;

/// Listens, on this host alone: what is told is nobody else's business.
pub(crate) async fn listen(at: SocketAddr) -> Result<TcpListener> {
    ensure!(
        at.ip().is_loopback(),
        "--listen {at}: an address of this host alone is right, such as 127.0.0.1:9470"
    );
    TcpListener::bind(at)
        .await
        .with_context(|| format!("--listen {at}: cannot listen there"))
}

/// Serves as long as the daemon runs.
pub(crate) async fn serve(listener: TcpListener, status: Shared) {
    let slots = std::sync::Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
    loop {
        let Ok(slot) = std::sync::Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let status = status.clone();
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(PATIENCE, answer(stream, &status)).await;
                    drop(slot);
                });
            }
            // Of descriptors there are none left, say: they come back with time.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn answer(mut stream: TcpStream, status: &Shared) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut some = [0; 1024];
        let length = stream.read(&mut some).await?;
        if length == 0 || request.len() + length > LONGEST {
            return Ok(());
        }
        request.extend_from_slice(&some[..length]);
    }
    let line = request
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    let (code, body) = respond(line, status);
    let head = format!(
        "HTTP/1.1 {code}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.shutdown().await
}

fn respond(line: &[u8], status: &Shared) -> (&'static str, String) {
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    if words.next() != Some("GET") {
        return ("405 Method Not Allowed", "GET is right\n".into());
    }
    let status = status.get();
    match words.next() {
        Some("/healthz") => ("200 OK", "ok\n".into()),
        Some("/readyz") if status.ready => ("200 OK", "ok\n".into()),
        Some("/readyz") => ("503 Service Unavailable", format!("{}\n", status.reason)),
        Some("/metrics") => ("200 OK", status.metrics()),
        _ => (
            "404 Not Found",
            "/healthz, /readyz and /metrics are there\n".into(),
        ),
    }
}
