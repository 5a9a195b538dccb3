//! The image that installs the plugins on a node and runs its daemon, as an OCI layout in a tar file, made without docker.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::tree::tar;
use super::{File, HOME, Release, SUMMARY, Tree};
use crate::process;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

pub(super) fn make(release: &Release<'_>) -> Result<PathBuf> {
    let scratch = release.scratch("image")?;
    let layout = Layout {
        dir: scratch.join("layout"),
    };
    fs::create_dir_all(layout.blobs())?;
    let (layer, diff_id) = layer(release, &scratch, &layout)?;
    let config = layout.put(&config(release, &diff_id)?)?;
    let manifest = layout.put(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.describe(CONFIG),
        "layers": [layer.describe(LAYER)],
    }))?;
    let version = release.version();
    let mut descriptor = manifest.describe(MANIFEST);
    descriptor["platform"] = json!({ "architecture": architecture(), "os": "linux" });
    descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": version });
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor] });
    let mut tree = Tree::default();
    tree.text("index.json", index.to_string());
    tree.text(
        "oci-layout",
        json!({ "imageLayoutVersion": "1.0.0" }).to_string(),
    );
    // Lays these, and gives the blobs their times.
    tree.lay(&layout.dir, release.epoch)?;
    let to = release.out.join(format!("{}-oci.tar", release.stem()?));
    tar(&layout.dir, &to)?;
    Ok(to)
}

/// The only layer: the programs; with the digest of what it is before compression.
fn layer(release: &Release<'_>, scratch: &Path, layout: &Layout) -> Result<(Blob, String)> {
    let mut tree = Tree::default();
    for name in ["netloom", "netloom-plugins"] {
        tree.put(
            format!("usr/bin/{name}"),
            File::Program(release.bin.join(name)),
        );
    }
    if let Some(program) = release.daemon() {
        tree.put("usr/bin/netloom-node", File::Program(program));
    }
    let (root, plain) = (scratch.join("root"), scratch.join("layer.tar"));
    fs::create_dir(&root)?;
    tree.lay(&root, release.epoch)?;
    tar(&root, &plain)?;
    let diff_id = sha256(&plain)?;
    let packed = scratch.join("layer.tar.gz");
    fs::write(
        &packed,
        process::output(Command::new("gzip").args(["-9nc"]).arg(&plain))?,
    )?;
    Ok((layout.take(&packed)?, diff_id))
}

fn config(release: &Release<'_>, diff_id: &str) -> Result<Value> {
    let mut date = Command::new("date");
    date.args(["-u", "+%Y-%m-%dT%H:%M:%SZ", "-d"])
        .arg(format!("@{}", release.epoch));
    let created = String::from_utf8(process::output(&mut date)?)?;
    let created = created.trim();
    Ok(json!({
        "created": created,
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "Entrypoint": ["/usr/bin/netloom"],
            "Cmd": ["install", "--host", "/host", "--stay"],
            "Env": ["PATH=/usr/bin"],
            "Labels": {
                "org.opencontainers.image.title": "netloom",
                "org.opencontainers.image.description": SUMMARY,
                "org.opencontainers.image.licenses": "Apache-2.0",
                "org.opencontainers.image.source": HOME,
                "org.opencontainers.image.version": release.version(),
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff_id}")] },
        "history": [{ "created": created, "created_by": "cargo xtask dist" }],
    }))
}

/// What Go, and so OCI, calls this machine's architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The folder of an image layout.
struct Layout {
    dir: PathBuf,
}

/// A file of the layout, named by its digest.
struct Blob {
    digest: String,
    size: u64,
}

impl Layout {
    fn blobs(&self) -> PathBuf {
        self.dir.join("blobs/sha256")
    }

    fn put(&self, document: &Value) -> Result<Blob> {
        let draft = self.dir.with_extension("draft");
        fs::write(&draft, document.to_string())?;
        self.take(&draft)
    }

    fn take(&self, file: &Path) -> Result<Blob> {
        let (digest, size) = (sha256(file)?, fs::metadata(file)?.len());
        fs::rename(file, self.blobs().join(&digest))?;
        Ok(Blob { digest, size })
    }
}

impl Blob {
    fn describe(&self, media_type: &str) -> Value {
        let digest = format!("sha256:{}", self.digest);
        json!({ "mediaType": media_type, "digest": digest, "size": self.size })
    }
}

fn sha256(file: &Path) -> Result<String> {
    let said = process::output(Command::new("sha256sum").arg(file))?;
    let said = String::from_utf8(said)?;
    let digest = said.split_whitespace().next();
    Ok(digest.context("sha256sum says nothing")?.to_owned())
}
