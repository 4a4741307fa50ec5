//! `clientele subject`: finds everything that is known about a person.

use std::ops::ControlFlow;

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use clientele_model::{BodyEncoding, KeptDelivery, email_key};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::customers_table::CustomersTable;
use crate::queue_browser::{QueueBrowser, id};
use crate::redrive::{HIDDEN_SECONDS, content};
use crate::subject_search::{ExternalIdFields, SubjectCriteria, phone_digits};
use crate::target::{OpenTarget, Target};
use crate::terminal;
use crate::text_table::TextTable;

/// Where a person may be known as well.
const NOT_SEARCHED: [&str; 4] = [
    "the inbox queue, the cleanup queue and its dead-letter queue, because reading counts as a receive",
    "messages in quarantine whose body is not JSON",
    "backups of the table, and tables that were restored from them",
    "systems that read the table, the change feed or the cleanup queue",
];

/// Find everything known about a person: customers, unsent cleanup messages and quarantined deliveries
///
/// The whole table is read, and the quarantine queue. E-mail addresses are looked for in every field of a customer, those of
/// its contacts included, in any letter case and Unicode form. Phone numbers need their country code, and may be written
/// with `+` or `00` and with any separators. Of several criteria, one is enough.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  clientele subject --email ada.lovelace@example.com
  clientele subject --email ada@example.com --phone +442079460000 --external-id crm-1815
  clientele subject --email ada.lovelace@example.com --stack clientele --json > answer.json

With --json, the result is an object with `generated_at`, `criteria`, `items`, `unsent_cleanups`, `quarantine`, `searched` \
and `not_searched`. Each of `items` has the `pk`, `matched` (the paths of the fields that name the person) and the `item`; \
each of `unsent_cleanups` the `pk`, `matched`, `cleanup_due` and the `message`; each of `quarantine` the `id`, `matched` and \
the `message`. `searched` has the numbers of `items`, of `quarantine_messages`, and the ids of messages in quarantine that are \
`unreadable`. `not_searched` lists in words where else the person may be known. Listing the quarantine counts as a receive \
of each message.")]
pub struct Subject {
    /// An e-mail address of the person; may be repeated
    #[arg(long, value_name = "ADDRESS", value_parser = email, required_unless_present_any = ["phone", "external_id"])]
    email: Vec<String>,
    /// A phone number of the person with its country code; may be repeated
    #[arg(long, value_name = "NUMBER", value_parser = phone)]
    phone: Vec<String>,
    /// Your own key for the person; may be repeated
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    external_id: Vec<String>,
    /// Print one JSON document, which contains the personal data
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    target: Target,
}

fn email(text: &str) -> Result<String, String> {
    email_key(text).ok_or_else(|| "expected an e-mail address".to_owned())
}

fn phone(text: &str) -> Result<String, String> {
    phone_digits(text).ok_or_else(|| "expected a phone number with its country code, as in +442079460000".to_owned())
}

/// What is known about the person.
#[derive(Debug, Default, Serialize)]
struct Findings {
    items: Vec<Value>,
    unsent_cleanups: Vec<Value>,
    quarantine: Vec<Value>,
    searched: Searched,
}

#[derive(Debug, Default, Serialize)]
struct Searched {
    items: usize,
    quarantine_messages: usize,
    unreadable: Vec<String>,
}

/// Runs `clientele subject`.
///
/// # Errors
/// When the table or the quarantine queue cannot be read.
pub async fn subject(subject: Subject) -> Result<()> {
    let Subject { email, phone, external_id, json, target } = subject;
    let criteria = SubjectCriteria { email_keys: email, phones: phone, external_ids: external_id };
    let target = target.open().await?;
    let mut findings = Findings::default();
    findings.search_table(&target, &criteria).await?;
    findings.search_quarantine(&target, &criteria).await?;
    if json {
        let mut document = json!({
            "generated_at": Timestamp::now(),
            "criteria": {
                "emails": criteria.email_keys,
                "phones": criteria.phones,
                "external_ids": criteria.external_ids,
            },
            "not_searched": NOT_SEARCHED,
        });
        if let (Value::Object(document), Value::Object(findings)) = (&mut document, serde_json::to_value(findings)?) {
            document.extend(findings);
        }
        terminal::json_pretty(&document);
    } else {
        findings.print();
    }
    Ok(())
}

impl Findings {
    async fn search_table(&mut self, target: &OpenTarget, criteria: &SubjectCriteria) -> Result<()> {
        let table = CustomersTable::new(&target.clients.dynamodb, &target.resources.customers_table);
        let progress = terminal::progress("customers read:", None);
        let read = table.scan_pages(&[], |items, read| {
            for item in items {
                self.search_item(item, criteria);
            }
            self.searched.items += read;
            progress.advance(read);
            ControlFlow::Continue(())
        });
        read.await.with_context(|| target.cannot_read("the table"))
    }

    /// The cleanup message of a tombstone is a text in it, and what other systems still have to get.
    fn search_item(&mut self, mut item: Value, criteria: &SubjectCriteria) {
        let pk = item["pk"].clone();
        let message = item.as_object_mut().and_then(|item| item.remove("cleanup"));
        if let Some(message) = message.as_ref().and_then(Value::as_str) {
            let message = serde_json::from_str(message).unwrap_or_else(|_| Value::from(message));
            let matched = criteria.paths_in(&message, ExternalIdFields::Ours);
            if !matched.is_empty() {
                let due = item["cleanup_due"].clone();
                let found = json!({ "pk": pk, "matched": matched, "cleanup_due": due, "message": message });
                self.unsent_cleanups.push(found);
            }
        }
        let matched = criteria.paths_in(&item, ExternalIdFields::Ours);
        if !matched.is_empty() {
            self.items.push(json!({ "pk": pk, "matched": matched, "item": item }));
        }
    }

    async fn search_quarantine(&mut self, target: &OpenTarget, criteria: &SubjectCriteria) -> Result<()> {
        let queue = QueueBrowser::new(&target.clients.sqs, &target.resources.quarantine_queue_url, HIDDEN_SECONDS);
        let progress = terminal::progress("messages received:", None);
        let messages = queue.look_with(usize::MAX, |_| true, |number| progress.advance(number)).await;
        drop(progress);
        let messages = messages.with_context(|| target.cannot_read("the quarantine queue"))?;
        queue.put_back(&messages).await;
        for message in &messages {
            self.searched.quarantine_messages += 1;
            let kept = KeptDelivery::from_message(message.body().unwrap_or_default());
            if !kept.is_ok_and(|kept| kept.encoding == BodyEncoding::Json) {
                self.searched.unreadable.push(id(message).to_owned());
            }
            let content = content(message);
            let matched = criteria.paths_in(&content, ExternalIdFields::Any);
            if !matched.is_empty() {
                self.quarantine.push(json!({ "id": id(message), "matched": matched, "message": content }));
            }
        }
        Ok(())
    }

    fn print(&self) {
        let mut table = TextTable::new(["where", "pk or id", "fields that name the person"]);
        for (place, found) in [
            ("customer", &self.items),
            ("unsent cleanup message", &self.unsent_cleanups),
            ("quarantine", &self.quarantine),
        ] {
            for entry in found {
                let key = entry["pk"].as_str().or(entry["id"].as_str()).unwrap_or_default();
                let matched = entry["matched"].as_array().into_iter().flatten().filter_map(Value::as_str);
                table.add_row([place.to_owned(), key.to_owned(), matched.collect::<Vec<_>>().join(", ")]);
            }
        }
        if table.is_empty() {
            terminal::note("Nothing is known about the person.");
        } else {
            terminal::line(table);
        }
        let Searched { items, quarantine_messages, unreadable } = &self.searched;
        terminal::note(format!("Searched: {items} items of the table, {quarantine_messages} messages in quarantine."));
        terminal::note(format!("Not searched: {}.", NOT_SEARCHED.join("; ")));
        if !unreadable.is_empty() {
            terminal::note(format!("`clientele quarantine show` shows those messages: {}", unreadable.join(", ")));
        }
    }
}
