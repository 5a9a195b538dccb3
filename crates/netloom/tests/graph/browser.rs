//! The pictures in headless Chromium: what overlaps, what is too small, what a page asks for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::{add, host, netloom};

/// Looks at every text and box of the page, and writes what it found into the document.
const LOOK: &str = r#"<script>
window.addEventListener("load", () => {
  const all = [...document.querySelectorAll("svg text")].map(it => ({
    words: it.textContent, box: it.getBoundingClientRect(),
    size: parseFloat(getComputedStyle(it).fontSize),
  }));
  const overlaps = [];
  for (let a = 0; a < all.length; a++) for (let b = a + 1; b < all.length; b++) {
    const [p, q] = [all[a].box, all[b].box];
    const wide = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const high = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (wide > 1 && high > 1) overlaps.push([all[a].words, all[b].words]);
  }
  const outside = [...document.querySelectorAll("svg g > rect")].flatMap(rect => {
    const frame = rect.getBoundingClientRect();
    const texts = [...rect.parentNode.querySelectorAll("text")];
    return texts.filter(it => {
      const box = it.getBoundingClientRect();
      return box.left < frame.left || box.right > frame.right + 0.5 || box.bottom > frame.bottom + 0.5;
    }).map(it => it.textContent);
  });
  const svg = document.querySelector("svg").getBoundingClientRect();
  const found = {
    texts: all.length, overlaps, outside,
    smallest: Math.min(...all.map(it => it.size)),
    cut: all.filter(it => it.box.right > svg.right || it.box.bottom > svg.bottom).map(it => it.words),
    tooltips: [...document.querySelectorAll("svg g > title")].map(it => it.textContent),
    requests: performance.getEntriesByType("resource").map(it => it.name),
    scripts: document.querySelectorAll("script").length,
  };
  const told = document.createElement("pre");
  told.id = "found";
  told.textContent = JSON.stringify(found);
  document.body.replaceChildren(told);
});
</script>"#;

/// What a browser says of a page; `None` where there is no browser.
fn look(page: &str) -> Option<Value> {
    let program = ["chromium", "chromium-browser", "google-chrome"];
    let program = program.into_iter().find_map(find)?;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    // The page's own rule would forbid the test's script, too.
    let rule = "default-src 'none'";
    assert!(
        page.contains(rule) || page.starts_with("<svg"),
        "a page without its rule"
    );
    let page = page.replace(rule, "default-src 'none'; script-src 'unsafe-inline'");
    fs::write(&file, format!("{page}{LOOK}")).unwrap();
    let output = Command::new(program)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--dump-dom",
        ])
        .arg(format!(
            "--user-data-dir={}",
            folder.path().join("profile").display()
        ))
        .arg(format!("file://{}", file.display()))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    let found = dom
        .split_once("<pre id=\"found\">")
        .and_then(|(_, rest)| rest.split_once("</pre>"));
    let (found, _) = found.unwrap_or_else(|| panic!("the browser did not look: {output:?}"));
    let found = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&nbsp;", "\u{a0}"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(found.to_owned(), |text, (from, to)| text.replace(from, to));
    Some(serde_json::from_str(&found).unwrap())
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|it| it.is_file())
}

#[track_caller]
fn is_readable(name: &str, found: &Value) {
    for fault in ["overlaps", "outside", "cut", "requests"] {
        assert_eq!(
            found[fault],
            Value::Array(Vec::new()),
            "{fault} in {name}: {found:#}"
        );
    }
    assert!(
        found["smallest"].as_f64().unwrap() >= 9.0,
        "{name}: {found:#}"
    );
    // The test's own.
    assert_eq!(found["scripts"], 1, "{name}: {found:#}");
}

#[test]
fn every_kept_picture_is_readable_in_a_browser() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/graph/scenes");
    let mut looked = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|it| it != "svg") {
            continue;
        }
        let picture = fs::read_to_string(&file).unwrap();
        let Some(found) = look(&picture) else {
            return netloom_testkit::skip("chromium");
        };
        is_readable(&file.display().to_string(), &found);
        assert!(found["texts"].as_u64().unwrap() > 0, "{}", file.display());
        looked += 1;
    }
    assert!(looked >= 10, "only {looked} pictures");
}

#[test]
fn the_page_of_a_real_host_is_readable_and_asks_nobody() {
    let Some(host) = host() else { return };
    for number in 0..14 {
        add("mynet", &host.pod(&format!("pod{number}")), "{}");
    }
    let far = host.pod("far");
    add("routed", &far, "{}");
    far.sh("ip link set eth0 alias '<script>alert(1)</script>'; ip link add '<i>' type veth peer name x1");
    let page = netloom(&["graph", "--html"]).run();
    let Some(found) = look(&page.stdout) else {
        return netloom_testkit::skip("chromium");
    };
    is_readable("the page", &found);
    let tooltips = found["tooltips"].as_array().unwrap();
    let of_far = tooltips
        .iter()
        .filter_map(Value::as_str)
        .find(|it| it.contains("<script>"));
    let facts: Value = serde_json::from_str(of_far.unwrap()).unwrap();
    assert_eq!(facts["alias"], "<script>alert(1)</script>");
    assert_eq!(facts["addresses"][0], "10.17.0.2/24");
}
