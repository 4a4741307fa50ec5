//! `clientele reconcile`: compares the table with a provider's list, and repairs what lost webhooks have left.

use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use clientele_flow::{
    Candidate, CandidateCounts, Deletes, ListObserver, ReconcileCounts, ReconcileObserver, ReconcileOptions,
    ReconcileReport,
};
use clientele_model::{Comparison, CustomerKey, Id, Provider, Untranslatable};
use jiff::Timestamp;
use serde_json::json;

use crate::exit_code::ExitCode;
use crate::interruption::{self, stop_flag};
use crate::listings::account::confirm_account;
use crate::listings::api::{self, ListApiAccess, ListApiArgs, list_api};
use crate::listings::findings::Findings;
use crate::listings::not_imported::{NotImported, note_waiting};
use crate::listings::outcome::{Ended, left_out};
use crate::target::Target;
use crate::terminal;
use crate::text_table::TextTable;

/// Compare the table with a provider's list, and repair what lost webhooks have left
///
/// The whole list is read, and each record is compared with its item. An item that is behind, or missing, is written as an
/// import writes it. Afterwards each customer of the account that the list did not return is looked up. Absence alone never
/// deletes anybody: only customers whom the provider has verifiably deleted are deleted here, and only with
/// `--deletes apply`. docs/import.md explains what counts as verified.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele reconcile flexprice --dry-run
  clientele reconcile flexprice --deletes apply
  clientele reconcile plain --stack clientele --json

With --json, the result is an object with `provider`, `end` (`complete`, `incomplete`, `stopped` or `failed`), `problem` \
(a text or null), `is_dry_run`, `account` (as far as it is known, or null), `counts`, `candidates`, `findings` and \
`not_imported`. `counts` has the numbers of listed records that are `same`, `behind` (a webhook was lost), `different` (but \
not newer than the table), `erased_here`, `only_there`, `recovered` (of those behind or only there: written), \
`deleted_there`, `untranslatable`, `unstorable`, `unreadable` (the item has attributes that this version does not know) and \
`failed`. `candidates` has the numbers of `customers` of the account in \
the table and of those `only_here`; of these, the provider has some after all (`exists`), has `deleted` some or \
`deleted_recently`, proves nothing about others (`unknown`), and some have `changed` meanwhile; `erased` were deleted here, \
and `withheld` were not because they are too many. `findings` lists, of each kind, the first thousand customers that are not the same: \
`pk`, `kind` (as in `counts`, or `only_here`), the names of differing `fields`, `is_written`, and for those only here `detail`. `not_imported` lists \
records that could not be imported, each with `customer_id` (or null) and `reason`.

The exit code is 3 if the comparison is incomplete or was interrupted, if a record could not be imported or compared, or if \
there were too many deletes; 5 if the list API or the table cannot be reached, fails, or does not let the caller in; and 1 if \
the comparison failed for another reason.")]
pub struct Reconcile {
    #[arg(value_parser = clientele_providers::parse, help = api::provider_help())]
    provider: &'static Provider,
    /// What happens to customers whom the provider has verifiably deleted
    #[arg(long, value_enum, default_value = "report", value_name = "WHAT")]
    deletes: DeletesArg,
    /// With `--deletes apply`, delete at most this many customers, and nobody if there are more. Without it the limit is 5 %
    /// of the account's customers
    #[arg(long, value_name = "NUMBER", value_parser = deletes_max)]
    max_deletes: Option<u64>,
    /// The account of the customers, where records do not contain it (Metrifox); otherwise they must belong to this one
    #[arg(long, value_name = "ID", value_parser = api::account)]
    account: Option<Id>,
    /// Write and delete nothing; show what differs
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

fn deletes_max(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected a number of customers".to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DeletesArg {
    /// They are shown
    Report,
    /// They are deleted here, too, and the cleanup messages are sent
    Apply,
}

impl Reconcile {
    fn options(&self) -> ReconcileOptions {
        ReconcileOptions {
            account: self.account.clone(),
            is_dry_run: self.dry_run,
            requests_per_second: self.api.rate,
            deletes: match self.deletes {
                DeletesArg::Report => Deletes::Report,
                DeletesArg::Apply => Deletes::Apply,
            },
            deletes_max: self.max_deletes,
            ..ReconcileOptions::starting_at(Timestamp::now())
        }
    }
}

/// Runs `clientele reconcile`.
///
/// # Errors
/// When the stack or the list API cannot be read, or something is left.
pub async fn reconcile(reconcile: Reconcile) -> Result<()> {
    if reconcile.max_deletes.is_some() && reconcile.deletes == DeletesArg::Report {
        bail!(ExitCode::Usage.error("--max-deletes limits the deletes of --deletes apply, which is not given"));
    }
    let provider = reconcile.provider;
    let listing = clientele_providers::listing(provider);
    let api = list_api(listing, reconcile.account.as_ref())?;
    let target = reconcile.target.open().await?;
    if let Some(account) = &reconcile.account {
        confirm_account(&target, provider.name, account.as_str(), reconcile.yes).await?;
    }
    let access = ListApiAccess::open(provider.name, api, &target, &reconcile.api).await?;
    let mut watch = ReconcileWatch {
        progress: terminal::progress(&format!("records of {}:", provider.name), None),
        not_imported: NotImported::new(reconcile.json),
        findings: Findings::default(),
    };
    let flow = target.clients.flow(target.resources.clone());
    let stop = stop_flag(interruption::RECORDS);
    let report = flow.reconcile(listing, &access.client, reconcile.options(), &mut watch, &stop).await;
    let ended = Ended::of(&report.end, |error| access.explain(error));
    watch.finish(&reconcile, &report, ended)
}

/// Shows how far a reconciliation has come, and what it finds.
struct ReconcileWatch {
    progress: terminal::Progress,
    not_imported: NotImported,
    findings: Findings,
}

impl ListObserver for ReconcileWatch {
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

impl ReconcileObserver for ReconcileWatch {
    fn page_compared(&mut self, counts: &ReconcileCounts, total: Option<u64>) {
        self.progress.show(counts.compared(), total);
    }

    fn difference(&mut self, key: &CustomerKey, comparison: &Comparison, is_written: bool) {
        self.findings.add_difference(key, comparison, is_written);
    }

    fn candidate(&mut self, key: &CustomerKey, candidate: &Candidate, _: &CandidateCounts) {
        self.findings.add_candidate(key, candidate);
    }
}

impl ReconcileWatch {
    fn finish(self, reconcile: &Reconcile, report: &ReconcileReport, ended: Ended) -> Result<()> {
        let Self { progress, not_imported, findings } = self;
        drop(progress);
        let ReconcileReport { counts, candidates, account, .. } = report;
        let left = [
            left_out(counts.untranslatable + counts.unstorable),
            unreadable(counts.unreadable),
            withheld(candidates, reconcile.dry_run),
        ];
        let ended = ended.except(left.into_iter().flatten());
        if reconcile.json {
            let account = account.as_ref().or(reconcile.account.as_ref()).map(Id::as_str);
            terminal::json(&ended.add_to(json!({
                "provider": reconcile.provider.name,
                "is_dry_run": reconcile.dry_run,
                "account": account,
                "counts": counts,
                "candidates": candidates,
                "findings": findings.as_json(),
                "not_imported": not_imported.as_json(),
            })));
        } else if counts.compared() > 0 || ended.has_reached_the_end() {
            if let Some(table) = findings.as_table() {
                terminal::line(table);
            }
            terminal::line(ended.heading(reconcile.provider.name, account.as_ref().or(reconcile.account.as_ref())));
            terminal::line(as_table(counts, candidates, reconcile.dry_run));
        }
        let next = (counts.compared() > 0).then_some("the same command starts again; what was written stays written");
        ended.result("the reconciliation", next)
    }
}

/// Says that items could not be compared.
fn unreadable(number: u64) -> Option<String> {
    (number > 0)
        .then(|| format!("{number} items have attributes that this version does not know, and were not compared"))
}

/// Says that there were too many deletes.
fn withheld(candidates: &CandidateCounts, is_dry_run: bool) -> Option<String> {
    let CandidateCounts { withheld, customers, .. } = candidates;
    let nobody = if is_dry_run { "nobody would be deleted" } else { "nobody was deleted" };
    (*withheld > 0).then(|| {
        format!(
            "{nobody}: {withheld} of {customers} customers are more than the limit; if that is right, add --max-deletes \
             {withheld}"
        )
    })
}

fn as_table(counts: &ReconcileCounts, candidates: &CandidateCounts, is_dry_run: bool) -> TextTable {
    let always = [
        ("same", counts.same),
        ("behind: a webhook was lost", counts.behind),
        ("different, but not newer: never repaired", counts.different),
        ("erased here: the customer stays deleted", counts.erased_here),
        ("only there: the table has no item", counts.only_there),
    ];
    let written = ("  of those behind or only there, now written", counts.recovered);
    let only_here = ("only here: the list did not return the customer", candidates.only_here);
    let always = always.into_iter().chain((!is_dry_run).then_some(written)).chain([only_here]);
    let if_any = [
        ("  of these, the provider has after all", candidates.exists),
        ("  of these, verifiably deleted by the provider", candidates.deleted),
        ("  of these, deleted by the provider, but changed too recently", candidates.deleted_recently),
        ("  of these, nothing is proved", candidates.unknown),
        ("  of these, changed meanwhile", candidates.changed),
        ("  of the deleted, now deleted here", candidates.erased),
        ("  of the deleted, not deleted here: too many", candidates.withheld),
        ("deleted there: never imported", counts.deleted_there),
        ("not imported: not understood", counts.untranslatable),
        ("not imported: the table cannot hold it", counts.unstorable),
        ("not compared: this version cannot read the item", counts.unreadable),
        ("not compared: the table could not be used", counts.failed),
    ];
    let mut table = TextTable::new(["customers", "number"]);
    for (text, number) in always.chain(if_any.into_iter().filter(|(_, number)| *number > 0)) {
        table.add_row([text, &number.to_string()]);
    }
    table.align_right(1);
    table
}
