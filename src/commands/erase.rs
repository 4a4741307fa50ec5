//! `clientele erase`: erases customers as a delete of their provider does.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use clientele_flow::{EraseResult, UnseenCustomers};
use clientele_model::CustomerKey;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::customer_lookup::{customer_key, key_of_pk};
use crate::customers_table::CustomersTable;
use crate::exit_code::ExitCode;
use crate::target::{OpenTarget, Target};
use crate::terminal::{self, visible};

/// How many customers are read or erased at a time.
const CONCURRENT_CUSTOMERS: usize = 8;
/// The longest reason.
const REASON_CHARACTERS_MAX: usize = 64;

/// Erase customers, as a delete of their provider does
///
/// The customer's item becomes a tombstone without personal data, and a cleanup message with the identifiers of the item
/// makes other systems erase their copies, after the time that the stack holds such messages back. No event of the provider
/// brings the customer back; `clientele restore` removes a tombstone that was written by mistake. Erasing a customer twice
/// changes nothing.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele erase smarterpay 1234 --account 17 --reason request-2026-0042
  clientele erase plain#w_01KA9C5W0T7N3E8QZV4R6M2XHB#c_01KA9CDZ5Y8M2QW7R4T6V3X1NB --dry-run
  clientele erase --from erasures.json --unseen --yes --stack clientele

With --json, each line is an object with the `pk` of a customer, its `result` (`erased`, `already_erased`, `not_in_table` \
or `failed`; with --dry-run also `would_be_erased`) and `detail` (a text or null). The exit code is 3 if a customer could \
not be erased; 4 if one is not in the table and --unseen is not given, while the others are erased; and 5 if the table \
cannot be read.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Erase {
    /// The customer's pk, as in tables and messages; or the provider, followed by the provider's id
    #[arg(value_name = "CUSTOMER", required_unless_present = "from", conflicts_with = "from")]
    customer: Option<String>,
    /// The provider's id of the customer, after the provider
    #[arg(conflicts_with = "from")]
    id: Option<String>,
    /// The provider's account (tenant, client, workspace or environment) that the id belongs to
    #[arg(long, conflicts_with = "from")]
    account: Option<String>,
    /// Erase the customers in this file: one pk per line, or the lines that `clientele erasures --json` prints; `-` is
    /// standard input
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Why, as a code of your own without personal data, such as the number of a request. It is kept in the tombstone, and
    /// sent as `event_id` in the cleanup message
    #[arg(long, default_value = "operator", value_name = "CODE", value_parser = reason)]
    reason: String,
    /// Erase customers who are not in the table as well, so that they never appear in it
    #[arg(long)]
    unseen: bool,
    /// Change nothing; show what would happen
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

/// Names and addresses contain blanks or an `@`. A reason is kept for ever, so it must not be one.
fn reason(text: &str) -> Result<String, String> {
    let is_code = |character: char| character.is_ascii_alphanumeric() || "-_.:/".contains(character);
    if !text.is_empty() && text.len() <= REASON_CHARACTERS_MAX && text.chars().all(is_code) {
        Ok(text.to_owned())
    } else {
        Err(format!("expected at most {REASON_CHARACTERS_MAX} letters, digits and - _ . : /"))
    }
}

/// What the table has of a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Customer,
    Tombstone,
    Nothing,
}

/// How many customers have each result.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    erased: usize,
    already_erased: usize,
    not_in_table: usize,
    failed: usize,
}

/// Runs `clientele erase`.
///
/// # Errors
/// When a customer does not exist or cannot be erased, or the stack cannot be reached.
pub async fn erase(erase: Erase) -> Result<()> {
    let keys = erase.keys()?;
    let target = erase.target.open().await?;
    let found = look_up(&target, keys).await?;
    let is_open = |found: Found| found == Found::Customer || (found == Found::Nothing && erase.unseen);
    let open = found.iter().filter(|(_, found)| is_open(*found)).count();
    if open > 0 && !erase.dry_run {
        confirm(&erase, &target, &found, open)?;
    }
    let progress = terminal::progress("customers", Some(found.len()));
    let flow = target.clients.flow(target.resources.clone());
    let unseen = if erase.unseen { UnseenCustomers::Erase } else { UnseenCustomers::Skip };
    let erase_one = async |(key, found): (CustomerKey, Found)| {
        let result = if erase.dry_run {
            predicted(found, unseen)
        } else {
            flow.erase_by_operator(&key, &erase.reason, unseen, Timestamp::now()).await
        };
        (key, result)
    };
    let mut results = stream::iter(found).map(erase_one).buffered(CONCURRENT_CUSTOMERS);
    let mut counts = Counts::default();
    while let Some((key, result)) = results.next().await {
        counts.add(&result);
        erase.print(&key, result);
        progress.advance(1);
    }
    drop(progress);
    if !erase.dry_run && counts.erased > 0 {
        terminal::note(what_follows(&target, Timestamp::now()));
    }
    counts.result()
}

impl Erase {
    fn keys(&self) -> Result<Vec<CustomerKey>> {
        if let Some(file) = &self.from {
            return keys_of_list(&read(file)?);
        }
        let customer = self.customer.as_deref().unwrap_or_default();
        let key = customer_key(customer, self.id.as_deref(), self.account.as_deref());
        Ok(vec![key.map_err(|error| ExitCode::Usage.error(error.to_string()))?])
    }

    fn print(&self, key: &CustomerKey, result: EraseResult) {
        let (word, detail) = match result {
            EraseResult::Erased(_) if self.dry_run => ("would_be_erased", None),
            EraseResult::Erased(warning) => ("erased", warning),
            EraseResult::AlreadyErased => ("already_erased", None),
            EraseResult::NotInTable => ("not_in_table", None),
            EraseResult::Failed(why) => ("failed", Some(why)),
        };
        if self.json {
            terminal::json(&json!({ "pk": key.to_string(), "result": word, "detail": detail }));
            return;
        }
        let detail = detail.map(|detail| format!("  {detail}")).unwrap_or_default();
        terminal::line(visible(&format!("{:<17}{key}{detail}", word.replace('_', " "))));
    }
}

/// The text of the file, or of standard input.
fn read(file: &Path) -> Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("standard input is not text")?;
        return Ok(text);
    }
    let error = || ExitCode::Usage.error(format!("the file {} cannot be read", file.display()));
    std::fs::read_to_string(file).with_context(error)
}

/// The customers of a list, each once, in their order. An error names the line and not its content, which may be of any kind.
fn keys_of_list(list: &str) -> Result<Vec<CustomerKey>> {
    let (mut seen, mut keys) = (HashSet::new(), vec![]);
    for (index, line) in list.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let pk = match serde_json::from_str::<Value>(line) {
            Ok(object) if object.is_object() => object["pk"].as_str().map(str::to_owned),
            _ => Some(line.to_owned()),
        };
        let Some(key) = pk.and_then(|pk| key_of_pk(&pk).ok()) else {
            let expected = "neither a pk such as plain#w_1#c_1 nor a JSON object with a `pk`";
            bail!(ExitCode::Usage.error(format!("line {} is {expected}: nothing was changed", index + 1)));
        };
        if seen.insert(key.clone()) {
            keys.push(key);
        }
    }
    if keys.is_empty() {
        bail!(ExitCode::Usage.error("the list names no customer"));
    }
    Ok(keys)
}

async fn look_up(target: &OpenTarget, keys: Vec<CustomerKey>) -> Result<Vec<(CustomerKey, Found)>> {
    let table = CustomersTable::new(&target.clients.dynamodb, &target.resources.customers_table);
    let progress = terminal::progress("customers looked up", Some(keys.len()));
    let find = async |key: CustomerKey| {
        let (key, item) = table.find_key(key).await?;
        progress.advance(1);
        let found = match item {
            None => Found::Nothing,
            Some(item) if item["status"] == "deleted" => Found::Tombstone,
            Some(_) => Found::Customer,
        };
        anyhow::Ok((key, found))
    };
    let found = stream::iter(keys).map(find).buffered(CONCURRENT_CUSTOMERS).try_collect().await;
    found.with_context(|| target.cannot_read("the table"))
}

fn confirm(erase: &Erase, target: &OpenTarget, found: &[(CustomerKey, Found)], open: usize) -> Result<()> {
    let stack = target.announcement();
    let question = match found {
        [(key, _)] => format!("Erase {key} at {stack}, and in all systems that read the cleanup queue?"),
        _ => format!(
            "Erase {open} of {} customers at {stack}, and in all systems that read the cleanup queue?",
            found.len()
        ),
    };
    let unseen = found.iter().filter(|(_, found)| *found == Found::Nothing).count();
    let note =
        if erase.unseen && unseen > 0 { format!(" {unseen} of them are not in the table.") } else { String::new() };
    terminal::confirm(&format!("{question}{note}"), erase.yes)
}

/// What erasing does to a customer of whom the table has this.
fn predicted(found: Found, unseen: UnseenCustomers) -> EraseResult {
    match (found, unseen) {
        (Found::Tombstone, _) => EraseResult::AlreadyErased,
        (Found::Nothing, UnseenCustomers::Skip) => EraseResult::NotInTable,
        (Found::Customer, _) | (Found::Nothing, UnseenCustomers::Erase) => EraseResult::Erased(None),
    }
}

fn what_follows(target: &OpenTarget, now: Timestamp) -> String {
    let hold = target.resources.erasure.hold;
    if hold.is_zero() {
        return "Other systems get a cleanup message; `clientele erasures` shows what they have confirmed.".to_owned();
    }
    let until = SignedDuration::try_from(hold).ok().and_then(|hold| now.checked_add(hold).ok()).unwrap_or(now);
    format!(
        "The cleanup messages are held back until about {until:.0}; until then, `clientele restore` undoes a mistake \
         completely."
    )
}

impl Counts {
    fn add(&mut self, result: &EraseResult) {
        *match result {
            EraseResult::Erased(_) => &mut self.erased,
            EraseResult::AlreadyErased => &mut self.already_erased,
            EraseResult::NotInTable => &mut self.not_in_table,
            EraseResult::Failed(_) => &mut self.failed,
        } += 1;
    }

    fn result(self) -> Result<()> {
        let customers = |number| if number == 1 { "1 customer".to_owned() } else { format!("{number} customers") };
        if self.failed > 0 {
            let failed = customers(self.failed);
            bail!(ExitCode::Incomplete.error(format!("{failed} could not be erased: run the same command again")));
        }
        if self.not_in_table > 0 {
            let missing = customers(self.not_in_table);
            let advice = "check the spelling, or add --unseen to keep them from ever appearing";
            bail!(
                ExitCode::NotFound.error(format!("{missing} not in the table, for whom nothing was written: {advice}"))
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_pks_or_objects_with_a_pk() {
        let list = "plain#w#a\r\n\n{\"pk\":\"plain#w#b\",\"deleted_at\":\"x\"}\nplain#w#a\n";
        let keys: Vec<_> = keys_of_list(list).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(keys, ["plain#w#a", "plain#w#b"]);
        for (list, error) in [
            ("plain#w#a\nada@example.com\n", "line 2 is neither"),
            ("{\"id\":1}", "line 1 is neither"),
            ("\n", "the list names no customer"),
        ] {
            let is = keys_of_list(list).unwrap_err();
            assert!(is.to_string().starts_with(error) && !is.to_string().contains("ada@"), "{is}");
            assert_eq!(ExitCode::of(&is), ExitCode::Usage);
        }
    }

    #[test]
    fn a_reason_is_a_code() {
        for (text, is_code) in
            [("request-7", true), ("a:b/c_d.1", true), ("", false), ("Ada Byron", false), ("a@b", false)]
        {
            assert_eq!(reason(text).is_ok(), is_code, "{text}");
        }
        assert!(reason(&"x".repeat(64)).is_ok() && reason(&"x".repeat(65)).is_err());
    }
}
