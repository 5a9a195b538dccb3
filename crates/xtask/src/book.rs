//! `cargo xtask book`: the pages of `docs` as a book, built by mdBook, and checked in a browser.
//!
//! Pages link to files beside `docs`, as they do where the repository is read. So the book is built from a copy in
//! which those files lie where they lie here, and not from `docs` itself.

mod browser;
mod command_page;
mod mdbook;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::packages;
use crate::workspace::Workspace;

/// The pages of the book that are not in `docs`.
const BESIDE: [&str; 5] = [
    "README.md",
    "SPECIFICATION.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
];

/// A link to code, which is not in the book, and where it leads to from there.
const CODE: &str = "](crates/";
const CODE_ONLINE: &str = "](https://github.com/netloom/netloom/tree/main/crates/";

/// The table of contents.
const SUMMARY: &str = "SUMMARY.md";

/// What comes behind the reference in it.
const PROJECT: &str = "\n# The project";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Open every page in headless Chromium as well: errors, widths, light and dark, search
    #[arg(long)]
    check: bool,
    /// Install nothing: fail where mdBook, or the browser, is not there
    #[arg(long)]
    no_install: bool,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode> {
    if args.check {
        packages::ensure(packages::FOR_ALL_TESTS, !args.no_install)?;
    }
    let html = build(workspace, !args.no_install)?;
    println!("the book is {}", html.join("index.html").display());
    if args.check {
        println!("{}", browser::check(&html)?);
    }
    Ok(ExitCode::SUCCESS)
}

/// What a run without installing lacks, in words.
pub(crate) fn missing() -> Option<String> {
    let mut missing = packages::missing(packages::FOR_ALL_TESTS);
    if mdbook::find().is_none() {
        missing.push("mdbook");
    }
    (!missing.is_empty()).then(|| format!("needs {}", missing.join(" ")))
}

/// Builds the book and checks it; gives back what was checked, in a line.
pub(crate) fn build_and_check(workspace: &Workspace) -> Result<String> {
    browser::check(&build(workspace, true)?)
}

/// Builds the book; gives back the folder of its pages.
fn build(workspace: &Workspace, install: bool) -> Result<PathBuf> {
    let mdbook = mdbook::find_or_install(install)?;
    let book = workspace.target.join("book");
    if book.exists() {
        fs::remove_dir_all(&book).with_context(|| format!("cannot empty {}", book.display()))?;
    }
    let source = book.join("src");
    let docs = workspace.root.join("docs");
    copy(&docs, &source.join("docs"))?;
    for page in BESIDE {
        let text = read(&workspace.root.join(page))?;
        write(&source.join(page), &in_the_book(&text))?;
    }
    // What mdBook looks for at the top.
    let summary = read(&docs.join(SUMMARY))?;
    let summary = with_all(&summary, &unlisted(&docs, &summary)?);
    write(&source.join(SUMMARY), &at_the_top(&summary))?;
    fs::remove_file(source.join("docs").join(SUMMARY))?;
    fs::rename(source.join("docs/book.toml"), book.join("book.toml"))?;
    copy(&docs.join("book"), &book.join("book"))?;
    fs::remove_dir_all(source.join("docs/book"))?;
    let commands = command_page::of(workspace)?;
    write(&source.join("docs/reference/commands.md"), &commands)?;
    mdbook::build(&mdbook, &book)?;
    Ok(book.join("html"))
}

/// The pages at the top of `docs` that the table of contents has not, as lines of it.
fn unlisted(docs: &Path, summary: &str) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(docs).context("cannot read docs")? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !name.ends_with(".md") || name == SUMMARY || summary.contains(&format!("]({name})")) {
            continue;
        }
        let text = read(&path)?;
        let title = text.lines().find_map(|line| line.strip_prefix("# "));
        lines.push(format!("- [{}]({name})\n", title.unwrap_or(&name)));
    }
    lines.sort();
    Ok(lines)
}

/// The table of contents with more lines, at the end of the reference.
fn with_all(summary: &str, lines: &[String]) -> String {
    summary.replacen(PROJECT, &format!("{}{PROJECT}", lines.concat()), 1)
}

/// A page with its links as they are in the book: mdBook makes `index.html` of a README.
fn in_the_book(page: &str) -> String {
    let page = page.replace(CODE, CODE_ONLINE);
    page.replace("/README.md", "/index.md")
        .replace("](README.md", "](index.md")
}

/// The table of contents with the paths of one folder above.
fn at_the_top(summary: &str) -> String {
    let moved = summary.replace("](", "](docs/");
    moved.replace("](docs/../", "](").replace("](docs/)", "]()")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false
                if target
                    .extension()
                    .is_some_and(|extension| extension == "md") =>
            {
                write(&target, &in_the_book(&read(&entry.path())?))?;
            }
            false => drop(fs::copy(entry.path(), &target)?),
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_nobody_listed_comes_last_of_the_reference() {
        let summary = "- [a](a.md)\n\n# The project\n";
        let lines = ["- [B](b.md)\n".to_owned()];
        assert_eq!(
            with_all(summary, &lines),
            "- [a](a.md)\n- [B](b.md)\n\n# The project\n"
        );
    }

    #[test]
    fn the_table_of_contents_moves_up_with_its_paths() {
        let summary = "[netloom](../README.md)\n- [a](how-to/a.md)\n- [Plugins]()\n";
        let moved = "[netloom](README.md)\n- [a](docs/how-to/a.md)\n- [Plugins]()\n";
        assert_eq!(at_the_top(summary), moved);
    }
}
