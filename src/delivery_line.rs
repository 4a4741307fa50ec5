//! The line that the local stack prints for each delivery.

use std::thread;

use anstyle::{AnsiColor, Effects, Style};
use anyhow::Result;
use tokio::sync::broadcast::error::RecvError;

use crate::stack::deliveries::{Deliveries, DeliveryRecord};
use crate::terminal::{self, visible};

/// The most columns of a line whose outcome is not longer than usual.
const COLUMNS_MAX: usize = 120;
/// Longer ids are shown without their middle.
const ID_CHARS_MAX: usize = 13;
/// This many characters of a note are shown even if the line gets too long.
const NOTE_CHARS_MIN: usize = 28;

/// Prints a line for each record from now on, until the process ends. One thread prints all lines, so that they never
/// mix, and a terminal that is stopped does not stop the stack.
///
/// # Errors
/// When no thread can be started.
pub fn print_from_now_on(deliveries: &Deliveries) -> Result<()> {
    let mut records = deliveries.subscribe();
    let print = move || {
        loop {
            match records.blocking_recv() {
                Ok(record) => {
                    let parts = parts(&record);
                    let parts: Vec<_> = parts.iter().map(|(style, text)| (*style, text.as_str())).collect();
                    terminal::styled_line(&parts);
                }
                Err(RecvError::Lagged(missed)) => {
                    terminal::line(format!(
                        "{missed} deliveries are not shown: they came faster than lines are printed"
                    ));
                }
                Err(RecvError::Closed) => return,
            }
        }
    };
    thread::Builder::new().name("delivery lines".to_owned()).spawn(print)?;
    Ok(())
}

/// The parts of the line, with their styles: time (UTC), function, type, status, outcome, customer, milliseconds, and
/// notes. They contain ids and types as they were sent, except that invisible characters are made visible.
#[must_use]
pub fn parts(record: &DeliveryRecord) -> Vec<(Style, String)> {
    let DeliveryRecord { at, function, event_type, status, outcome, duration_ms, .. } = record;
    let event_type = visible(event_type.as_deref().unwrap_or_default());
    let status = status.map_or(String::new(), |status| status.to_string());
    let before = format!("{}  {:<10}  {:<25}  {status:>3}  ", at.strftime("%H:%M:%S"), visible(function), event_type);
    let outcome = format!("{:<11}", visible(outcome));
    let after = format!("  {:<13}  {duration_ms:>6.1} ms", customers(record));
    let columns = before.chars().count() + outcome.chars().count() + after.chars().count() + 2;
    let notes = notes(record);
    let notes = visible(&notes);
    let notes = beginning(&notes, COLUMNS_MAX.saturating_sub(columns).max(NOTE_CHARS_MIN));
    let notes = if notes.is_empty() { notes } else { format!("  {notes}") };
    let style = outcome_style(&record.outcome);
    vec![
        (Style::new(), before),
        (style, outcome),
        (Style::new(), after),
        (Style::new().effects(Effects::DIMMED), notes),
    ]
}

/// The first customer's id, and how many others there are.
fn customers(record: &DeliveryRecord) -> String {
    let Some(first) = record.customers.first() else { return String::new() };
    let id = visible(first.rsplit('#').next().unwrap_or_default());
    let chars: Vec<char> = id.chars().collect();
    let id = if chars.len() <= ID_CHARS_MAX {
        id.into_owned()
    } else {
        let half = ID_CHARS_MAX / 2;
        chars[..half].iter().chain(['…'].iter()).chain(&chars[chars.len() - half..]).collect()
    };
    match record.customers.len() {
        1 => id,
        customers => format!("{id} +{}", customers - 1),
    }
}

/// The provider, if the function is not named after it, the reason and the warning.
fn notes(record: &DeliveryRecord) -> String {
    let provider = Some(&record.provider).filter(|name| !name.is_empty() && **name != record.function);
    let provider = provider.map(|name| format!("from {name}"));
    let notes = [provider, record.reason.clone(), record.warning.clone()];
    notes.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The text, or its beginning with an ellipsis in so many characters.
fn beginning(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    text.chars().take(chars.saturating_sub(1)).chain(['…']).collect()
}

/// The colour of the worst outcome.
fn outcome_style(outcome: &str) -> Style {
    let has = |words: &[&str]| outcome.split([' ', ',']).any(|word| words.contains(&word));
    let colour = match () {
        () if has(&["unavailable", "unverifiable", "rejected", "failed", "found", "unrecorded"]) => AnsiColor::Red,
        () if has(&["parked", "quarantined", "cut"]) => AnsiColor::Yellow,
        () if has(&["applied", "sent", "recorded"]) => AnsiColor::Green,
        () => AnsiColor::Cyan,
    };
    Style::new().fg_color(Some(colour.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use rstest::rstest;

    fn record(function: &str, outcome: &str) -> DeliveryRecord {
        DeliveryRecord {
            number: 1,
            at: Timestamp::constant(1_795_176_001, 0),
            function: function.to_owned(),
            provider: function.to_owned(),
            event_type: Some("customer.customer_updated".to_owned()),
            events: 1,
            status: Some(200),
            outcome: outcome.to_owned(),
            customers: vec!["plain#w_1#c_01KA9CDZ5Y8M2QW7R4T6V3X1NB".to_owned()],
            duration_ms: 3.06,
            reason: None,
            warning: None,
        }
    }

    fn text(record: &DeliveryRecord) -> String {
        parts(record).into_iter().map(|(_, text)| text).collect()
    }

    fn applied() -> DeliveryRecord {
        record("plain", "applied")
    }

    fn batch() -> DeliveryRecord {
        let customers = ["CA1", "CA2", "CA3"].map(|id| format!("smarterpay#CL1#{id}")).into();
        let event_type = Some("customer_account.create +1".to_owned());
        DeliveryRecord { customers, event_type, events: 25, ..record("smarterpay", "23 applied, 2 stale") }
    }

    fn refused() -> DeliveryRecord {
        let (customers, status, reason) = (vec![], Some(401), Some("mismatch".to_owned()));
        DeliveryRecord { customers, status, reason, event_type: None, events: 0, ..record("plain", "rejected") }
    }

    fn parked() -> DeliveryRecord {
        let reason = "the table cannot be used: ProvisionedThroughputExceededException after 3 attempts";
        DeliveryRecord { status: Some(202), reason: Some(reason.to_owned()), ..record("plain", "parked") }
    }

    fn replayed() -> DeliveryRecord {
        DeliveryRecord { function: "replay".to_owned(), status: None, ..record("plain", "applied") }
    }

    fn swept() -> DeliveryRecord {
        let warning = Some("the sweep was cut short; the next one continues".to_owned());
        let (event_type, customers, provider) = (None, vec![], String::new());
        DeliveryRecord { status: None, event_type, customers, provider, warning, ..record("sweep", "2 sent, 1 failed") }
    }

    fn hostile() -> DeliveryRecord {
        let customers = vec!["plain#w#\u{1b}]52;c;x\u{7}\u{202e}".to_owned()];
        let (event_type, reason) = (Some("a\r\u{1b}[2J".to_owned()), Some("b\nc".to_owned()));
        DeliveryRecord { event_type, customers, reason, ..record("plain", "applied") }
    }

    #[rstest]
    #[case(applied(), "12:00:01  plain       customer.customer_updated  200  applied      c_01KA…V3X1NB     3.1 ms")]
    #[case(
        batch(),
        "12:00:01  smarterpay  customer_account.create +1  200  23 applied, 2 stale  CA1 +2            3.1 ms"
    )]
    #[case(
        refused(),
        "12:00:01  plain                                  401  rejected                       3.1 ms  mismatch"
    )]
    #[case(
        parked(),
        "12:00:01  plain       customer.customer_updated  202  parked       c_01KA…V3X1NB     3.1 ms  the table cannot be used: P…"
    )]
    #[case(
        replayed(),
        "12:00:01  replay      customer.customer_updated       applied      c_01KA…V3X1NB     3.1 ms  from plain"
    )]
    #[case(
        swept(),
        "12:00:01  sweep                                       2 sent, 1 failed                    3.1 ms  the sweep was cut short; th…"
    )]
    #[case(
        hostile(),
        "12:00:01  plain       a\\r\\u{1b}[2J               200  applied      \\u{1b}…{202e}     3.1 ms  b\\nc"
    )]
    fn lines(#[case] record: DeliveryRecord, #[case] expected: &str) {
        let text = text(&record);
        assert_eq!(text, expected);
        // The outcomes of a batch are longer than one outcome.
        assert!(text.chars().count() <= COLUMNS_MAX + 6 && !text.contains(char::is_control), "{text}");
    }

    #[rstest]
    #[case("applied", AnsiColor::Green)]
    #[case("2 sent", AnsiColor::Green)]
    #[case("duplicate", AnsiColor::Cyan)]
    #[case("23 applied, 2 stale", AnsiColor::Green)]
    #[case("1 applied, 1 parked", AnsiColor::Yellow)]
    #[case("1 parked, 1 unavailable", AnsiColor::Red)]
    #[case("not found", AnsiColor::Red)]
    fn the_worst_outcome_has_the_colour(#[case] outcome: &str, #[case] colour: AnsiColor) {
        let style = Style::new().fg_color(Some(colour.into()));
        assert_eq!(parts(&record("plain", outcome))[1].0, style);
    }
}
