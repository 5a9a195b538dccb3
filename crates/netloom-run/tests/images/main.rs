//! Images that are hostile, damaged, or just as images are: what comes of them in the store.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod zstd;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use netloom_run::image::{Images, Reference, Source};
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

/// A place for a store, a source, and a witness that nothing outside changes; `None` after a skip.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            netloom_testkit::skip("needs root to give files to others");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/file"), "untouched").unwrap();
        Some(Self { dir })
    }

    fn images(&self) -> Images {
        Images::at(self.dir.path().join("images"))
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().join("outside")
    }

    /// Loads a tar as a root file system; the directory of its one layer.
    fn load(&self, tar: &[u8]) -> netloom_run::Result<PathBuf> {
        let file = self.dir.path().join("image.tar");
        fs::write(&file, tar).unwrap();
        let images = self.images();
        let image = images.load(&Source::Tar(file), None)?;
        Ok(images.unpacked(&image).layers[0].clone())
    }

    /// Nothing is there that is not whole, and nothing outside has changed.
    #[track_caller]
    fn is_clean(&self, layers: usize) {
        assert_eq!(
            fs::read_to_string(self.outside().join("file")).unwrap(),
            "untouched"
        );
        assert_eq!(fs::read_dir(self.outside()).unwrap().count(), 1);
        let names = |dir: &str| -> Vec<String> {
            let entries = fs::read_dir(self.dir.path().join("images").join(dir));
            let entries = entries.into_iter().flatten().flatten();
            entries
                .map(|it| it.file_name().into_string().unwrap())
                .collect()
        };
        assert_eq!(names("layers").len(), layers, "{:?}", names("layers"));
        let drafts: Vec<_> = names("")
            .into_iter()
            .filter(|it| it.starts_with("tmp-"))
            .collect();
        assert!(drafts.is_empty(), "{drafts:?}");
    }
}

/// A tar, entry by entry, with names that a tool would refuse to write.
#[derive(Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn entry(mut self, name: &str, kind: EntryType, mode: u32, link: &str, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        self.entry(name, EntryType::Regular, 0o644, "", content.as_bytes())
    }

    fn dir(self, name: &str) -> Self {
        self.entry(name, EntryType::Directory, 0o755, "", b"")
    }

    fn link(self, name: &str, to: &str) -> Self {
        self.entry(name, EntryType::Symlink, 0o777, to, b"")
    }

    fn hard(self, name: &str, to: &str) -> Self {
        self.entry(name, EntryType::Link, 0o644, to, b"")
    }

    fn bytes(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_layer_becomes_what_it_says() {
    let Some(place) = Place::new() else { return };
    let tar = Tar::default()
        .dir("./")
        .dir("./bin/")
        .entry("bin/su", EntryType::Regular, 0o4755, "", b"program")
        .hard("bin/su2", "bin/su")
        .link("bin/link", "su")
        .file("made/on/the/way", "x")
        .entry("pipe", EntryType::Fifo, 0o600, "", b"");
    let layer = place.load(&gzip(&tar.bytes())).unwrap();
    let su = fs::metadata(layer.join("bin/su")).unwrap();
    assert_eq!(su.permissions().mode() & 0o7777, 0o4755);
    assert_eq!((su.nlink(), su.mtime()), (2, 1_000_000_000));
    assert_eq!(
        fs::read_link(layer.join("bin/link")).unwrap(),
        Path::new("su")
    );
    assert!(layer.join("made/on/the/way").is_file());
    assert!(
        fs::metadata(layer.join("pipe"))
            .unwrap()
            .file_type()
            .is_fifo()
    );
    assert_eq!(
        fs::metadata(place.dir.path().join("images"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o700
    );
    place.is_clean(1);
}

#[test]
fn what_a_layer_removes_is_marked_as_overlayfs_wants_it() {
    let Some(place) = Place::new() else { return };
    let tar = Tar::default()
        .file("etc/.wh.gone", "")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/new", "x")
        .file(".wh.again", "")
        .dir("again")
        .dir("here")
        .file(".wh.here", "");
    let layer = place.load(&tar.bytes()).unwrap();
    let gone = fs::symlink_metadata(layer.join("etc/gone")).unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    let is_opaque = |name: &str| {
        let mut value = [0; 8];
        let name = layer.join(name);
        rustix::fs::getxattr(&name, "trusted.overlay.opaque", &mut value).is_ok()
    };
    assert!(is_opaque("opaque") && is_opaque("again") && is_opaque("here"));
    assert!(layer.join("opaque/new").is_file());
}

#[test]
fn no_name_and_no_link_leads_out() {
    let Some(place) = Place::new() else { return };
    let outside = place.outside();
    let outside = outside.to_str().unwrap();
    let up = "../../../../../../../../../../../../..";
    let refused = [
        Tar::default().file("../escaped", "x"),
        Tar::default().file("a/../../escaped", "x"),
        Tar::default().hard("stolen", "../outside/file"),
        Tar::default().hard("stolen", outside),
        Tar::default().file("", "x"),
        Tar::default().file(".wh...", ""),
        Tar::default().file("a/.wh..", ""),
    ];
    for (number, tar) in refused.into_iter().enumerate() {
        assert!(place.load(&tar.bytes()).is_err(), "{number}");
        place.is_clean(0);
    }
    // What is written through a link is written inside.
    let through = [
        Tar::default()
            .link("out", outside)
            .file("out/file", "changed"),
        Tar::default()
            .link("out", &format!("{up}{outside}"))
            .file("out/file", "changed"),
        Tar::default()
            .link("out", outside)
            .file("out", "a file now"),
        Tar::default()
            .link("out", outside)
            .dir("out")
            .file("out/new", "x"),
        Tar::default()
            .link("file", &format!("{outside}/file"))
            .file("file", "x"),
        Tar::default().file(&format!("{outside}/absolute"), "x"),
        Tar::default().link("out", outside).file("out/.wh.file", ""),
        Tar::default()
            .link("proc", "/proc/self/root")
            .file("proc/tmp/netloom-escaped", "x"),
    ];
    let mut whole = 0;
    for tar in through {
        whole += usize::from(place.load(&tar.bytes()).is_ok());
        place.is_clean(whole);
    }
    assert!(whole > 2, "only {whole} were taken");
    assert!(!Path::new("/tmp/netloom-escaped").exists());
}

#[test]
fn devices_are_left_out() {
    let Some(place) = Place::new() else { return };
    let tar = Tar::default()
        .entry("dev/sda", EntryType::Block, 0o666, "", b"")
        .entry("dev/mem", EntryType::Char, 0o666, "", b"")
        .file("kept", "x");
    let layer = place.load(&tar.bytes()).unwrap();
    assert_eq!(fs::read_dir(layer.join("dev")).unwrap().count(), 0);
    assert!(layer.join("kept").is_file());
}

#[test]
fn a_bomb_is_refused_before_it_is_large() {
    let Some(place) = Place::new() else { return };
    // Ten gigabytes of zeros, as a stream that is never whole anywhere.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut header = Header::new_gnu();
    header.set_path("zeros").unwrap();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(10 << 30);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).unwrap();
    // Enough of it to be refused by.
    std::io::copy(&mut std::io::repeat(0).take(512 << 20), &mut encoder).unwrap();
    let error = place.load(&encoder.finish().unwrap()).unwrap_err();
    assert!(error.words.contains("200 times"), "{error}");
    place.is_clean(0);
}

#[test]
fn what_is_cut_off_is_refused() {
    let Some(place) = Place::new() else { return };
    let tar = Tar::default().file("a", &"x".repeat(5000)).bytes();
    let whole = gzip(&tar);
    for length in [whole.len() - 1, whole.len() / 2, 20, 3] {
        assert!(place.load(&whole[..length]).is_err(), "{length}");
    }
    for length in [700, 512 + 100] {
        assert!(place.load(&tar[..length]).is_err(), "{length}");
    }
    place.is_clean(0);
}

/// An archive as docker saves it.
fn docker(layers: &[Vec<u8>], change: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
    let ids: Vec<_> = layers
        .iter()
        .map(|it| format!("sha256:{}", digest(it)))
        .collect();
    let mut config = json!({
        "os": "linux", "architecture": architecture(), "rootfs": {"type": "layers", "diff_ids": ids},
        "config": {"Cmd": ["sh"], "Env": ["A=b"], "Entrypoint": null, "User": "7", "WorkingDir": "/w"},
    });
    change(&mut config);
    let config = config.to_string();
    let name = format!("{}.json", digest(config.as_bytes()));
    let names: Vec<_> = (0..layers.len())
        .map(|it| format!("{it}/layer.tar"))
        .collect();
    let manifest = json!([{"Config": name, "RepoTags": ["web:1"], "Layers": names}]);
    let mut files = vec![(name, config.into_bytes())];
    files.push((
        "manifest.json".to_owned(),
        manifest.to_string().into_bytes(),
    ));
    files.extend(names.into_iter().zip(layers.to_vec()));
    archive(files)
}

fn archive(files: Vec<(String, Vec<u8>)>) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &*bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn two_layers() -> [Vec<u8>; 2] {
    [
        Tar::default().file("a", "low").bytes(),
        Tar::default().file("a", "high").bytes(),
    ]
}

#[test]
fn an_archive_of_docker_is_found_by_its_name_and_forgotten_with_its_layers() {
    let Some(place) = Place::new() else { return };
    let file = place.dir.path().join("saved.tar");
    fs::write(&file, docker(&two_layers(), |_| {})).unwrap();
    let source = Source::parse(file.to_str().unwrap()).unwrap().unwrap();
    assert_eq!(source, Source::DockerArchive(file));
    let images = place.images();
    images.load(&source, None).unwrap();
    let name = Reference::parse("docker://web:1").unwrap();
    let image = images.find(&name).unwrap().unwrap();
    let unpacked = images.unpacked(&image);
    assert_eq!(
        fs::read_to_string(unpacked.layers[0].join("a")).unwrap(),
        "high"
    );
    assert_eq!(unpacked.arguments, ["sh"]);
    assert_eq!((&*unpacked.cwd, &*unpacked.user), ("/w", "7"));
    place.is_clean(2);
    // A layer that a pod has is not taken away beneath it.
    let used = [unpacked.layers[0].clone()].into();
    images.remove(&name, &used).unwrap();
    place.is_clean(1);
    assert!(images.remove(&name, &used).is_err());
    assert!(images.list().unwrap().is_empty());
}

#[test]
fn an_archive_whose_digests_are_wrong_is_refused() {
    let Some(place) = Place::new() else { return };
    let file = place.dir.path().join("saved.tar");
    let wrong = |change: fn(&mut serde_json::Value)| {
        fs::write(&file, docker(&two_layers(), change)).unwrap();
        let loaded = place
            .images()
            .load(&Source::DockerArchive(file.clone()), None);
        loaded.unwrap_err().words
    };
    let other =
        wrong(|it| it["rootfs"]["diff_ids"][1] = json!(format!("sha256:{}", "0".repeat(64))));
    assert!(other.contains("digest"), "{other}");
    let fewer = wrong(|it| drop(it["rootfs"]["diff_ids"].as_array_mut().unwrap().pop()));
    assert!(fewer.contains("2 layers"), "{fewer}");
    let escaping = wrong(|it| it["rootfs"]["diff_ids"][0] = json!("sha256:../../outside"));
    assert!(escaping.contains("hexadecimal"), "{escaping}");
    let foreign = wrong(|it| it["architecture"] = json!("s390x"));
    assert!(foreign.contains("s390x"), "{foreign}");
    place.is_clean(1);
}

/// An OCI layout in a directory.
fn layout(dir: &Path, change: impl Fn(&mut Vec<u8>)) {
    fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
    let blob = |bytes: &[u8]| {
        let digest = digest(bytes);
        fs::write(dir.join("blobs/sha256").join(&digest), bytes).unwrap();
        json!({"digest": format!("sha256:{digest}"), "size": bytes.len(), "mediaType": "x"})
    };
    let tar = Tar::default().file("a", "of a layout").bytes();
    let config = json!({
        "os": "linux", "architecture": architecture(), "config": {},
        "rootfs": {"diff_ids": [format!("sha256:{}", digest(&tar))]},
    });
    let mut layer = gzip(&tar);
    let mut described = blob(&layer);
    change(&mut layer);
    let name = described["digest"].as_str().unwrap()["sha256:".len()..].to_owned();
    fs::write(dir.join("blobs/sha256").join(name), &layer).unwrap();
    described["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+gzip");
    let manifest = json!({"config": blob(config.to_string().as_bytes()), "layers": [described]});
    let mut top = blob(manifest.to_string().as_bytes());
    top["annotations"] = json!({"org.opencontainers.image.ref.name": "v1"});
    fs::write(
        dir.join("index.json"),
        json!({"manifests": [top]}).to_string(),
    )
    .unwrap();
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
}

#[test]
fn a_layout_is_read_from_a_directory_and_from_an_archive() {
    let Some(place) = Place::new() else { return };
    let dir = place.dir.path().join("web");
    layout(&dir, |_| {});
    let images = place.images();
    let tagged = format!("oci:{}:v1", dir.display());
    let source = Source::parse(&tagged).unwrap().unwrap();
    let image = images.load(&source, None).unwrap();
    assert_eq!(image.name, "docker.io/library/web:v1");
    assert!(
        images
            .load(&Source::Oci(dir.clone(), Some("v2".into())), None)
            .is_err()
    );

    let mut builder = Builder::new(Vec::new());
    builder.append_dir_all(".", &dir).unwrap();
    let file = place.dir.path().join("packed.tar");
    fs::write(&file, builder.into_inner().unwrap()).unwrap();
    let source = Source::parse(file.to_str().unwrap()).unwrap().unwrap();
    assert_eq!(source, Source::OciArchive(file));
    let again = images.load(&source, None).unwrap();
    assert_eq!(
        images.unpacked(&again).layers,
        images.unpacked(&image).layers
    );
    place.is_clean(1);
}

#[test]
fn a_layer_of_a_layout_that_was_changed_is_refused() {
    let Some(place) = Place::new() else { return };
    let dir = place.dir.path().join("web");
    // The same tar, compressed otherwise: only the digest of the blob tells.
    layout(&dir, |layer| layer[8] ^= 2);
    let error = place
        .images()
        .load(&Source::Oci(dir.clone(), None), None)
        .unwrap_err();
    assert!(error.words.contains("digest"), "{error}");
    place.is_clean(0);
}

#[test]
fn what_a_killed_loader_left_is_swept_by_the_next() {
    let Some(place) = Place::new() else { return };
    let left = place.dir.path().join("images/tmp-left");
    fs::create_dir_all(left.join("deep")).unwrap();
    symlink(place.outside(), left.join("link")).unwrap();
    place.load(&Tar::default().file("a", "x").bytes()).unwrap();
    assert!(!left.exists());
    place.is_clean(1);
}
