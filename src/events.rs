//! The checked-in events: `events/<provider>/<case>.json` is a complete API Gateway event, as `sam local invoke` takes
//! it, and `<case>.expected.json` is its expected result.
//!
//! All are signed with the local secrets at [`signed_at`]. They are signed again before they are delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirEntry;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clientele_model::{Provider, Scheme};
use clientele_providers::PROVIDERS;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::embedded::EVENT_FILES;
use crate::exit_code::ExitCode;
use crate::signing::{SignedRequest, UnsignedRequest, sign, token_path};

/// When the checked-in events were signed: 2026-11-20T12:00:00Z.
#[must_use]
pub fn signed_at() -> Timestamp {
    Timestamp::constant(1_795_176_000, 0)
}

/// An event and its expected result.
#[derive(Clone, Debug)]
pub struct Case {
    /// The provider that sends it.
    pub provider: &'static Provider,
    /// The name of its file, without extension.
    pub name: String,
    /// The API Gateway event as checked in.
    pub event: Value,
    /// The expected result.
    pub expected: Expected,
}

/// The expected result of an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// The cases of the same provider that must be delivered before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Whether its signature or token is deliberately wrong.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forged: bool,
    /// The status of the answer.
    pub status: u16,
    /// The body of the answer; `None` for 204.
    pub answer: Option<Value>,
    /// The items of its customers after it, by `pk`.
    pub items: BTreeMap<String, Value>,
    /// The cleanup messages that it causes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cleanup: Vec<Value>,
}

/// Where event files are read from.
#[derive(Clone, Debug, Default)]
pub enum EventFiles {
    /// Those that are part of the command.
    #[default]
    Embedded,
    /// Those in a folder that has one folder per provider.
    Folder(PathBuf),
}

impl From<Option<PathBuf>> for EventFiles {
    fn from(folder: Option<PathBuf>) -> Self {
        folder.map_or(Self::Embedded, Self::Folder)
    }
}

impl EventFiles {
    /// All cases, in an order in which they can be delivered.
    ///
    /// # Errors
    /// When a file cannot be read, a case has no expected result or the reverse, or `after` names an unknown case.
    pub fn load(&self) -> Result<Vec<Case>> {
        let mut cases = vec![];
        for provider in PROVIDERS {
            cases.extend(ordered(self.load_provider(provider)?)?);
        }
        Ok(cases)
    }

    /// One case.
    ///
    /// # Errors
    /// When there is no such case; the message lists all cases of the provider.
    pub fn load_one(&self, provider: &'static Provider, name: &str) -> Result<Case> {
        let names = self.names(provider)?;
        if names.contains(name) {
            return self.case(provider, name.to_owned());
        }
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        bail!(ExitCode::NotFound.error(format!("{} has no event `{name}`; there are {names}", provider.name)))
    }

    fn load_provider(&self, provider: &'static Provider) -> Result<Vec<Case>> {
        self.names(provider)?.into_iter().map(|name| self.case(provider, name)).collect()
    }

    fn case(&self, provider: &'static Provider, name: String) -> Result<Case> {
        let event = self.read(&format!("{}/{name}.json", provider.name))?;
        let expected = self.read(&format!("{}/{name}.expected.json", provider.name))?;
        Ok(Case { provider, name, event, expected })
    }

    /// The names of a provider's cases.
    fn names(&self, provider: &Provider) -> Result<BTreeSet<String>> {
        let files: Vec<String> = match self {
            Self::Embedded => {
                let files = EVENT_FILES.iter().filter_map(|(path, _)| path.split_once('/'));
                files.filter(|(folder, _)| *folder == provider.name).map(|(_, file)| file.to_owned()).collect()
            }
            Self::Folder(folder) => {
                let folder = folder.join(provider.name);
                let entries =
                    std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
                let name = |entry: io::Result<DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
                entries.map(name).collect::<io::Result<_>>()?
            }
        };
        let name = |file: &String| {
            file.strip_suffix(".expected.json").or_else(|| file.strip_suffix(".json")).map(str::to_owned)
        };
        Ok(files.iter().filter_map(name).collect())
    }

    fn read<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T> {
        match self {
            Self::Embedded => {
                let file = EVENT_FILES.iter().find(|(name, _)| *name == path);
                let (_, text) = file.with_context(|| format!("there is no file {path}"))?;
                serde_json::from_str(text).with_context(|| format!("in {path}"))
            }
            Self::Folder(folder) => {
                let path = folder.join(path);
                let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                serde_json::from_str(&text).with_context(|| format!("in {}", path.display()))
            }
        }
    }
}

/// All cases in a folder, in an order in which they can be delivered.
///
/// # Errors
/// As [`EventFiles::load`].
pub fn load(folder: &Path) -> Result<Vec<Case>> {
    EventFiles::Folder(folder.to_owned()).load()
}

/// Sorts the cases so that each comes after those that it names in `after`.
fn ordered(mut cases: Vec<Case>) -> Result<Vec<Case>> {
    let mut sorted: Vec<Case> = vec![];
    while !cases.is_empty() {
        let is_sorted = |name: &String| sorted.iter().any(|case| case.name == *name);
        let Some(next) = cases.iter().position(|case| case.expected.after.iter().all(is_sorted)) else {
            bail!("{}: `after` names an unknown case, or is circular", cases[0].name)
        };
        sorted.push(cases.remove(next));
    }
    Ok(sorted)
}

impl Case {
    /// `<provider>/<name>`
    #[must_use]
    pub fn title(&self) -> String {
        format!("{}/{}", self.provider.name, self.name)
    }

    /// The text of the body.
    ///
    /// # Errors
    /// When it is not text.
    pub fn body(&self) -> Result<String> {
        body(&self.event)
    }

    /// The event as if it were sent `now`, signed with `secret`. A forged case gets a wrong signature or token.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn sign(&self, scheme: &Scheme, secret: &str, now: Timestamp) -> Result<Value> {
        let is_absent_or_object = |pointer| self.event.pointer(pointer).is_none_or(|it| it.is_null() || it.is_object());
        let objects = ["", "/headers", "/pathParameters", "/requestContext", "/requestContext/http"];
        if self.event.is_null() || !objects.into_iter().all(is_absent_or_object) {
            bail!("{} is not an API Gateway event", self.title());
        }
        let message_id = header(&self.event, "-id").unwrap_or_else(|| "msg_clientele".to_owned());
        let mut request = UnsignedRequest { body: self.body()?, message_id };
        let signed = if !self.expected.forged {
            sign(&request, scheme, secret, now)?
        } else if matches!(scheme, Scheme::Token(_) | Scheme::Basic) {
            sign(&request, scheme, &format!("{secret}-guessed"), now)?
        } else {
            request.body.push(' ');
            let mut signed = sign(&request, scheme, secret, now)?;
            signed.body.pop();
            signed
        };
        let mut event = self.event.clone();
        put(&mut event, signed, self.provider);
        Ok(event)
    }
}

/// The body of an API Gateway event.
///
/// # Errors
/// When it is not text.
pub fn body(event: &Value) -> Result<String> {
    let body = match &event["body"] {
        Value::Null => "",
        Value::String(body) => body,
        _ => bail!("the body of an API Gateway event is a string that contains the JSON"),
    };
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

/// The value of a header of Svix, which exists under two names.
fn header(event: &Value, ending: &str) -> Option<String> {
    let family =
        |name: &str| ["svix", "webhook"].iter().any(|family| name.eq_ignore_ascii_case(&format!("{family}{ending}")));
    headers(event).find(|(name, _)| family(name)).map(|(_, value)| value.to_owned())
}

/// Puts a signature into an event. Header names keep the letter case and the brand that they have in the event.
fn put(event: &mut Value, signed: SignedRequest, provider: &Provider) {
    let is_encoded = event["isBase64Encoded"] == true;
    event["body"] = if is_encoded { BASE64_STANDARD.encode(&signed.body) } else { signed.body }.into();
    for (name, value) in signed.headers {
        let unbranded = name.replacen("svix-", "webhook-", 1);
        let is_same = |other: &&str| other.eq_ignore_ascii_case(&name) || other.eq_ignore_ascii_case(&unbranded);
        let name = headers(event).map(|(other, _)| other).find(is_same).unwrap_or(&name).to_owned();
        event["headers"][name] = value.into();
    }
    if let Some(token) = signed.token {
        let path = token_path(provider, &token);
        event["requestContext"]["http"]["path"] = path.as_str().into();
        event["rawPath"] = path.into();
        event["pathParameters"]["token"] = token.into();
    }
}
