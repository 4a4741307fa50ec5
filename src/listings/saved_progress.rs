//! How far an interrupted import has come, in a file between two runs. It contains times, page numbers
//! and the account, nothing of a customer.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result, bail};
use clientele_api::ApiUrl;
use clientele_flow::Progress;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::exit_code::ExitCode;

/// The format of the file.
const FORMAT: u32 = 2;

/// What an import works on. Only the same import can be continued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportIdentity {
    /// The provider.
    pub provider: String,
    /// The table's id, which is never used again: not when a stack is created a second time, and not when the local stack
    /// is started again with an empty table.
    pub table_id: String,
    /// The URL of the list API.
    pub url: String,
}

/// The options that decide which records an import reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportScope {
    /// Only records that changed at this time or later.
    pub since: Option<Timestamp>,
    /// The account that the operator named.
    pub account: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    format: u32,
    #[serde(flatten)]
    identity: ImportIdentity,
    #[serde(flatten)]
    scope: ImportScope,
    progress: Progress,
}

/// The file of one import. Nothing is written before the first page is applied.
#[derive(Clone, Debug)]
pub struct SavedProgress {
    path: PathBuf,
    identity: ImportIdentity,
    scope: ImportScope,
}

impl ImportIdentity {
    /// An import from a provider's list API into the table with this id.
    #[must_use]
    pub fn new(provider: &str, table_id: &str, url: &ApiUrl) -> Self {
        Self { provider: provider.to_owned(), table_id: table_id.to_owned(), url: url.to_string() }
    }

    fn file_name(&self) -> String {
        let Self { provider, table_id, url } = self;
        let hash = Sha256::digest(format!("{provider}\n{table_id}\n{url}"));
        format!("import-{provider}-{}.json", hex::encode(&hash[..8]))
    }
}

impl SavedProgress {
    /// The file of that import in a folder, which need not exist yet.
    #[must_use]
    pub fn new(folder: &Path, identity: ImportIdentity, scope: ImportScope) -> Self {
        Self { path: folder.join(identity.file_name()), identity, scope }
    }

    /// Where an earlier run of the same import was interrupted.
    ///
    /// # Errors
    /// When the file cannot be read, or the interrupted run had other options: what it read then says nothing about what
    /// this run is to read.
    pub fn load(&self) -> Result<Option<Progress>> {
        let path = self.path.display();
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{path} cannot be read: --restart ignores it")),
        };
        let saved: Option<Saved> = serde_json::from_str(&text).ok();
        let Some(saved) = saved.filter(|saved| saved.format == FORMAT && saved.identity == self.identity) else {
            bail!("{path} is not the progress of an import by this version: --restart starts a new import");
        };
        if saved.scope != self.scope {
            bail!(ExitCode::Usage.error(format!(
                "an import with {} was interrupted: repeat it with the same options, or start a new one with --restart",
                options(&saved.scope)
            )));
        }
        Ok(Some(saved.progress))
    }

    /// Saves the progress. After a crash the file has either the old content or the new one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, progress: &Progress) -> Result<()> {
        let (identity, scope) = (self.identity.clone(), self.scope.clone());
        let saved = Saved { format: FORMAT, identity, scope, progress: progress.clone() };
        let text = serde_json::to_string_pretty(&saved)?;
        self.replace(text.as_bytes()).with_context(|| format!("{} cannot be written", self.path.display()))
    }

    fn replace(&self, content: &[u8]) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        // Another process may write the same progress.
        let new = self.path.with_extension(format!("{}.new", process::id()));
        let mut file = File::create(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)
    }

    /// Removes the file, if it exists.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{} cannot be removed", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}

fn options(scope: &ImportScope) -> String {
    let since = scope.since.map(|since| format!("--since {since}"));
    let account = scope.account.as_ref().map(|account| format!("--account {account}"));
    let options: Vec<_> = since.into_iter().chain(account).collect();
    if options.is_empty() { "neither --since nor --account".to_owned() } else { options.join(" ") }
}

/// The user's folder for such files on this system, unless the environment does not say where it is.
#[must_use]
pub fn state_folder() -> Option<PathBuf> {
    state_folder_of(&|name| env::var_os(name))
}

fn state_folder_of(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let standard = folder("XDG_STATE_HOME").or_else(|| {
        if cfg!(windows) {
            folder("LOCALAPPDATA")
        } else if cfg!(target_os = "macos") {
            folder("HOME").map(|home| home.join("Library/Application Support"))
        } else {
            folder("HOME").map(|home| home.join(".local/state"))
        }
    });
    standard.map(|standard| standard.join("clientele"))
}

#[cfg(test)]
mod tests {
    use clientele_model::Position;
    use rstest::rstest;

    use super::*;

    fn identity() -> ImportIdentity {
        ImportIdentity::new("plain", "table-1", &"https://api.example.com".parse().unwrap())
    }

    fn scope(since: Option<&str>, account: Option<&str>) -> ImportScope {
        ImportScope { since: since.map(|since| since.parse().unwrap()), account: account.map(ToOwned::to_owned) }
    }

    fn progress(position: Position) -> Progress {
        let started_at = "2026-03-01T10:00:00Z".parse().unwrap();
        Progress {
            walk: 0,
            since: None,
            position: Some(position),
            started_at,
            has_changes: false,
            incomplete: None,
            account: None,
            has_omissions: false,
        }
    }

    #[test]
    fn progress_is_kept_until_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let file = SavedProgress::new(&folder.path().join("new"), identity(), scope(None, None));
        assert_eq!(file.load().unwrap(), None);
        file.remove().unwrap();
        for progress in
            [progress(Position::Time("2026-02-01T00:00:00.5Z".parse().unwrap())), progress(Position::Page(7))]
        {
            file.save(&progress).unwrap();
            assert_eq!(file.load().unwrap(), Some(progress));
        }
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1, "no file is left over");
        file.remove().unwrap();
        assert_eq!(file.load().unwrap(), None);
    }

    #[test]
    fn another_import_has_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let saved = |identity| SavedProgress::new(folder.path(), identity, scope(None, None));
        saved(identity()).save(&progress(Position::Page(7))).unwrap();
        for other in [
            ImportIdentity { provider: "flexprice".to_owned(), ..identity() },
            ImportIdentity { table_id: "table-2".to_owned(), ..identity() },
            ImportIdentity { url: "https://api.example.com/eu".to_owned(), ..identity() },
        ] {
            assert_eq!(saved(other).load().unwrap(), None);
        }
    }

    #[rstest]
    #[case::since(
        scope(Some("2026-01-01T00:00:00Z"), None),
        "an import with --since 2026-01-01T00:00:00Z was interrupted"
    )]
    #[case::account(scope(None, Some("w_1")), "an import with --account w_1 was interrupted")]
    #[case::nothing(scope(None, None), "an import with neither --since nor --account was interrupted")]
    fn other_options_do_not_continue(#[case] interrupted: ImportScope, #[case] expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let saved = |scope| SavedProgress::new(folder.path(), identity(), scope);
        saved(interrupted).save(&progress(Position::Page(7))).unwrap();
        let error = saved(scope(Some("2026-01-02T00:00:00Z"), Some("w_2"))).load().unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        assert_eq!(ExitCode::of(&error), ExitCode::Usage);
    }

    #[rstest]
    #[case::damaged("{")]
    #[case::of_a_later_version(r#"{"format":3}"#)]
    fn what_cannot_be_read_is_named(#[case] content: &str) {
        let folder = tempfile::tempdir().unwrap();
        let file = SavedProgress::new(folder.path(), identity(), scope(None, None));
        fs::write(&file.path, content).unwrap();
        let error = file.load().unwrap_err().to_string();
        assert!(error.contains("import-plain-") && error.contains("--restart"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[rstest]
    #[case::of_the_specification(&[("XDG_STATE_HOME", "/state"), ("HOME", "/home/a")], Some("/state/clientele"))]
    #[case::the_default(&[("HOME", "/home/a")], Some("/home/a/.local/state/clientele"))]
    #[case::a_relative_one_is_ignored(&[("XDG_STATE_HOME", "state"), ("HOME", "/home/a")], Some("/home/a/.local/state/clientele"))]
    #[case::an_empty_one_is_ignored(&[("XDG_STATE_HOME", ""), ("HOME", "/home/a")], Some("/home/a/.local/state/clientele"))]
    #[case::unknown(&[], None)]
    fn folders(#[case] variables: &[(&str, &str)], #[case] expected: Option<&str>) {
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        assert_eq!(state_folder_of(&variable), expected.map(PathBuf::from));
    }
}
