//! Deliberate flaws: mistakes that programs of this kind often have. Each is put into a copy of the project, where the
//! test that is named with it must fail.

use std::fs;
use std::path::Path;
use std::process::Command;

/// A mistake, and the test that must fail because of it.
pub(crate) struct Flaw {
    pub(crate) name: &'static str,
    /// File, a text that occurs in it exactly once, and its replacement.
    edits: &'static [(&'static str, &'static str, &'static str)],
    /// Cargo's arguments that select the test target, and the name of the test.
    caught_by: (&'static [&'static str], &'static str),
}

impl Flaw {
    pub(crate) fn caught_by(&self) -> &'static str {
        self.caught_by.1
    }
}

const SYSTEM: &[&str] = &["--test", "system"];
const MODEL: &[&str] = &["--package", "clientele-model"];
const FLOW: &[&str] = &["--package", "clientele-flow"];
const FLEXPRICE: &[&str] = &["--package", "clientele-flexprice"];
const PLAIN: &[&str] = &["--package", "clientele-plain"];
const CUSTOMERS: &str = "shared/aws/src/customers.rs";
const PUT_REQUEST: &str = "shared/aws/src/put_request.rs";
const CONDITION: &str = r#""ConditionExpression":"attribute_not_exists(pk) OR #rank < :rank""#;
const ALWAYS: &str = r#""ConditionExpression":"attribute_not_exists(pk) OR #rank <> :rank OR #rank = :rank""#;
const VERIFICATION: &str = "shared/model/src/verification.rs";

pub(crate) const FLAWS: [Flaw; 25] = [
    Flaw {
        name: "no-idempotency",
        edits: &[(PUT_REQUEST, CONDITION, ALWAYS)],
        caught_by: (SYSTEM, "storage_contract_of_the_emulators"),
    },
    Flaw {
        name: "get-then-put",
        edits: &[
            (PUT_REQUEST, CONDITION, ALWAYS),
            (
                CUSTOMERS,
                "        let request = PutRequest::new(&self.table, item)",
                "        let Item::Customer(_) = item else { return Ok(PutResult::Written(None)) };
        let pk = serde_json::to_value(item).unwrap_or_default()[\"pk\"].as_str().unwrap_or_default().to_owned();
        if let Some(current) = self.current_item(&pk).await?.filter(|current| current.rank.as_str() >= item.rank()) {
            return Ok(PutResult::ConditionFailed(current));
        }
        let request = PutRequest::new(&self.table, item)",
            ),
        ],
        caught_by: (SYSTEM, "one_write_per_event"),
    },
    Flaw {
        name: "less-than-on-whole-seconds",
        edits: &[(
            "shared/model/src/rank.rs",
            r#"write!(f, "{erased}.{version:016x}.{verb}.{raised:016x}.{place:08x}.{event_id}")"#,
            r#"{ let _ = (verb, raised, place, event_id); write!(f, "{erased}.{:016x}.1.0000000000000000.00000000.", version / 1_000_000) }"#,
        )],
        caught_by: (MODEL, "strings_order_as_the_tuples_do"),
    },
    Flaw {
        name: "less-than-or-equal",
        edits: &[(
            PUT_REQUEST,
            CONDITION,
            r#""ConditionExpression":"attribute_not_exists(pk) OR #rank <= :rank""#,
        )],
        caught_by: (SYSTEM, "storage_contract_of_the_emulators"),
    },
    Flaw {
        name: "acknowledged-before-durable",
        edits: &[(
            "shared/flow/src/delivery.rs",
            "            Ok(sent) => sent.map_err(|error| error.to_string()),",
            "            Ok(_) => Ok(()),",
        )],
        caught_by: (FLOW, "nothing_lost"),
    },
    Flaw {
        name: "signature-over-reserialised-json",
        edits: &[(
            VERIFICATION,
            "secret_that_signed(secrets, &[&delivery.body], &[signature])?",
            "{ let body = serde_json::from_slice::<serde_json::Value>(&delivery.body).unwrap_or_default().to_string(); secret_that_signed(secrets, &[body.as_bytes()], &[signature])? }",
        )],
        caught_by: (MODEL, "hmac_in_hex"),
    },
    Flaw {
        name: "stale-signature-accepted",
        edits: &[(VERIFICATION, "age > tolerance", "age > i128::MAX - tolerance")],
        caught_by: (MODEL, "svix_timestamps"),
    },
    Flaw {
        name: "first-secret-only",
        edits: &[(
            VERIFICATION,
            "secrets.keys().find(|(_, key)| signed(key))",
            "secrets.keys().take(1).find(|(_, key)| signed(key))",
        )],
        caught_by: (MODEL, "hmac_in_hex"),
    },
    Flaw {
        name: "resurrects-deleted",
        edits: &[(
            "shared/model/src/event.rs",
            "erased: matches!(self.change, Change::Deletion(_)),",
            "erased: false,",
        )],
        caught_by: (FLOW, "no_kept_copy_restores_a_deleted_customer"),
    },
    Flaw {
        name: "personal-data-in-tombstone",
        edits: &[(CUSTOMERS, "REMOVE cleanup, cleanup_due", "REMOVE cleanup_due")],
        caught_by: (SYSTEM, "a_delete_leaves_only_a_tombstone"),
    },
    Flaw {
        name: "delete-forgets-the-item",
        edits: &[("shared/model/src/erasure.rs", "first(&deletion.clone().with(known))", "{ drop(known); first(deletion) }")],
        caught_by: (FLOW, "every_interleaving"),
    },
    Flaw {
        name: "clears-a-grown-message",
        edits: &[(CUSTOMERS, "#rank = :rank AND cleanup = :message", "#rank = :rank AND (cleanup = :message OR attribute_exists(cleanup))")],
        caught_by: (SYSTEM, "storage_contract_of_the_emulators"),
    },
    Flaw {
        name: "sends-while-held",
        edits: &[("shared/flow/src/deletion.rs", "if due.is_some_and(|due| due.0 > deadlines.now())", "if due.is_some_and(|due| due.0 > jiff::Timestamp::MAX)")],
        caught_by: (FLOW, "every_interleaving"),
    },
    Flaw {
        name: "receipts-replaced",
        edits: &[("shared/model/src/erasure.rs", "(current.receipts.clone(), current.erasure_open)", "(BTreeMap::new(), current.erasure_open)")],
        caught_by: (MODEL, "a_greater_delete_of_an_unsent_message_unites_both"),
    },
    Flaw {
        name: "secret-in-log",
        edits: &[(
            "shared/aws/src/gateway.rs",
            "std::mem::take(&mut self.request_context.request_id)",
            "self.path_parameters.as_ref().and_then(|it| it.token.clone()).unwrap_or_default()",
        )],
        caught_by: (SYSTEM, "no_secret_leaves"),
    },
    Flaw {
        name: "list-overrides-events",
        edits: &[
            (
                "shared/model/src/rank.rs",
                "    /// The record was read from the provider's list, so it is not known which event brought it into this state.
    Observed,\n",
                "",
            ),
            (
                "shared/model/src/rank.rs",
                "    /// The provider changed or deleted the record.\n    Updated,\n",
                "    /// Changed or deleted.\n    Updated,\n    /// Observed.\n    Observed,\n",
            ),
        ],
        caught_by: (MODEL, "an_observation_is_less_than_every_event_of_its_version"),
    },
    Flaw {
        name: "deletes-after-an-incomplete-walk",
        edits: &[(
            "shared/flow/src/reconcile.rs",
            "RunEnd::Complete => self.settle_candidates(",
            "RunEnd::Complete | RunEnd::Incomplete(_) => self.settle_candidates(",
        )],
        caught_by: (FLOW, "an_incomplete_walk_deletes_nobody"),
    },
    Flaw {
        name: "failed-lookup-deletes",
        edits: &[(
            "shared/flow/src/candidates.rs",
            "Lookup::Unknown(why) => (Candidate::Unknown(why), None),",
            "Lookup::Unknown(why) => {
                (Candidate::Unknown(why), Some(VerifiedDelete { key: key.clone(), rank, deleted_at: None }))
            }",
        )],
        caught_by: (FLOW, "a_failed_lookup_deletes_nobody"),
    },
    Flaw {
        name: "recent-changes-deleted",
        edits: &[(
            "shared/flow/src/candidates.rs",
            "SignedDuration::from_hours(1)",
            "SignedDuration::ZERO",
        )],
        caught_by: (FLOW, "only_verified_deletes_are_applied"),
    },
    Flaw {
        name: "failed-query-deletes",
        edits: &[(
            "functions/plain/src/listing.rs",
            r#"return Lookup::Unknown("the API answered with an error");"#,
            "return Lookup::Deleted(None);",
        )],
        caught_by: (PLAIN, "a_graphql_error_is_not_a_verified_delete"),
    },
    Flaw {
        name: "archived-records-imported",
        edits: &[("functions/flexprice/src/listing.rs", "if is_deleted || is_archived {", "if is_deleted {")],
        caught_by: (FLEXPRICE, "archived_records_are_deleted_customers"),
    },
    Flaw {
        name: "pages-by-offset",
        edits: &[(
            "functions/flexprice/src/listing/walk.rs",
            "match next.filter(|next| begins_before(next) && self.after.is_none_or(|after| after < *next)) {",
            "match next.filter(|next| begins_before(next) && false) {",
        )],
        caught_by: (FLEXPRICE, "the_next_page_starts_at_a_time_instead_of_an_offset"),
    },
    Flaw {
        name: "cleared-cleanup-announced",
        edits: &[(
            "shared/model/src/customer_change.rs",
            "(Some(old), Some(new)) if old.rank() == new.rank() => None,",
            "(Some(old), Some(new)) if old == new => None,",
        )],
        caught_by: (MODEL, "types_of_changes"),
    },
    Flaw {
        name: "failed-entries-dropped",
        edits: &[(
            "shared/flow/src/change_feed.rs",
            "EventResult::Failed(why) => report.fail(sequence_number, &why),",
            "EventResult::Failed(why) => {
                report.error = Some(why);
                ControlFlow::Continue(())
            }",
        )],
        caught_by: (FLOW, "no_change_is_lost_in_a_batch_of_a_hundred"),
    },
    Flaw {
        name: "refused-entry-blocks",
        edits: &[(
            "shared/flow/src/change_feed.rs",
            "            EventResult::Refused(why) => {\n                let ChangeEvent",
            "            EventResult::Refused(why) if !why.is_empty() => report.fail(sequence_number, &why),
            EventResult::Refused(why) => {\n                let ChangeEvent",
        )],
        caught_by: (FLOW, "a_refused_entry_never_blocks_the_others"),
    },
];

/// Puts the flaw into a copy of the working tree and runs its test there. Fails unless the test fails.
pub(crate) fn check(root: &Path, flaw: &Flaw) -> Result<(), String> {
    let copy = root.join("target/flaws");
    copy_sources(root, &copy)?;
    for (file, from, to) in flaw.edits {
        let path = copy.join(file);
        let text = fs::read_to_string(&path).map_err(|error| format!("{file}: {error}"))?;
        fs::write(&path, replaced(&text, from, to).ok_or_else(|| outdated(file))?)
            .map_err(|error| error.to_string())?;
    }
    let (target_arguments, test) = flaw.caught_by;
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| root.join("target/flaws-target").into());
    let mut command = Command::new("cargo");
    command.arg("test").args(target_arguments).arg(test).current_dir(&copy).env("CARGO_TARGET_DIR", target);
    let output = command.output().map_err(|error| format!("cargo: {error}"))?;
    let report = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    let is_caught =
        report.lines().any(|line| line.starts_with("test ") && line.contains(test) && line.ends_with("FAILED"));
    match (output.status.success(), is_caught) {
        (false, true) => Ok(()),
        (true, _) => Err(format!("{test} still passes")),
        (false, false) => Err(format!("{test} did not run:\n{report}")),
    }
}

/// The text with `from` replaced, if it occurs exactly once.
fn replaced(text: &str, from: &str, to: &str) -> Option<String> {
    (text.matches(from).count() == 1).then(|| text.replace(from, to))
}

fn outdated(file: &str) -> String {
    format!("the flaw no longer applies to {file}: adapt it to the changed code")
}

/// Copies the files that git does not ignore, except unchanged ones, so that Cargo rebuilds only what is necessary.
fn copy_sources(root: &Path, copy: &Path) -> Result<(), String> {
    let mut command = Command::new("git");
    command.args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root);
    let listed = command.output().map_err(|error| format!("git: {error}"))?;
    for file in String::from_utf8_lossy(&listed.stdout).lines() {
        let (from, to) = (root.join(file), copy.join(file));
        let Ok(bytes) = fs::read(&from) else { continue };
        if fs::read(&to).is_ok_and(|is| is == bytes) {
            continue;
        }
        let folder = to.parent().unwrap_or(copy);
        fs::create_dir_all(folder).and_then(|()| fs::write(&to, bytes)).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flaw_applies() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for flaw in &FLAWS {
            for (file, from, to) in flaw.edits {
                let text = fs::read_to_string(root.join(file)).unwrap();
                replaced(&text, from, to).expect(flaw.name);
            }
        }
    }
}
