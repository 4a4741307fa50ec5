//! The subcommands, one file for each noun.

use std::num::NonZeroUsize;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

pub mod changes;
mod changes_redrive;
pub mod cleanup;
pub mod completions;
pub mod console;
pub mod cost;
pub mod customers;
pub mod dead_letters;
pub mod doctor;
pub mod erase;
pub mod erasures;
pub mod events;
pub mod faults;
pub mod import;
pub mod inbox;
pub mod local;
mod local_secrets;
pub mod quarantine;
mod queue_depths;
pub mod reconcile;
pub mod restore;
pub mod secrets;
pub mod smoke;
pub mod subject;

/// Reads a number that is not 0, for the command line.
fn positive(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a number greater than 0".to_owned())
}

/// Reads a time in the past, or the beginning of a day in UTC, for the command line.
fn time(text: &str) -> Result<Timestamp, String> {
    let start_of_day = |date: Date| date.to_zoned(TimeZone::UTC).map(|start| start.timestamp());
    let time: Result<Timestamp, _> = text.parse().or_else(|_| text.parse().and_then(start_of_day));
    let time = time.map_err(|_| "expected a time as in 2026-11-28T08:00:00Z, or a date")?;
    if time > Timestamp::now() { Err("expected a time in the past".to_owned()) } else { Ok(time) }
}

/// Reads a number of events per second, for the command line.
fn rate_of_events(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| *rate > 0.0 && rate.is_finite());
    rate.ok_or_else(|| "expected a number of events per second greater than 0".to_owned())
}
