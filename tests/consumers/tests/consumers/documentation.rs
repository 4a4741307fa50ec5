//! The code in docs/consume.md is that of the files.
//!
//! `UPDATE=1 cargo test --workspace --test consumers the_page_has_the_code` writes it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::consumer_process::package;

const PAGE: &str = "../../docs/consume.md";

/// The page with each block of code that follows a comment with the path of a file, filled with that file; and the paths.
fn filled(page: &str) -> (String, BTreeSet<String>) {
    let (mut filled, mut paths) = (String::new(), BTreeSet::new());
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("<!-- tests/consumers/") {
        let (path, after) = after.split_once(" -->\n").unwrap();
        let (fence, after) = after.split_once('\n').unwrap();
        let (_, after) = after.split_once("```\n").unwrap();
        let code = fs::read_to_string(package(path)).unwrap();
        filled += &format!("{before}<!-- tests/consumers/{path} -->\n{fence}\n{code}```\n");
        paths.insert(path.to_owned());
        rest = after;
    }
    (filled + rest, paths)
}

#[test]
fn the_page_has_the_code() {
    let page = fs::read_to_string(package(PAGE)).unwrap();
    let (expected, paths) = filled(&page);
    if std::env::var_os("UPDATE").is_some() {
        fs::write(package(PAGE), &expected).unwrap();
    } else {
        assert!(page == expected, "docs/consume.md is out of date: run this test with UPDATE=1");
    }
    let folders = ["python", "typescript/src", "src"].map(package);
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let is_shown = |path: &PathBuf| path.is_file() && !path.ends_with("src/lib.rs");
    let files = files.filter(is_shown).map(|path| path.strip_prefix(package("")).unwrap().display().to_string());
    assert_eq!(paths, files.chain(["cloudformation.yaml".to_owned()]).collect());
}
