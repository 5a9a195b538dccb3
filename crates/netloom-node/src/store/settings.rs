//! How to speak to the store.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};

use crate::cli::StoreArgs;
use crate::files;

/// How long a connection and each call may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// How often a quiet connection is asked whether it lives.
const PING: Duration = Duration::from_secs(5);

/// Valid settings.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(super) endpoints: Vec<String>,
    pub(super) options: ConnectOptions,
    pub(crate) prefix: String,
    /// The server knows nobody by a certificate: if it hangs up, it may have wanted one.
    pub(super) anonymous: bool,
}

impl Settings {
    /// Judges what the user says; opens no connection.
    pub(crate) fn new(args: &StoreArgs) -> Result<Self> {
        let prefix = prefix(args)?;
        for endpoint in &args.etcd {
            judge(endpoint, args)?;
        }
        let mut options = ConnectOptions::new()
            .with_connect_timeout(PATIENCE)
            .with_keep_alive(PING, PATIENCE)
            .with_keep_alive_while_idle(true)
            .with_auto_token_refresh(true)
            .with_require_leader(true);
        if args
            .etcd
            .iter()
            .any(|endpoint| endpoint.starts_with("https://"))
        {
            options = options.with_tls(tls(args)?);
        }
        if let (Some(name), Some(file)) = (&args.etcd_username, &args.etcd_password_file) {
            let password = String::from_utf8(files::read_secret(file)?)
                .with_context(|| format!("{} is no text", file.display()))?;
            let password = password.trim_end_matches(['\r', '\n']);
            options = options.with_user(name, password);
        }
        Ok(Self {
            endpoints: args.etcd.clone(),
            options,
            prefix,
            anonymous: args.etcd_cafile.is_some() && args.etcd_certfile.is_none(),
        })
    }
}

/// What the keys of the pod network begin with.
pub(super) fn prefix(args: &StoreArgs) -> Result<String> {
    let prefix = args.prefix.trim_end_matches('/').to_owned();
    ensure!(
        prefix.starts_with('/') && prefix.len() > 1 && !prefix.contains("//"),
        "--prefix {:?}: a key such as {} is right",
        args.prefix,
        netloom_cluster::flannel::PREFIX
    );
    Ok(prefix)
}

/// Refuses an endpoint that cannot be used, or that strangers can listen to.
fn judge(endpoint: &str, args: &StoreArgs) -> Result<()> {
    let plain = endpoint.strip_prefix("http://");
    let Some(place) = plain.or_else(|| endpoint.strip_prefix("https://")) else {
        bail!("--etcd {endpoint:?}: a URL such as https://10.0.0.1:2379 is right");
    };
    let host = host_of(place)
        .with_context(|| format!("--etcd {endpoint:?}: HOST:PORT is right behind the //"))?;
    let all = args.etcd.iter();
    ensure!(
        all.clone()
            .all(|other| other.starts_with("https://") == plain.is_none()),
        "--etcd: either all endpoints are https, or none"
    );
    if plain.is_none() {
        return Ok(());
    }
    let here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    ensure!(
        here || args.insecure,
        "--etcd {endpoint}: without TLS, whoever is on the path can read and change every record; \
         use https, or say --insecure"
    );
    let secret = args.etcd_password_file.is_some() || args.etcd_keyfile.is_some();
    ensure!(
        !secret || args.etcd_keyfile.is_none(),
        "--etcd {endpoint}: a certificate is of no use without TLS; use https"
    );
    Ok(())
}

/// The host of `HOST:PORT`, brackets taken off.
fn host_of(place: &str) -> Option<&str> {
    let (host, port) = place.trim_end_matches('/').rsplit_once(':')?;
    port.parse::<u16>().ok().filter(|port| *port != 0)?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    (!host.is_empty()).then_some(host)
}

fn tls(args: &StoreArgs) -> Result<TlsOptions> {
    let mut tls = TlsOptions::new();
    let Some(ca) = &args.etcd_cafile else {
        bail!("--etcd-cafile: the certificate authority of the https endpoints is needed");
    };
    let text = std::fs::read(ca).with_context(|| format!("cannot read {}", ca.display()))?;
    tls = tls.ca_certificate(Certificate::from_pem(text));
    if let (Some(cert), Some(key)) = (&args.etcd_certfile, &args.etcd_keyfile) {
        let cert =
            std::fs::read(cert).with_context(|| format!("cannot read {}", cert.display()))?;
        tls = tls.identity(Identity::from_pem(cert, files::read_secret(key)?));
    }
    Ok(tls)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        store: StoreArgs,
    }

    fn settings(words: &[&str]) -> Result<Settings> {
        let line = Line::parse_from(["test"].iter().chain(words));
        Settings::new(&line.store)
    }

    #[test]
    fn plain_http_is_for_this_host_or_for_who_insists() {
        for right in [
            &["--etcd", "http://127.0.0.1:2379"][..],
            &["--etcd", "http://[::1]:2379"],
            &["--etcd", "http://localhost:2379/"],
            &["--etcd", "http://192.0.2.1:2379", "--insecure"],
        ] {
            assert!(settings(right).is_ok(), "{right:?}");
        }
        let wrong: [(&[&str], &str); 7] = [
            (&["--etcd", "http://192.0.2.1:2379"], "--insecure"),
            (&["--etcd", "127.0.0.1:2379"], "a URL such as"),
            (&["--etcd", "http://127.0.0.1"], "HOST:PORT"),
            (&["--etcd", "http://::1:2379"], "HOST:PORT"),
            (&["--etcd", "https://127.0.0.1:2379"], "--etcd-cafile"),
            (&["--etcd", "https://a:1,http://127.0.0.1:1"], "either all"),
            (
                &["--etcd", "http://127.0.0.1:2379", "--prefix", "network"],
                "--prefix",
            ),
        ];
        for (words, part) in wrong {
            let error = settings(words).map(drop).unwrap_err().to_string();
            assert!(error.contains(part), "{words:?}: {error}");
        }
    }
}
