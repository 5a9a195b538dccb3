//! The book in a browser: every page at the width of a telephone, light and dark, without errors; and its search.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::process;

/// The page that opens all others in a frame and writes down what it finds.
const HARNESS: &str = include_str!("browser.html");

/// How long the browser may take for all.
const LIMIT: Duration = Duration::from_secs(170);

/// How many findings are told: one mistake in what all pages share has hundreds.
const TOLD: usize = 20;

/// What the harness writes into itself.
#[derive(Deserialize)]
struct Report {
    opened: usize,
    searches: usize,
    findings: Vec<String>,
}

/// Opens every page, from the disk, and tells in a line what was done.
///
/// # Errors
/// When a page logs an error, is wider than a telephone, has a picture that does not load, or text that cannot be
/// read; when the search does not find.
pub(super) fn check(html: &Path) -> Result<String> {
    let begin = Instant::now();
    let mut pages = Vec::new();
    find(html, html, &mut pages)?;
    pages.sort();
    let list = serde_json::to_string(&pages)?;
    let harness = html.join("netloom-check.html");
    fs::write(&harness, HARNESS.replace("PAGES", &list))
        .with_context(|| format!("cannot write {}", harness.display()))?;
    let seen = open(&harness);
    fs::remove_file(&harness)?;
    let (document, console) = seen?;
    let report = report(&document)?;
    let mut findings = report.findings;
    for page in &pages {
        findings.extend(dead_links(html, page)?);
    }
    findings.extend(console);
    let told = findings.len().min(TOLD);
    ensure!(
        findings.is_empty(),
        "{} findings:\n{}",
        findings.len(),
        findings[..told].join("\n")
    );
    ensure!(
        report.opened == pages.len() * 2 && report.searches > 1,
        "{} of {} pages were opened, {} searches made",
        report.opened,
        pages.len() * 2,
        report.searches
    );
    Ok(format!(
        "{} pages, light and dark, and {} searches, in {:.0} s",
        pages.len(),
        report.searches,
        begin.elapsed().as_secs_f64()
    ))
}

/// The pages' paths below the folder.
fn find(folder: &Path, root: &Path, pages: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, root, pages)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "html")
        {
            let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
            // A frame of other pages, and what a web server alone shows.
            if !["toc.html", "404.html"].contains(&name.as_str()) {
                pages.push(name);
            }
        }
    }
    Ok(())
}

/// The links of a page to files that are not in the book.
fn dead_links(html: &Path, page: &str) -> Result<Vec<String>> {
    let path = html.join(page);
    let text = fs::read_to_string(&path)?;
    let folder = path.parent().unwrap_or(html);
    let links = text
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let files = links.filter_map(|link| link.split(['#', '?']).next());
    let files = files.filter(|file| !file.is_empty() && !file.contains(':'));
    let dead = files.filter(|file| !folder.join(file).exists());
    Ok(dead
        .map(|file| format!("{page}: there is no {file}"))
        .collect())
}

/// The document as it is in the end, and the errors of the console.
fn open(harness: &Path) -> Result<(String, Vec<String>)> {
    let profile = tempfile::tempdir()?;
    let browser = find_browser().context("chromium is not there")?;
    let [stdout, stderr] = ["document", "console"].map(|name| profile.path().join(name));
    let mut child = Command::new(browser)
        .args(["--headless", "--disable-gpu", "--dump-dom"])
        // Root has no sandbox of Chromium's; frames of files are of one origin only so.
        .args([
            "--no-sandbox",
            "--disable-web-security",
            "--allow-file-access-from-files",
        ])
        .args(["--enable-logging=stderr", "--disable-dev-shm-usage"])
        .arg("--virtual-time-budget=3600000")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", harness.display()))
        .stdin(Stdio::null())
        .stdout(fs::File::create(&stdout)?)
        .stderr(fs::File::create(&stderr)?)
        .spawn()
        .context("cannot run chromium")?;
    let end = Instant::now() + LIMIT;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() > end => {
                child.kill()?;
                child.wait()?;
                bail!("chromium was not done after {} s", LIMIT.as_secs());
            }
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    };
    let console = String::from_utf8_lossy(&fs::read(&stderr)?).into_owned();
    ensure!(status.success(), "chromium: {status}\n{console}");
    let errors = console.lines().filter(|line| line.contains(":CONSOLE"));
    let document = String::from_utf8_lossy(&fs::read(&stdout)?).into_owned();
    Ok((document, errors.map(str::to_owned).collect()))
}

fn find_browser() -> Option<PathBuf> {
    process::find_program("chromium")
}

fn report(document: &str) -> Result<Report> {
    let begin = "<pre id=\"report\">";
    let (_, rest) = document
        .split_once(begin)
        .context("the harness wrote nothing")?;
    let (text, _) = rest.split_once("</pre>").context("the report has no end")?;
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    serde_json::from_str(&text).with_context(|| format!("the harness did not end: {text:?}"))
}
