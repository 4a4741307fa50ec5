//! The pages of the documentation: their links, and the size of the README.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::support::root;

/// Every page, as its path from the root and its text.
pub(crate) fn pages() -> Vec<(String, String)> {
    let mut folders = vec![root("")];
    let mut paths: Vec<PathBuf> = vec![];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let is_page = |path: &PathBuf| path.extension().is_some_and(|it| it == "md");
        paths.extend(entries.filter(is_page));
        if folder == root("") {
            folders.extend([root("docs"), root("docs/decisions")]);
        }
    }
    paths.sort();
    let name = |path: &Path| path.strip_prefix(root("")).unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// Every link to a file of this repository leads to a file, and every anchor to a heading of that page.
#[test]
fn links_resolve() {
    let mut broken = vec![];
    for (page, text) in pages() {
        let folder = Path::new(&page).parent().unwrap();
        for link in links(&text) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { root(&page) } else { root("").join(folder).join(path) };
            let has_anchor = || anchors(&std::fs::read_to_string(&target).unwrap()).contains(anchor);
            if !target.exists() || !(anchor.is_empty() || has_anchor()) {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    assert_eq!(broken, [] as [&str; 0]);
}

/// What the template, the advice of the doctor and other texts of the command say about a page leads to a heading, too.
#[test]
fn anchors_in_template_and_code_resolve() {
    let mut sources = vec![("template.yaml".to_owned(), std::fs::read_to_string(root("template.yaml")).unwrap())];
    let mut folders = vec![root("src")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.extension().and_then(|extension| extension.to_str()) {
                None => folders.push(path),
                Some("rs") => sources.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap())),
                Some(_) => {}
            }
        }
    }
    let mut number = 0;
    for (source, text) in &sources {
        // `docs/page.md#anchor`, wherever it stands in a text.
        for mention in text.split("docs/").skip(1) {
            let is_part = |char: char| char.is_ascii_alphanumeric() || "-_.#/".contains(char);
            let end = mention.find(|char| !is_part(char)).unwrap_or(mention.len());
            let Some((page, anchor)) = mention[..end].trim_end_matches('.').split_once('#') else { continue };
            let page = std::fs::read_to_string(root("docs").join(page)).unwrap();
            assert!(anchors(&page).contains(anchor), "{source}: docs/{}", &mention[..end]);
            number += 1;
        }
    }
    assert!(number > 30, "{number}");
}

/// A page that is longer than this is not read before the first try.
#[test]
fn the_readme_is_short() {
    let lines = std::fs::read_to_string(root("README.md")).unwrap().lines().count();
    assert!(lines <= 120, "{lines} lines");
}

/// The targets of Markdown links and pictures, and those of pictures in HTML, without other web sites.
fn links(text: &str) -> Vec<&str> {
    let after = |mark| text.split(mark).skip(1);
    let markdown = after("](").filter_map(|rest| Some(rest.split_once(')')?.0));
    let html = after("src=\"").chain(after("srcset=\"")).filter_map(|rest| Some(rest.split_once('"')?.0));
    markdown.chain(html).filter(|link| !link.contains("://")).collect()
}

/// The anchors of a page, as GitHub derives them from its headings: lower case, hyphens for blanks, no punctuation.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |char: &char| char.is_alphanumeric() || " -_".contains(*char);
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}
