//! Layers that zstd compressed.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::{Place, Tar};

/// What Debian's zstd makes of it; `None` after a skip.
fn zstd(bytes: &[u8], options: &[&str]) -> Option<Vec<u8>> {
    if !netloom_testkit::probe::has_program("zstd") {
        netloom_testkit::skip("no zstd");
        return None;
    }
    let mut child = Command::new("zstd")
        .args(["-q", "-c"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(bytes).unwrap());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        Some(output.stdout)
    })
}

#[test]
fn a_layer_of_zstd_is_read_in_frames_and_refused_when_it_is_damaged() {
    let Some(place) = Place::new() else { return };
    let text: String = (0..200_000).map(|number| format!("{number}\n")).collect();
    let tar = Tar::default().file("a", &text).bytes();
    let (one, other) = tar.split_at(tar.len() / 2);
    let Some(mut whole) = zstd(one, &["--check"]) else {
        return;
    };
    // A frame to be skipped, and another one.
    whole.extend([0x53, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2]);
    whole.extend(zstd(other, &["-19", "--check"]).unwrap());
    let layer = place.load(&whole).unwrap();
    assert_eq!(fs::read_to_string(layer.join("a")).unwrap(), text);
    for length in [whole.len() - 1, whole.len() / 3, 20, 5] {
        assert!(place.load(&whole[..length]).is_err(), "{length}");
    }
    let last = whole.len() - 1;
    whole[last] ^= 1;
    let error = place.load(&whole).unwrap_err();
    assert!(error.words.contains("checksum"), "{error}");
    place.is_clean(1);
}

#[test]
fn a_bomb_of_zstd_is_refused_in_little_memory() {
    let Some(place) = Place::new() else { return };
    let zeros = vec![0; 300 << 20];
    let Some(bomb) = zstd(&zeros, &["-19"]) else {
        return;
    };
    let error = place.load(&bomb).unwrap_err();
    assert!(
        error.words.contains("unfolds") || error.words.contains("no tar"),
        "{error}"
    );
    let long = zstd(&zeros, &["--long=30"]).unwrap();
    let error = place.load(&long).unwrap_err();
    assert!(error.words.contains("window"), "{error}");
    place.is_clean(0);
}
