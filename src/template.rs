//! Reads from template.yaml what the local stack creates: the table, the queues, and the triggers and environment of
//! each function. The same file is deployed, so the local stack cannot differ from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_yaml_ng::{Mapping, Value};

use crate::embedded::TEMPLATE;

/// The parts of template.yaml that the local stack and the commands use.
#[derive(Debug)]
pub struct Template {
    /// DynamoDB tables.
    pub tables: Vec<Table>,
    /// SQS queues.
    pub queues: Vec<Queue>,
    /// Functions.
    pub functions: Vec<Function>,
    /// The defaults of the parameters, by name.
    pub parameters: BTreeMap<String, String>,
    /// The conditions, by name.
    pub conditions: BTreeMap<String, Value>,
    /// The memory of a function in MB.
    pub memory_mb: u32,
    /// The number of resources of each type that exist with the defaults of the parameters.
    pub resources: BTreeMap<String, usize>,
    /// How many metrics their alarms watch, which is what CloudWatch charges for.
    pub alarm_metrics: usize,
}

/// A DynamoDB table.
#[derive(Debug)]
pub struct Table {
    /// Its logical id in the template.
    pub logical_id: String,
    /// Its name on the local stack.
    pub name: String,
    /// Its keys and indexes.
    pub properties: TableProperties,
    /// What its stream contains, such as `NEW_AND_OLD_IMAGES`; absent if it has no stream.
    pub stream: Option<String>,
}

/// The keys and indexes of a table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TableProperties {
    /// The types of the key attributes.
    pub attribute_definitions: Vec<AttributeDefinition>,
    /// The key of the table.
    pub key_schema: Vec<KeyElement>,
    /// The indexes.
    #[serde(default)]
    pub global_secondary_indexes: Vec<Index>,
}

/// The type of a key attribute.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttributeDefinition {
    /// Its name.
    pub attribute_name: String,
    /// `S`, `N` or `B`.
    pub attribute_type: String,
}

/// One attribute of a key.
#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub struct KeyElement {
    /// The attribute.
    pub attribute_name: String,
    /// `HASH` or `RANGE`.
    pub key_type: String,
}

/// An index.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Index {
    /// Its name.
    pub index_name: String,
    /// Its key.
    pub key_schema: Vec<KeyElement>,
    /// Which attributes it holds.
    pub projection: Projection,
}

/// Which attributes an index holds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Projection {
    /// `KEYS_ONLY` or `ALL`.
    pub projection_type: String,
}

/// An SQS queue.
#[derive(Debug)]
pub struct Queue {
    /// Its logical id in the template.
    pub logical_id: String,
    /// Its name on the local stack.
    pub name: String,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// Its dead-letter queue.
    pub redrive: Option<Redrive>,
}

/// Which queue takes messages that were received too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redrive {
    /// The logical id of the dead-letter queue.
    pub dead_letter_queue: String,
    /// How often a message may be received before it is moved.
    pub receives_max: u32,
}

/// A Lambda function.
#[derive(Debug)]
pub struct Function {
    /// Its logical id in the template.
    pub logical_id: String,
    /// The name of its folder in `functions/`; its binary is `clientele-<name>`.
    pub name: String,
    /// The API routes that call it.
    pub routes: Vec<Route>,
    /// The queue whose messages it processes.
    pub source: Option<QueueSource>,
    /// The stream whose records it processes.
    pub stream: Option<StreamSource>,
    /// The interval at which a schedule calls it. A schedule whose parameter is 0 by default does not.
    pub every: Option<Duration>,
    /// Its `Timeout`.
    pub timeout: Duration,
    /// Its environment, including the globals, with references not resolved yet.
    pub environment: BTreeMap<String, Value>,
}

/// The queue of an event source mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSource {
    /// The logical id of the queue.
    pub queue: String,
    /// The maximum number of messages per call.
    pub batch_size: i32,
}

/// The stream of an event source mapping, which is read from its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSource {
    /// The logical id of the table.
    pub table: String,
    /// The maximum number of records per call.
    pub batch_size: i32,
    /// A record that is older is given up.
    pub record_age_max: Duration,
    /// The logical id of the queue that gets the positions of records that are given up.
    pub discarded_queue: String,
}

/// A route of the API.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "PascalCase")]
pub struct Route {
    /// The HTTP method.
    pub method: String,
    /// The path, with `{parameters}`.
    pub path: String,
}

/// Where a template is read from.
#[derive(Clone, Debug, Default)]
pub enum TemplateSource {
    /// The template that is part of the command.
    #[default]
    Embedded,
    /// A file.
    File(PathBuf),
}

impl From<PathBuf> for TemplateSource {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<Option<PathBuf>> for TemplateSource {
    fn from(path: Option<PathBuf>) -> Self {
        path.map_or(Self::Embedded, Self::File)
    }
}

impl TemplateSource {
    /// Reads the template.
    ///
    /// # Errors
    /// When it cannot be read, or lacks what the local stack needs.
    pub fn read(&self) -> Result<Template> {
        match self {
            Self::Embedded => Template::parse(TEMPLATE).context("in the embedded template.yaml"),
            Self::File(path) => Template::read(path),
        }
    }
}

impl Template {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or lacks what the local stack needs.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Reads the text of a template.
    ///
    /// # Errors
    /// When it lacks what the local stack needs.
    pub fn parse(text: &str) -> Result<Self> {
        let root: Value = serde_yaml_ng::from_str(text)?;
        let parameters = mapping(&root["Parameters"])
            .filter_map(|(name, parameter)| Some((name.to_owned(), scalar(&parameter["Default"])?)))
            .collect();
        let memory_mb = root["Globals"]["Function"]["MemorySize"].as_u64().context("no Globals.Function.MemorySize")?;
        let memory_mb = u32::try_from(memory_mb)?;
        let mut template = Self {
            tables: vec![],
            queues: vec![],
            functions: vec![],
            parameters,
            conditions: mapping(&root["Conditions"]).map(|(name, it)| (name.to_owned(), it.clone())).collect(),
            memory_mb,
            resources: BTreeMap::new(),
            alarm_metrics: 0,
        };
        let globals = &root["Globals"]["Function"];
        for (id, resource) in mapping(&root["Resources"]) {
            let kind = resource["Type"].as_str().unwrap_or_default();
            if template.exists(resource).with_context(|| format!("in Resources.{id}"))? {
                *template.resources.entry(kind.to_owned()).or_default() += 1;
                if kind == "AWS::CloudWatch::Alarm" {
                    template.alarm_metrics += template.metrics_of_alarm(&resource["Properties"]);
                }
            }
            template.add(id, kind, resource, globals).with_context(|| format!("in Resources.{id}"))?;
        }
        Ok(template)
    }

    fn add(&mut self, id: &str, kind: &str, resource: &Value, globals: &Value) -> Result<()> {
        let properties = &resource["Properties"];
        let logical_id = id.to_owned();
        match kind {
            "AWS::DynamoDB::Table" => {
                let specification = self.branch(&properties["StreamSpecification"], &|_| None);
                let stream = specification.and_then(|it| self.text(&it["StreamViewType"], &|_| None));
                let properties = serde_yaml_ng::from_value(properties.clone())?;
                self.tables.push(Table { logical_id, name: local_name(id, "Table")?, properties, stream });
            }
            "AWS::SQS::Queue" => {
                // Encryption does not matter locally, and the redrive policy is read below.
                let emulated = ["VisibilityTimeout", "MessageRetentionPeriod", "DelaySeconds", "MaximumMessageSize"];
                let attributes = mapping(properties)
                    .filter(|(name, _)| emulated.contains(name))
                    .filter_map(|(name, value)| Some((name.to_owned(), scalar(value)?)))
                    .collect();
                let policy = &properties["RedrivePolicy"];
                let dead_letter_queue = resource_of_arn(&policy["deadLetterTargetArn"]);
                let receives_max = policy["maxReceiveCount"].as_u64().and_then(|count| u32::try_from(count).ok());
                let redrive = dead_letter_queue
                    .zip(receives_max)
                    .map(|(dead_letter_queue, receives_max)| Redrive { dead_letter_queue, receives_max });
                self.queues.push(Queue { logical_id, name: local_name(id, "Queue")?, attributes, redrive });
            }
            "AWS::Serverless::Function" => {
                let binary = resource["Metadata"]["BuildProperties"]["Binary"].as_str();
                let name = binary.and_then(|binary| binary.strip_prefix("clientele-"));
                let name = name.context("Metadata.BuildProperties.Binary does not begin with `clientele-`")?.to_owned();
                let of_type = |kind: &'static str| {
                    let events = mapping(&properties["Events"]).filter(move |(_, event)| event["Type"] == kind);
                    events.map(|(_, event)| &event["Properties"])
                };
                let routes = of_type("HttpApi").map(|route| serde_yaml_ng::from_value(route.clone()));
                let source = of_type("SQS").next().map(queue_source).transpose()?;
                let stream = of_type("DynamoDB").next().map(stream_source).transpose()?;
                let schedules = of_type("Schedule").chain(of_type("ScheduleV2"));
                let mut schedules = schedules.map(|schedule| &schedule[schedule_key(schedule)]);
                let every = schedules.next().map(|expression| rate(expression, &self.parameters)).transpose()?;
                let every = every.filter(|every| !every.is_zero());
                let timeout = properties["Timeout"].as_u64().or(globals["Timeout"].as_u64()).context("no Timeout")?;
                let environment = mapping(&globals["Environment"]["Variables"])
                    .chain(mapping(&properties["Environment"]["Variables"]));
                let environment = environment.map(|(name, value)| (name.to_owned(), value.clone())).collect();
                self.functions.push(Function {
                    logical_id,
                    name,
                    routes: routes.collect::<Result<_, _>>()?,
                    source,
                    stream,
                    every,
                    timeout: Duration::from_secs(timeout),
                    environment,
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a resource exists with the defaults of the parameters.
    fn exists(&self, resource: &Value) -> Result<bool> {
        let Some(name) = resource["Condition"].as_str() else { return Ok(true) };
        let holds = self.conditions.get(name).and_then(|condition| self.holds(condition, &|_| None));
        holds.with_context(|| format!("the condition {name} cannot be evaluated"))
    }

    /// One metric, or those that an expression combines.
    fn metrics_of_alarm(&self, properties: &Value) -> usize {
        let Some(queries) = properties["Metrics"].as_sequence() else { return 1 };
        let queries = queries.iter().filter_map(|query| self.branch(query, &|_| None));
        queries.filter(|query| !query["MetricStat"].is_null()).count()
    }

    /// The names of the indexes of all tables.
    #[must_use]
    pub fn index_names(&self) -> Vec<String> {
        let indexes = self.tables.iter().flat_map(|table| &table.properties.global_secondary_indexes);
        indexes.map(|index| index.index_name.clone()).collect()
    }

    /// The function's environment as text. `resolve` returns what `!Ref` of a resource stands for.
    ///
    /// # Errors
    /// When a value is known to AWS only.
    pub fn environment(
        &self,
        function: &Function,
        resolve: impl Fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<String, String>> {
        let variables = function.environment.iter().map(|(name, value)| {
            let value = self
                .text(value, &resolve)
                .with_context(|| format!("{}: {name} has no local value", function.logical_id))?;
            Ok((name.clone(), value))
        });
        variables.collect()
    }

    /// A value as text, with the defaults of the parameters.
    fn text(&self, value: &Value, resolve: &impl Fn(&str) -> Option<String>) -> Option<String> {
        match value {
            Value::Tagged(tagged) if tagged.tag == "Ref" => {
                let name = tagged.value.as_str()?;
                resolve(name).or_else(|| self.parameters.get(name).cloned())
            }
            Value::Tagged(tagged) if tagged.tag == "If" => self.text(self.branch(value, resolve)?, resolve),
            Value::Tagged(tagged) if tagged.tag == "Sub" => self.substituted(tagged.value.as_str()?, resolve),
            other => scalar(other),
        }
    }

    /// The branch that counts if the value is an `!If`, otherwise the value.
    fn branch<'a>(&'a self, value: &'a Value, resolve: &impl Fn(&str) -> Option<String>) -> Option<&'a Value> {
        let Value::Tagged(tagged) = value else { return Some(value) };
        if tagged.tag != "If" {
            return Some(value);
        }
        let [condition, yes, no] = &tagged.value.as_sequence()?[..] else { return None };
        let holds = self.holds(self.conditions.get(condition.as_str()?)?, resolve)?;
        self.branch(if holds { yes } else { no }, resolve)
    }

    fn holds(&self, condition: &Value, resolve: &impl Fn(&str) -> Option<String>) -> Option<bool> {
        let Value::Tagged(tagged) = condition else { return None };
        if tagged.tag == "Condition" {
            return self.holds(self.conditions.get(tagged.value.as_str()?)?, resolve);
        }
        let parts = tagged.value.as_sequence()?;
        if tagged.tag == "Equals" {
            let [left, right] = &parts[..] else { return None };
            return Some(self.text(left, resolve)? == self.text(right, resolve)?);
        }
        let parts = parts.iter().map(|part| self.holds(part, resolve)).collect::<Option<Vec<_>>>()?;
        match () {
            () if tagged.tag == "Not" => parts.first().map(|holds| !holds),
            () if tagged.tag == "And" => Some(parts.iter().all(|holds| *holds)),
            () if tagged.tag == "Or" => Some(parts.iter().any(|holds| *holds)),
            () => None,
        }
    }

    /// The text of `!Sub` with the values of its `${…}`.
    fn substituted(&self, text: &str, resolve: &impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut parts = text.split("${");
        let mut result = parts.next()?.to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}')?;
            let value = resolve(name).or_else(|| self.parameters.get(name).cloned())?;
            result.push_str(&value);
            result.push_str(rest);
        }
        Some(result)
    }
}

fn mapping(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let entries = value.as_mapping().into_iter().flat_map(Mapping::iter);
    entries.filter_map(|(name, value)| Some((name.as_str()?, value)))
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The logical id in `!GetAtt InboxQueue.Arn`.
fn resource_of_arn(value: &Value) -> Option<String> {
    attribute(value, ".Arn")
}

/// The logical id in `!GetAtt`, if it is about that attribute.
fn attribute(value: &Value, name: &str) -> Option<String> {
    match value {
        Value::Tagged(tagged) if tagged.tag == "GetAtt" => tagged.value.as_str()?.strip_suffix(name).map(str::to_owned),
        _ => None,
    }
}

fn queue_source(properties: &Value) -> Result<QueueSource> {
    let queue = resource_of_arn(&properties["Queue"]).context("Queue is not `!GetAtt ….Arn`")?;
    let batch_size = properties["BatchSize"].as_i64().unwrap_or(10);
    Ok(QueueSource { queue, batch_size: i32::try_from(batch_size)? })
}

fn stream_source(properties: &Value) -> Result<StreamSource> {
    let table = attribute(&properties["Stream"], ".StreamArn").context("Stream is not `!GetAtt ….StreamArn`")?;
    let destination = &properties["DestinationConfig"]["OnFailure"]["Destination"];
    let record_age_max = properties["MaximumRecordAgeInSeconds"].as_u64().context("no MaximumRecordAgeInSeconds")?;
    Ok(StreamSource {
        table,
        batch_size: i32::try_from(properties["BatchSize"].as_i64().unwrap_or(100))?,
        record_age_max: Duration::from_secs(record_age_max),
        discarded_queue: resource_of_arn(destination).context("OnFailure.Destination is not `!GetAtt ….Arn`")?,
    })
}

/// The property that holds the expression: `Schedule` and `ScheduleV2` events name it differently.
fn schedule_key(schedule: &Value) -> &'static str {
    if schedule["Schedule"].is_null() { "ScheduleExpression" } else { "Schedule" }
}

/// Reads the interval of `rate(5 minutes)`. The number may be a parameter, `!Sub rate(${Minutes} minutes)`, of which the
/// default counts.
fn rate(expression: &Value, parameters: &BTreeMap<String, String>) -> Result<Duration> {
    let (text, is_sub) = match expression {
        Value::Tagged(tagged) => (tagged.value.as_str(), tagged.tag == "Sub"),
        other => (other.as_str(), false),
    };
    let words = text.and_then(|text| text.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' '));
    let (number, unit) = words.context("the schedule is not `rate(…)`")?;
    let parameter = number.strip_prefix("${").and_then(|number| number.strip_suffix('}')).filter(|_| is_sub);
    let number = match parameter {
        Some(name) => parameters.get(name).with_context(|| format!("the parameter {name} has no default"))?,
        None => number,
    };
    let unit = match unit.trim_end_matches('s') {
        "minute" => 60,
        "hour" => 60 * 60,
        "day" => 24 * 60 * 60,
        other => bail!("the schedule has the unknown unit {other}"),
    };
    Ok(Duration::from_secs(unit * number.parse::<u64>()?))
}

/// The local name of a resource: `CleanupDeadLetterQueue` becomes `cleanup-dead-letter`.
fn local_name(logical_id: &str, kind: &str) -> Result<String> {
    let Some(stem) = logical_id.strip_suffix(kind).filter(|stem| !stem.is_empty()) else {
        bail!("the name does not end in {kind}")
    };
    let mut name = String::new();
    for letter in stem.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    Ok(name)
}
