//! The line that `clientele changes` prints for a change.

use anstyle::{AnsiColor, Effects, Style};
use serde_json::Value;

use crate::terminal::visible;

/// So many changed fields are named.
const FIELDS_MAX: usize = 8;

/// The parts of the line, with their styles: time (UTC), type, customer, the changed fields, and the event that brought the
/// change. They contain what customers and providers wrote, except that invisible characters are made visible.
#[must_use]
pub fn parts(event: &Value) -> Vec<(Style, String)> {
    let detail = &event["detail"];
    let text = |value: &Value| visible(value.as_str().unwrap_or_default()).into_owned();
    let time = text(&detail["time"]);
    let kind = text(&detail["type"]);
    let style = Style::new().fg_color(Some(colour(&kind).into()));
    let notes = [fields(&detail["data"]["changed"]), source(&detail["data"]["last_event"])];
    let notes = notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("  ");
    let notes = if notes.is_empty() { notes } else { format!("  {}", visible(&notes)) };
    vec![
        (Style::new(), format!("{}  ", time.get(11..19).unwrap_or(&time))),
        (style, format!("{kind:<17}")),
        (Style::new(), format!("  {}", text(&detail["subject"]))),
        (Style::new().effects(Effects::DIMMED), notes),
    ]
}

fn fields(changed: &Value) -> String {
    let names: Vec<_> = changed.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let shown = names[..names.len().min(FIELDS_MAX)].join(", ");
    match names.len().saturating_sub(FIELDS_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn source(last_event: &Value) -> String {
    last_event["type"].as_str().map_or(String::new(), |kind| format!("({kind})"))
}

fn colour(kind: &str) -> AnsiColor {
    match kind {
        "customer.created" | "customer.updated" => AnsiColor::Green,
        "customer.snapshot" => AnsiColor::Cyan,
        _ => AnsiColor::Yellow,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn event(kind: &str, data: &Value) -> Value {
        let detail =
            json!({ "time": "2026-11-20T12:00:01.5Z", "type": kind, "subject": "plain#w_1#c_1", "data": data });
        json!({ "detail": detail })
    }

    fn updated(changed: &[&str]) -> Value {
        event("customer.updated", &json!({ "changed": changed, "last_event": { "type": "customer.customer_updated" } }))
    }

    #[rstest]
    #[case(
        updated(&["name", "profile.phones"]),
        "12:00:01  customer.updated   plain#w_1#c_1  name, profile.phones  (customer.customer_updated)"
    )]
    #[case(
        updated(&["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]),
        "12:00:01  customer.updated   plain#w_1#c_1  a, b, c, d, e, f, g, h and 2 more  (customer.customer_updated)"
    )]
    #[case(
        event("customer.snapshot", &json!({ "last_event": { "type": "import" } })),
        "12:00:01  customer.snapshot  plain#w_1#c_1  (import)"
    )]
    #[case(event("customer.removed", &json!({})), "12:00:01  customer.removed   plain#w_1#c_1")]
    #[case(json!({}), "                     ")]
    fn lines(#[case] event: Value, #[case] expected: &str) {
        assert_eq!(parts(&event).into_iter().map(|(_, text)| text).collect::<String>(), expected);
    }

    #[test]
    fn what_customers_wrote_cannot_control_the_terminal() {
        let hostile = "\u{1b}[2J\r\n\u{202e}é";
        let mut event = updated(&[hostile]);
        let detail = &mut event["detail"];
        for name in ["time", "type", "subject"] {
            detail[name] = hostile.into();
        }
        detail["data"]["last_event"]["type"] = hostile.into();
        let line: String = parts(&event).into_iter().map(|(_, text)| text).collect();
        assert!(!line.contains(char::is_control) && !line.contains('\u{202e}'), "{line}");
    }
}
