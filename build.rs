//! Lists the event files, so that `src/embedded.rs` can embed them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    // Cargo looks at every file below a folder.
    println!("cargo::rerun-if-changed=events");
    println!("cargo::rerun-if-changed=template.yaml");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or_else(|| io::Error::other("no manifest"))?);
    let output = PathBuf::from(env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("no OUT_DIR"))?);
    let mut files = vec![];
    for folder in sorted(&root.join("events"))?.iter().filter(|path| path.is_dir()) {
        files.extend(sorted(folder)?.into_iter().filter(|path| path.extension().is_some_and(|it| it == "json")));
    }
    let mut list = "&[\n".to_owned();
    for file in files {
        let parts = file.strip_prefix(root.join("events")).map_err(io::Error::other)?.iter();
        let name = parts.map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        writeln!(list, "    ({name:?}, include_str!({:?})),", file.to_string_lossy()).map_err(io::Error::other)?;
    }
    list.push_str("]\n");
    fs::write(output.join("event_files.rs"), list)
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
