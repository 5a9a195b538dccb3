//! Traffic that goes on while something else is done.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netloom_testkit::Pod;

/// Longer than a lost segment takes to be sent again, shorter than anybody would wait.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(2);

/// Where a socket is made.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    Pod(&'a Pod),
    Host,
}

impl Place<'_> {
    fn run<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        match self {
            Place::Pod(pod) => pod.run(work),
            // A test's thread is in its host.
            Place::Host => work(),
        }
    }
}

/// A connection on which single bytes go to and fro for as long as this lives.
pub(crate) struct Stream<'a> {
    client: Place<'a>,
    to: SocketAddr,
    exchanges: Arc<AtomicUsize>,
    broken: Arc<Mutex<Option<String>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl<'a> Stream<'a> {
    /// Connects from `client` to `to`, where a server in `server` must answer at the port `at`.
    pub(crate) fn open(server: Place<'a>, at: u16, client: Place<'a>, to: SocketAddr) -> Self {
        let listener = server.run(|| TcpListener::bind(("::", at))).unwrap();
        listener.set_nonblocking(true).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut stream = Self {
            client,
            to,
            exchanges: Arc::default(),
            broken: Arc::default(),
            stop: Arc::clone(&stop),
            threads: vec![std::thread::spawn(move || echo(&listener, &stop))],
        };
        let first = stream.connect();
        let (tell, told) = mpsc::channel();
        let (stop, broken) = (Arc::clone(&stream.stop), Arc::clone(&stream.broken));
        let exchanges = Arc::clone(&stream.exchanges);
        stream.threads.push(std::thread::spawn(move || {
            let _ = tell.send(());
            let ended = talk(first, &exchanges, &stop);
            *broken.lock().unwrap() = ended.err();
        }));
        told.recv().unwrap();
        stream.flows();
        stream
    }

    /// Does something, before, during and after which bytes must flow on the connection that was
    /// there, and after which a new one must come about.
    pub(crate) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.flows();
        let done = work();
        self.flows();
        exchange(&mut self.connect())
            .unwrap_or_else(|error| panic!("a new connection to {} {error}", self.to));
        done
    }

    /// Waits until bytes have gone to and fro that were not sent before the call.
    fn flows(&self) {
        let (before, since) = (self.exchanges.load(Ordering::SeqCst), Instant::now());
        while self.exchanges.load(Ordering::SeqCst) < before + 2 {
            let broken = self.broken.lock().unwrap().clone();
            assert_eq!(broken, None, "the connection to {}", self.to);
            assert!(since.elapsed() < PATIENCE, "{} is silent", self.to);
            std::thread::sleep(PAUSE);
        }
    }

    fn connect(&self) -> TcpStream {
        let connected = self
            .client
            .run(|| TcpStream::connect_timeout(&self.to, PATIENCE));
        connected.unwrap_or_else(|error| panic!("cannot connect to {}: {error}", self.to))
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn talk(mut stream: TcpStream, count: &AtomicUsize, stop: &AtomicBool) -> Result<(), String> {
    while !stop.load(Ordering::SeqCst) {
        let since = Instant::now();
        exchange(&mut stream)?;
        if since.elapsed() > PATIENCE {
            return Err(format!("was silent for {:?}", since.elapsed()));
        }
        count.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// One byte there and back.
fn exchange(stream: &mut TcpStream) -> Result<(), String> {
    let mut byte = [7];
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.write_all(&byte))
        .and_then(|()| stream.read_exact(&mut byte))
        .map_err(|error| format!("carries nothing: {error}"))
}

/// Sends back whatever comes on any connection.
fn echo(listener: &TcpListener, stop: &AtomicBool) {
    let mut peers: Vec<TcpStream> = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        if let Ok((peer, _)) = listener.accept() {
            peer.set_nonblocking(true).unwrap();
            peers.push(peer);
        }
        peers.retain_mut(|peer| {
            let mut buffer = [0; 64];
            match peer.read(&mut buffer) {
                Ok(0) => false,
                Ok(length) => peer.write_all(&buffer[..length]).is_ok(),
                Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
            }
        });
        std::thread::sleep(Duration::from_millis(1));
    }
}
