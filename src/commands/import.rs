//! `clientele import`: writes the customers of a provider's list, or of a file, into the table.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::OsStringValueParser;
use clientele_flow::{
    ImportCounts, ImportObserver, ImportOptions, ImportReport, ListObserver, ListRunError, Progress, RunEnd,
};
use clientele_model::{CustomerKey, Id, ListApi, Listed, Listing, Provider, RecordContext, Untranslatable};
use futures_util::stream::{Stream, unfold};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::time;
use crate::exit_code::ExitCode;
use crate::interruption::{self, stop_flag};
use crate::listings::account::confirm_account;
use crate::listings::api::{self, ListApiAccess, ListApiArgs, list_api};
use crate::listings::not_imported::{NotImported, note_waiting};
use crate::listings::outcome::{Ended, left_out};
use crate::listings::record_file::{RecordFile, RecordFileError};
use crate::listings::saved_progress::{ImportIdentity, ImportScope, SavedProgress, state_folder};
use crate::target::{OpenTarget, Target};
use crate::terminal;
use crate::text_table::TextTable;

/// How many records of a file are read while others are written.
const RECORDS_READ_AHEAD: usize = 100;

/// Import customers from a provider's list API, or from a file
///
/// Each record goes through the same conditional write as a webhook: a newer state is never overwritten, a deleted
/// customer stays deleted, and importing a second time changes nothing. An import can run at any time, also while webhooks
/// arrive. Archived records are never imported. docs/import.md explains API keys, cost and interrupted imports.
///
/// For a deployed stack the API key is read from `PLAIN_API_KEY`, `FLEXPRICE_API_KEY` or `METRIFOX_API_KEY`. The local stack
/// has list APIs of its own, with invented customers, and no key is needed.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[command(after_help = "\
Examples:
  clientele import plain
  clientele import metrifox --account 91b4ef0c-6a5d-4f64-8d0c-1b2a3c4d5e6f
  clientele import flexprice --stack clientele --api-url https://api.cloud.flexprice.io
  clientele import smarterpay --stack clientele --from customers.jsonl

With --json, the result is an object with `provider`, `end` (`complete`, `incomplete`, `stopped` or `failed`), `problem` \
(a text or null), `is_dry_run`, `account` (as far as it is known, or null), `counts`, `had_omissions` and `not_imported`. \
`counts` has the \
numbers of records that were `written`, `unchanged` (the table had the same version), `older` (the table has a newer \
state), `erased_here` (deleted here), `deleted_there` (deleted at the provider), `ignored` (not about a customer), \
`untranslatable`, `unstorable` and `failed`. `had_omissions` says whether an interrupted import that was continued had \
records that could not be imported; they are not counted again. `not_imported` lists the first thousand records that could not be imported, \
each with `customer_id` (or null) and `reason`.

The exit code is 3 if the import is incomplete or was interrupted, or if a record could not be imported; 5 if the list API \
or the table cannot be reached, fails, or does not let the caller in; and 1 if the import failed for another reason or the file \
has no customers.")]
pub struct Import {
    #[arg(value_parser = clientele_providers::parse, help = api::provider_help())]
    provider: &'static Provider,
    /// Read records as the list API returns them, or bodies of webhooks, from this file instead of calling the API: JSON,
    /// or one JSON object per line; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["api_url", "key_stdin", "rate", "since", "restart"])]
    from: Option<PathBuf>,
    /// The account of the customers, where records do not contain it (Metrifox); otherwise they must belong to this one
    #[arg(long, value_name = "ID", value_parser = api::account)]
    account: Option<Id>,
    /// Only customers that changed at this time or later, as in 2026-11-28T08:00:00Z or 2026-11-28 (UTC)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Start a new import, even if an earlier one was interrupted and could be continued
    #[arg(long)]
    restart: bool,
    /// The folder for the progress of interrupted imports. The default is `clientele` in the folder of the system for
    /// such files, on Linux ~/.local/state
    #[arg(long, env = "CLIENTELE_STATE_DIR", value_name = "FOLDER", value_parser = OsStringValueParser::new())]
    state_dir: Option<OsString>,
    /// Write nothing; count what would be written
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation if the table has no customers of --account yet, but of other accounts
    #[arg(long)]
    yes: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    api: ListApiArgs,
    #[command(flatten)]
    target: Target,
}

/// Runs `clientele import`.
///
/// # Errors
/// When the stack, the list API or the file cannot be read, or something is left.
pub async fn import(import: Import) -> Result<()> {
    let listing = clientele_providers::listing(import.provider);
    match &import.from {
        None => from_api(&import, listing).await,
        Some(file) => from_file(&import, listing, file.clone()).await,
    }
}

impl Import {
    fn options(&self, resume: Option<Progress>) -> ImportOptions {
        ImportOptions {
            since: self.since,
            account: self.account.clone(),
            resume,
            is_dry_run: self.dry_run,
            requests_per_second: self.api.rate,
            ..ImportOptions::starting_at(Timestamp::now())
        }
    }

    /// Opens the stack, and checks the account.
    async fn open_target(&self) -> Result<OpenTarget> {
        let target = self.target.open().await?;
        if let Some(account) = &self.account {
            confirm_account(&target, self.provider.name, account.as_str(), self.yes).await?;
        }
        Ok(target)
    }

    /// Where the progress of this import is saved: nowhere in a dry run, or if there is no folder.
    async fn saved_progress(&self, target: &OpenTarget, access: &ListApiAccess) -> Result<Option<SavedProgress>> {
        if self.dry_run {
            return Ok(None);
        }
        let named = self.state_dir.as_ref().filter(|folder| !folder.is_empty()).map(PathBuf::from);
        if let Some(file) = named.as_ref().filter(|folder| folder.exists() && !folder.is_dir()) {
            bail!(ExitCode::Usage.error(format!("--state-dir: {} is not a folder", file.display())));
        }
        let Some(folder) = named.or_else(state_folder) else {
            terminal::note("The progress cannot be saved, because there is no folder for it: --state-dir names one.");
            return Ok(None);
        };
        let identity = ImportIdentity::new(self.provider.name, &target.table_id().await?, &access.url);
        let account = self.account.as_ref().map(|account| account.as_str().to_owned());
        Ok(Some(SavedProgress::new(&folder, identity, ImportScope { since: self.since, account })))
    }

    fn checked_api<'a>(&self, listing: &'a Listing) -> Result<&'a ListApi> {
        let api = list_api(listing, self.account.as_ref())?;
        if self.since.is_some() && !api.can_list_changes {
            let name = self.provider.name;
            bail!(ExitCode::Usage.error(format!("{name} cannot list what has changed: leave out --since")));
        }
        Ok(api)
    }
}

async fn from_api(import: &Import, listing: &Listing) -> Result<()> {
    let api = import.checked_api(listing)?;
    let target = import.open_target().await?;
    let access = ListApiAccess::open(import.provider.name, api, &target, &import.api).await?;
    let saved = import.saved_progress(&target, &access).await?;
    let resume = match &saved {
        Some(saved) if !import.restart => saved.load()?,
        _ => None,
    };
    if let Some(position) = resume.as_ref().and_then(|progress| progress.position) {
        terminal::note(format!("Continuing the interrupted import at {position}."));
    }
    let is_resumed = resume.is_some();
    let mut watch = ImportWatch::new(import, saved, is_resumed);
    let flow = target.clients.flow(target.resources.clone());
    let stop = stop_flag(interruption::RECORDS);
    let report = flow.import(listing, &access.client, import.options(resume), &mut watch, &stop).await;
    let ended = Ended::of(&report.end, |error| match error {
        ListRunError::OtherAccount { .. } if is_resumed => {
            format!(
                "{}, which the interrupted import has read: use its API key, or start a new import with --restart",
                access.explain(error)
            )
        }
        error => access.explain(error),
    });
    watch.finish(import, &report, ended)
}

async fn from_file(import: &Import, listing: &Listing, file: PathBuf) -> Result<()> {
    let (name, input) = opened(file)?;
    let target = import.open_target().await?;
    let context = RecordContext { account: import.account.clone(), received_at: Timestamp::now() };
    let error = Arc::new(Mutex::new(None));
    let records = read_in_background(listed(listing.read_file_entry, input, context, error.clone()));
    let mut watch = ImportWatch::new(import, None, false);
    let flow = target.clients.flow(target.resources.clone());
    let stop = stop_flag(interruption::RECORDS);
    let report = flow.import_records(records, import.options(None), &mut watch, &stop).await;
    let error = error.lock().unwrap_or_else(PoisonError::into_inner).take();
    let ended = match error {
        Some(error) => Ended::Failed(ExitCode::Failed, format!("{name}: {error}")),
        None => match Ended::of(&report.end, ListRunError::to_string) {
            Ended::Complete if report.counts.total() == report.counts.ignored => {
                Ended::Failed(ExitCode::Failed, format!("{name} has no customers of {}", import.provider.name))
            }
            ended => ended,
        },
    };
    watch.finish(import, &report, ended)
}

/// The name of the file for messages, and its content.
fn opened(file: PathBuf) -> Result<(String, Box<dyn Read + Send>)> {
    if file.as_os_str() == "-" {
        return Ok(("standard input".to_owned(), Box::new(io::stdin())));
    }
    let name = file.display().to_string();
    if file.is_dir() {
        bail!(ExitCode::Usage.error(format!("{name} cannot be read: it is a folder")));
    }
    let input = File::open(file).with_context(|| ExitCode::Usage.error(format!("{name} cannot be read")))?;
    Ok((name, Box::new(input)))
}

/// The records of a file, up to the first that cannot be read, whose error is kept.
fn listed(
    read: fn(Value, &RecordContext) -> Vec<Listed>,
    input: impl Read + Send,
    context: RecordContext,
    error: Arc<Mutex<Option<RecordFileError>>>,
) -> impl Iterator<Item = Listed> + Send {
    let entries = RecordFile::new(input).map_while(move |entry| match entry {
        Ok(entry) => Some(read(entry, &context)),
        Err(problem) => {
            *error.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
            None
        }
    });
    entries.flatten()
}

/// Reads the records in a thread of its own, which is left behind if the command ends: nothing interrupts it while it waits
/// for standard input.
fn read_in_background(records: impl Iterator<Item = Listed> + Send + 'static) -> impl Stream<Item = Listed> + Send {
    let (sender, receiver) = mpsc::channel(RECORDS_READ_AHEAD);
    thread::spawn(move || {
        for record in records {
            if sender.blocking_send(record).is_err() {
                return;
            }
        }
    });
    unfold(receiver, |mut records| async { records.recv().await.map(|record| (record, records)) })
}

/// Shows and saves how far an import has come.
struct ImportWatch {
    progress: terminal::Progress,
    not_imported: NotImported,
    saved: Option<SavedProgress>,
    /// Whether there is a saved progress to continue from.
    is_saved: bool,
    /// Whether the progress could not be saved, which is said once.
    is_unsaved: bool,
}

impl ListObserver for ImportWatch {
    fn untranslatable(&mut self, customer_id: Option<&Id>, reason: &Untranslatable) {
        self.not_imported.add_untranslatable(customer_id, reason);
    }

    fn left_out(&mut self, key: &CustomerKey, why: &str) {
        self.not_imported.add_left_out(key, why);
    }

    fn waiting(&mut self, why: &str, delay: Duration) {
        note_waiting(why, delay);
    }
}

impl ImportObserver for ImportWatch {
    fn page_applied(&mut self, counts: &ImportCounts, total: Option<u64>, progress: &Progress) {
        self.progress.show(counts.total(), total);
        let Some(saved) = &self.saved else { return };
        match saved.save(progress) {
            Ok(()) => self.is_saved = true,
            Err(error) if !self.is_unsaved => {
                self.is_unsaved = true;
                terminal::note(format!("The progress cannot be saved: {error:#}"));
            }
            Err(_) => {}
        }
    }
}

impl ImportWatch {
    fn new(import: &Import, saved: Option<SavedProgress>, is_saved: bool) -> Self {
        let progress = terminal::progress(&format!("records of {}:", import.provider.name), None);
        Self { progress, not_imported: NotImported::new(import.json), saved, is_saved, is_unsaved: false }
    }

    /// Prints the result, and removes the saved progress of an import that has reached the end of the list.
    fn finish(self, import: &Import, report: &ImportReport, ended: Ended) -> Result<()> {
        let Self { progress, not_imported, saved, is_saved, .. } = self;
        drop(progress);
        let ImportReport { counts, account, had_omissions, .. } = report;
        let earlier =
            "the interrupted import had records that could not be imported: a new one with --restart lists them";
        let left = [left_out(counts.untranslatable + counts.unstorable), had_omissions.then(|| earlier.to_owned())];
        let ended = ended.except(left.into_iter().flatten());
        let has_reached_the_end = ended.has_reached_the_end();
        if let Some(saved) = saved.filter(|_| has_reached_the_end) {
            saved.remove()?;
        }
        if import.json {
            let account = account.as_ref().or(import.account.as_ref()).map(Id::as_str);
            terminal::json(&ended.add_to(json!({
                "provider": import.provider.name,
                "is_dry_run": import.dry_run,
                "account": account,
                "counts": counts,
                "had_omissions": had_omissions,
                "not_imported": not_imported.as_json(),
            })));
        } else if counts.total() > 0 || has_reached_the_end {
            terminal::line(ended.heading(import.provider.name, account.as_ref().or(import.account.as_ref())));
            terminal::line(as_table(counts, import.dry_run));
        }
        let is_other_account = matches!(report.end, RunEnd::Failed(ListRunError::OtherAccount { .. }));
        let next = if is_other_account {
            None
        } else if is_saved && !has_reached_the_end {
            Some("the same command continues the import")
        } else if counts.total() > counts.ignored {
            Some("the same command starts again, and changes nothing that was imported already")
        } else {
            None
        };
        ended.result("the import", next)
    }
}

fn as_table(counts: &ImportCounts, is_dry_run: bool) -> TextTable {
    let ImportCounts {
        written,
        unchanged,
        older,
        erased_here,
        deleted_there,
        ignored,
        untranslatable,
        unstorable,
        failed,
    } = counts;
    let written_text = if is_dry_run { "would be written" } else { "written" };
    let rows = [
        (written_text, written),
        ("unchanged: the table has this version", unchanged),
        ("older: the table has a newer state", older),
        ("erased here: the customer stays deleted", erased_here),
        ("deleted there: never imported", deleted_there),
        ("ignored: not about a customer", ignored),
        ("not imported: not understood", untranslatable),
        ("not imported: the table cannot hold it", unstorable),
        ("not imported: the table could not be used", failed),
    ];
    let mut table = TextTable::new(["records", "number"]);
    for (index, (text, number)) in rows.into_iter().enumerate() {
        if index == 0 || *number > 0 {
            table.add_row([text, &number.to_string()]);
        }
    }
    table.align_right(1);
    table
}
