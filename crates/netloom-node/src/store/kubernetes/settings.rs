//! How to speak to the Kubernetes API.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kube_client::config::{KubeConfigOptions, Kubeconfig};
use kube_client::{Client, Config};

use crate::cli::Peers;
use crate::files;

/// How long a connection and each call may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Valid settings.
#[derive(Clone)]
pub(crate) struct Settings {
    /// `None`: that of the pod in which the daemon runs.
    kubeconfig: Option<PathBuf>,
    /// What flannel calls `net-conf.json`.
    pub(super) net_conf: Vec<u8>,
    pub(super) peers: Peers,
    /// Before the keys of the pod network, as with etcd.
    pub(crate) prefix: String,
}

impl Settings {
    /// Judges what the user says; opens no connection.
    pub(crate) fn new(
        kubeconfig: Option<&Path>,
        net_conf: &Path,
        peers: Peers,
        prefix: &str,
    ) -> Result<Self> {
        if let Some(file) = kubeconfig {
            // It has keys or tokens in it.
            files::read_secret(file)?;
        }
        let text = std::fs::read(net_conf).with_context(|| {
            format!(
                "--net-conf: cannot read {}, the pod network's configuration",
                net_conf.display()
            )
        })?;
        netloom_cluster::flannel::NetworkConfig::parse(&text)
            .with_context(|| format!("--net-conf: {}", net_conf.display()))?;
        Ok(Self {
            kubeconfig: kubeconfig.map(Path::to_owned),
            net_conf: text,
            peers,
            prefix: prefix.to_owned(),
        })
    }

    /// A client. The token of a pod is read anew by the library whenever it was renewed.
    pub(super) async fn client(&self) -> Result<Client> {
        let mut config = match &self.kubeconfig {
            None => Config::incluster().context(
                "no Kubernetes API: a pod is told of it by KUBERNETES_SERVICE_HOST and its service \
                 account's files; elsewhere --kubeconfig names it",
            )?,
            Some(file) => {
                let read = Kubeconfig::read_from(file)
                    .with_context(|| format!("--kubeconfig: cannot read {}", file.display()))?;
                Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
                    .await
                    .with_context(|| format!("--kubeconfig: {}", file.display()))?
            }
        };
        ensure!(
            config.cluster_url.scheme_str() == Some("https"),
            "{}: https is needed, since whoever is on the path could change every record",
            config.cluster_url
        );
        config.connect_timeout = Some(PATIENCE);
        Client::try_from(config).context("cannot make a client of the Kubernetes API")
    }

    /// For messages.
    pub(super) fn name(&self) -> String {
        match &self.kubeconfig {
            None => "the Kubernetes API".to_owned(),
            Some(file) => format!("the Kubernetes API of {}", file.display()),
        }
    }
}
