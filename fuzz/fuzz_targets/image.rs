//! An image is read, whatever its archive says, into its store and nowhere else; an error is one line.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use netloom_run::image::{Images, Reference, Source};

/// A directory of this process's own, in memory where there is such a place.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() {
        memory.into()
    } else {
        std::env::temp_dir()
    };
    base.join(format!("netloom-fuzz-image-{}", std::process::id()))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let place = &*PLACE;
    let (file, store) = (place.join("image.tar"), place.join("store"));
    fs::create_dir_all(place).expect("make a directory");
    fs::write(&file, bytes).expect("write the archive");
    let name = Reference::parse("fuzzed:1").expect("it is a name");
    let images = Images::at(&store);
    let kinds = [Source::Tar, Source::DockerArchive, Source::OciArchive];
    for source in kinds.map(|kind| kind(file.clone())) {
        match images.load(&source, Some(&name)) {
            Ok(image) => {
                for layer in images.unpacked(&image).layers {
                    assert!(layer.starts_with(&store), "{layer:?} is outside");
                }
            }
            Err(error) => assert!(!error.words.contains('\n'), "{error}"),
        }
    }
    let mut left: Vec<_> = fs::read_dir(place).expect("list it").flatten().collect();
    left.retain(|entry| !["image.tar", "store"].contains(&&*entry.file_name().to_string_lossy()));
    assert!(left.is_empty(), "{left:?} is outside of the store");
    fs::remove_dir_all(place).expect("remove it");
});
