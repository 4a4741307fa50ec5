//! Whether an account that the operator named is one that the table knows.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use anyhow::{Context, Result};

use crate::customers_table::CustomersTable;
use crate::target::OpenTarget;
use crate::terminal;

/// How many accounts a question names.
const ACCOUNTS_NAMED_MAX: usize = 3;

/// Asks for confirmation if the table has customers of the provider, but none of the account: a wrong account would give
/// every customer a second item, under another key.
///
/// # Errors
/// When the answer is not yes, or the table cannot be read.
pub async fn confirm_account(target: &OpenTarget, provider: &str, account: &str, yes: bool) -> Result<()> {
    if yes {
        return Ok(());
    }
    let others = other_accounts(target, provider, account).await?;
    if others.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = others.iter().take(ACCOUNTS_NAMED_MAX).map(String::as_str).collect();
    let more = if others.len() > named.len() { " and others" } else { "" };
    let accounts = if others.len() == 1 { "account" } else { "accounts" };
    let question = format!(
        "{} has customers of {provider} in the {accounts} {}{more}, but none in {account}. Is {account} the right account?",
        target.announcement(),
        named.join(", ")
    );
    terminal::confirm(&question, false)
}

/// The accounts of the provider's customers, if none of them has that account. The scan ends at the first one that has.
async fn other_accounts(target: &OpenTarget, provider: &str, account: &str) -> Result<BTreeSet<String>> {
    let table = CustomersTable::new(&target.clients.dynamodb, &target.resources.customers_table);
    let progress = terminal::progress("looking for the account, customers read:", None);
    let (mut others, mut is_known) = (BTreeSet::new(), false);
    let visit = |items: Vec<serde_json::Value>, read| {
        progress.advance(read);
        let accounts = items.iter().filter_map(|item| item["account"].as_str());
        others.extend(accounts.map(ToOwned::to_owned));
        is_known = others.contains(account);
        if is_known { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    table.scan_pages(&[("provider", provider)], visit).await.with_context(|| target.cannot_read("the table"))?;
    drop(progress);
    if is_known {
        others.clear();
    }
    Ok(others)
}
