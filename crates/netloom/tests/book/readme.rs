//! The picture of README.md.

use std::process::Command;

use netloom_testkit::{Host, blocks, product};

use crate::compare::difference;
use crate::pages::root;

/// To draw it anew, put what `netloom demo` prints there, with `…` for what is left out.
#[test]
fn the_picture_of_the_readme_is_what_the_demo_draws() {
    let Some(_host) = Host::new() else { return };
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let blocks = blocks("README.md", &readme);
    let picture = blocks
        .iter()
        .find(|block| block.text.contains("a throw-away host"));
    let shown = format!("{}\n…", picture.unwrap().text);
    let demo = Command::new(product(env!("CARGO_BIN_EXE_netloom")))
        .arg("demo")
        .output()
        .unwrap();
    // What it does is on stderr for people, or on stdout.
    let printed = [demo.stdout, demo.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    assert!(demo.status.success(), "{printed}");
    assert_eq!(difference(&shown, &printed), None, "{printed}");
}
