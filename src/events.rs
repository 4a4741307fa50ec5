//! The checked-in events: `events/<provider>/<case>.json`, each a whole API Gateway event as `sam local invoke` takes
//! it, with `<case>.expected.json` beside it.
//!
//! All are signed with the local secrets at [`signed_at`]. To be delivered they are signed afresh.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_model::{Provider, Rank, Scheme, Sequence, Time, Verb};
use clientele_providers::PROVIDERS;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use svix_ksuid::KsuidMs;

use crate::http::path_segment;
use crate::signing::{Signed, Unsigned, sign};

/// When the checked-in events were signed: 2026-11-20T12:00:00Z.
#[must_use]
pub fn signed_at() -> Timestamp {
    Timestamp::constant(1_795_176_000, 0)
}

/// One event, and what comes of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// Whose.
    pub provider: &'static Provider,
    /// The name of its file.
    pub name: String,
    /// The API Gateway event as it is checked in.
    pub event: Value,
    /// What comes of it.
    pub expected: Expected,
}

/// What comes of an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The cases of the same provider that are delivered before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Whether it was changed after it was signed, or carries a wrong token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forged: bool,
    /// The status of the answer.
    pub status: u16,
    /// The body of the answer; none with 204.
    pub answer: Option<Value>,
    /// The items of its customers then, by `pk`.
    pub items: BTreeMap<String, Value>,
    /// The cleanup messages that it sends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleanup: Vec<Value>,
}

/// An event that is signed now.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The API Gateway event.
    pub event: Value,
    /// Texts that are other ones now, old and new: a signed id that holds a time moves with the clock.
    pub moved: Vec<(String, String)>,
}

/// All cases below a folder, in an order in which they can be delivered.
///
/// # Errors
/// When a file is not readable, a case has no expectation or an expectation no case, or `after` names none.
pub fn load(folder: &Path) -> Result<Vec<Case>> {
    let mut cases = vec![];
    for &provider in PROVIDERS {
        cases.extend(ordered(load_provider(folder, provider)?)?);
    }
    Ok(cases)
}

/// One case.
///
/// # Errors
/// When there is none; the message lists those that there are.
pub fn load_one(folder: &Path, provider: &'static Provider, name: &str) -> Result<Case> {
    let cases = load_provider(folder, provider)?;
    let names = cases.iter().map(|case| case.name.clone()).collect::<Vec<_>>().join(", ");
    let found = cases.into_iter().find(|case| case.name == name);
    found.ok_or_else(|| anyhow!("{} has no event `{name}`; there are {names}", provider.name))
}

fn load_provider(folder: &Path, provider: &'static Provider) -> Result<Vec<Case>> {
    let folder = folder.join(provider.name);
    let entries = std::fs::read_dir(&folder).with_context(|| {
        format!("cannot read {}: run from the project's root, or name it with --events", folder.display())
    })?;
    let mut names = BTreeSet::new();
    for entry in entries {
        let file = entry?.file_name().to_string_lossy().into_owned();
        let name = file.strip_suffix(".expected.json").or_else(|| file.strip_suffix(".json"));
        names.extend(name.map(str::to_owned));
    }
    let case = |name: String| {
        let event = read(&folder.join(format!("{name}.json")))?;
        let expected = read(&folder.join(format!("{name}.expected.json")))?;
        Ok(Case { provider, name, event, expected })
    };
    names.into_iter().map(case).collect()
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("in {}", path.display()))
}

/// Those that others come after, first.
fn ordered(mut waiting: Vec<Case>) -> Result<Vec<Case>> {
    let mut done: Vec<Case> = vec![];
    while !waiting.is_empty() {
        let is_done = |name: &String| done.iter().any(|case| case.name == *name);
        let Some(next) = waiting.iter().position(|case| case.expected.after.iter().all(is_done)) else {
            bail!("{}: `after` names no case, or goes in a circle", waiting[0].name)
        };
        done.push(waiting.remove(next));
    }
    Ok(done)
}

impl Case {
    /// `<provider>/<name>`
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}/{}", self.provider.name, self.name)
    }

    /// The body's text.
    ///
    /// # Errors
    /// When it is not text.
    pub fn body(&self) -> Result<String> {
        body(&self.event)
    }

    /// The event as if it was sent `now`, signed with `secret`.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn fresh(&self, scheme: &Scheme, secret: &str, now: Timestamp) -> Result<Fresh> {
        if !self.event.is_object() || self.event.get("headers").is_some_and(|headers| !headers.is_object()) {
            bail!("{} is no API Gateway event", self.title());
        }
        // An event that brings no id gets one.
        let old_id = header(&self.event, "-id").unwrap_or_else(|| "msg_clientele".to_owned());
        let (message_id, moved) = if *scheme == Scheme::Svix { moved(&old_id, now) } else { (old_id, vec![]) };
        let body = self.body()?;
        let mut unsigned = Unsigned { body: body.clone(), message_id };
        let signed = if !self.expected.forged {
            sign(&unsigned, scheme, secret, now)?
        } else if matches!(scheme, Scheme::Token(_) | Scheme::Basic) {
            sign(&unsigned, scheme, &format!("{secret}-guessed"), now)?
        } else {
            unsigned.body.push(' ');
            let mut signed = sign(&unsigned, scheme, secret, now)?;
            signed.body.pop();
            signed
        };
        let mut event = self.event.clone();
        put(&mut event, signed, self.provider);
        Ok(Fresh { event, moved })
    }

    /// The expectation, where events were signed afresh: `moved` is what moved in any of them.
    ///
    /// # Errors
    /// Never, for what is checked in.
    pub fn expected_after(&self, moved: &[(String, String)]) -> Result<Expected> {
        let mut text = serde_json::to_string(&self.expected)?;
        for (old, new) in moved {
            text = text.replace(old, new);
        }
        Ok(serde_json::from_str(&text)?)
    }
}

/// The body of an API Gateway event.
///
/// # Errors
/// When it is not text.
pub fn body(event: &Value) -> Result<String> {
    let body = event["body"].as_str().unwrap_or_default();
    if event["isBase64Encoded"] == true {
        Ok(String::from_utf8(BASE64_STANDARD.decode(body)?)?)
    } else {
        Ok(body.to_owned())
    }
}

/// The headers of an API Gateway event.
pub fn headers(event: &Value) -> impl Iterator<Item = (&str, &str)> {
    let headers = event["headers"].as_object().into_iter().flatten();
    headers.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
}

fn header(event: &Value, ending: &str) -> Option<String> {
    let family =
        |name: &str| ["svix", "webhook"].iter().any(|family| name.eq_ignore_ascii_case(&format!("{family}{ending}")));
    headers(event).find(|(name, _)| family(name)).map(|(_, value)| value.to_owned())
}

/// Puts a signature into an event: names that the event has in other letters, or unbranded, stay as they are.
fn put(event: &mut Value, signed: Signed, provider: &Provider) {
    let encoded = event["isBase64Encoded"] == true;
    event["body"] = if encoded { BASE64_STANDARD.encode(&signed.body) } else { signed.body }.into();
    for (name, value) in signed.headers {
        let unbranded = name.replacen("svix-", "webhook-", 1);
        let same = |known: &&str| known.eq_ignore_ascii_case(&name) || known.eq_ignore_ascii_case(&unbranded);
        let name = headers(event).map(|(known, _)| known).find(same).unwrap_or(&name).to_owned();
        event["headers"][name] = value.into();
    }
    if let Some(token) = signed.token {
        let path = format!("/webhooks/{}/{}", provider.name, path_segment(&token));
        event["requestContext"]["http"]["path"] = path.as_str().into();
        event["rawPath"] = path.into();
        event["pathParameters"]["token"] = token.into();
    }
}

/// The id of a Svix message, with the time in it moved by whole days: an id older than 30 days would not be plausible.
/// Within a day an event keeps its id, so that sending it twice is a duplicate.
fn moved(id: &str, now: Timestamp) -> (String, Vec<(String, String)>) {
    // What has no readable time in its id is ordered by the time of the attempt.
    let sent = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let mut moved = times(signed_at(), sent);
    let ksuid = id.strip_prefix("msg_").and_then(|ksuid| ksuid.parse::<KsuidMs>().ok());
    let Some(ksuid) = ksuid else { return (id.to_owned(), moved) };
    let days = now.duration_since(signed_at()).as_secs().div_euclid(24 * 60 * 60);
    let Ok(made) = Timestamp::from_millisecond(ksuid.timestamp_millis()) else { return (id.to_owned(), moved) };
    let then = made + SignedDuration::from_hours(days * 24);
    let payload = svix_ksuid::KsuidLike::payload(&ksuid).to_vec();
    let new_id = format!("msg_{}", KsuidMs::from_millis(Some(then.as_millisecond()), Some(&payload)));
    moved.extend(times(made, then));
    moved.push((id.to_owned(), new_id.clone()));
    (new_id, moved)
}

/// A time in the two forms in which an item has it: as text, and in its rank.
fn times(old: Timestamp, new: Timestamp) -> Vec<(String, String)> {
    let in_rank = |version: Timestamp| {
        let (version, sequence) = (Time(version), Sequence::at(Time(version)));
        let rank =
            Rank { erased: false, version: version.into(), verb: Verb::Created, sequence, event_id: String::new() };
        rank.to_string()[2..18].to_owned()
    };
    vec![(format!("\"{}\"", Time(old)), format!("\"{}\"", Time(new))), (in_rank(old), in_rank(new))]
}
