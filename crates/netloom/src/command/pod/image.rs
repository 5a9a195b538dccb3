//! Images: where they come from, and what they say about their command.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;
use netloom_run::image::{Image, Images, Reference, Source, Unpacked};
use netloom_run::{Error, Root, Store};
use serde_json::json;

use crate::cli::pod::{ImageVerb, Run};
use crate::options::Options;

/// What begins the name of an image where a command could stand.
const SCHEMES: [&str; 4] = ["docker://", "docker-archive:", "oci-archive:", "oci:"];

/// The user's choice of a root file system, and the words behind it.
pub(super) struct Choice {
    kind: Kind,
    words: Vec<String>,
}

enum Kind {
    Root(Root),
    Image(String),
}

/// What runs where.
pub(super) struct Chosen {
    pub(super) root: Root,
    pub(super) command: Vec<String>,
    pub(super) env: Vec<String>,
    pub(super) cwd: String,
    pub(super) user: String,
}

/// What the user means. Nothing is read yet.
pub(super) fn choose(run: &Run) -> Result<Choice, Error> {
    let mut words = run.command.clone();
    let is_image = |word: &String| SCHEMES.iter().any(|scheme| word.starts_with(scheme));
    let first = words.first().filter(|it| is_image(it)).cloned();
    if let (None, None, Some(image)) = (&run.image, &run.rootfs, first) {
        words.remove(0);
        // As rkt has it: the image's own arguments come behind `--`.
        if words.first().is_some_and(|it| it == "--") {
            words.remove(0);
        }
        return Ok(Choice {
            kind: Kind::Image(image),
            words,
        });
    }
    let kind = match (&run.image, &run.rootfs) {
        (Some(image), _) => Kind::Image(image.clone()),
        (None, None) => Kind::Root(Root::Host),
        (None, Some(dir)) => Kind::Root(Root::Directory {
            path: directory(dir)?,
            writable: run.rw,
        }),
    };
    Ok(Choice { kind, words })
}

fn directory(dir: &Path) -> Result<std::path::PathBuf, Error> {
    let failed = |error| Error::new(format!("--rootfs {dir:?}: {error}"));
    let path = dir.canonicalize().map_err(failed)?;
    match path.is_dir() {
        true => Ok(path),
        false => Err(Error::new(format!("--rootfs {dir:?} is no directory"))),
    }
}

/// Reads the image, and brings it if it is not there.
pub(super) fn open(choice: Choice) -> Result<Chosen, Error> {
    let (root, image) = match choice.kind {
        Kind::Root(root) => (root, Unpacked::default()),
        Kind::Image(text) => {
            let images = Images::default();
            let image = find(&images, &text)?;
            let unpacked = images.unpacked(&image);
            (Root::Layers(unpacked.layers.clone()), unpacked)
        }
    };
    let words = match choice.words.is_empty() {
        true => image.arguments,
        false => choice.words,
    };
    let mut command: Vec<_> = image.entrypoint.into_iter().chain(words).collect();
    if command.is_empty() {
        command.push("/bin/sh".to_owned());
    }
    Ok(Chosen {
        root,
        command,
        // One without a value would take the user's.
        env: image
            .env
            .into_iter()
            .filter(|it| it.contains('='))
            .collect(),
        cwd: Some(image.cwd)
            .filter(|it| !it.is_empty())
            .unwrap_or("/".to_owned()),
        user: image.user,
    })
}

fn find(images: &Images, text: &str) -> Result<Image, Error> {
    if let Some(source) = Source::parse(text)? {
        return images.load(&source, None);
    }
    let name = Reference::parse(text)?;
    match images.find(&name)? {
        Some(image) => Ok(image),
        None => pull(images, &name),
    }
}

/// Brings an image that is not in the store: out of the store of podman or docker, else from its registry,
/// by skopeo.
fn pull(images: &Images, name: &Reference) -> Result<Image, Error> {
    for engine in ["podman", "docker"] {
        // What was built or loaded there has no registry in its name.
        for known in [name.as_str(), name.short()] {
            if succeeds(engine, &["image", "inspect", known]) {
                return brought(images, name, engine, |file| {
                    vec!["save".into(), "-o".into(), file.into(), known.into()]
                });
            }
        }
    }
    if !succeeds("skopeo", &["--version"]) {
        return Err(Error::new(format!(
            "image {:?} is not there: load an archive (`netloom image load FILE`), or install skopeo, which \
             brings images from registries (Debian: apt install skopeo)",
            name.short()
        )));
    }
    brought(images, name, "skopeo", |file| {
        let from = format!("docker://{name}");
        let to = format!("docker-archive:{file}:{name}");
        vec!["copy".into(), "--quiet".into(), from, to]
    })
}

/// Has another program write an archive, and loads it.
fn brought(
    images: &Images,
    name: &Reference,
    program: &str,
    arguments: impl FnOnce(&str) -> Vec<String>,
) -> Result<Image, Error> {
    let dir = netloom_run::image::scratch()?;
    let file = dir.join("image.tar");
    let failed = |what: &dyn std::fmt::Display| {
        Error::new(format!(
            "{program} could not bring image {:?}: {what}",
            name.short()
        ))
    };
    let mut command = Command::new(program);
    command.args(arguments(&file.to_string_lossy()));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let loaded = match command.output() {
        Ok(output) if output.status.success() => {
            images.load(&Source::DockerArchive(file), Some(name))
        }
        Ok(output) => Err(failed(&String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(failed(&error)),
    };
    let _ = std::fs::remove_dir_all(dir);
    loaded
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

pub(super) fn answer(options: &Options, verb: &ImageVerb, store: &Store) -> Result<()> {
    let images = Images::default();
    match verb {
        ImageVerb::Ls => {
            let names: Vec<_> = images.list()?.into_iter().map(|it| it.name).collect();
            if options.json {
                print_json!(json!(names));
            } else {
                for name in names {
                    say!("{name}");
                }
            }
        }
        ImageVerb::Load { source, name } => {
            let wanted = name.as_deref().map(Reference::parse).transpose()?;
            let found = Source::parse(source)?.ok_or_else(|| {
                Error::new(format!(
                    "{source:?} is no archive: expected FILE.tar, docker-archive:FILE, oci-archive:FILE or oci:DIR"
                ))
            })?;
            say!("{}", images.load(&found, wanted.as_ref())?.name);
        }
        ImageVerb::Rm { names } => {
            let mut in_use = HashSet::new();
            for pod in store.list()? {
                if let Ok(state) = pod.state()
                    && let Root::Layers(layers) = state.spec.root
                {
                    in_use.extend(layers);
                }
            }
            for name in names {
                images.remove(&Reference::parse(name)?, &in_use)?;
                say!("{name}");
            }
        }
        ImageVerb::Pull { name } => {
            say!("{}", pull(&images, &Reference::parse(name)?)?.name);
        }
    }
    Ok(())
}
