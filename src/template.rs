//! template.yaml as the local stack reads it: the table, the queues, and each function's routes and environment.
//! What is deployed and what runs locally cannot differ, since there is nothing else to read.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_yaml_ng::{Mapping, Value};

/// The resources of template.yaml that the local stack makes.
#[derive(Debug)]
pub struct Template {
    /// DynamoDB tables.
    pub tables: Vec<Table>,
    /// SQS queues.
    pub queues: Vec<Queue>,
    /// Functions.
    pub functions: Vec<Function>,
    /// Defaults of the parameters.
    pub parameters: BTreeMap<String, String>,
    /// The memory of a function in MB.
    pub memory_mb: u32,
    /// How many resources there are of each type that are made without a condition.
    pub resources: BTreeMap<String, usize>,
}

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name on the local stack.
    pub name: String,
    /// Its keys and indexes.
    pub properties: TableProperties,
}

/// The keys and indexes of a table.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TableProperties {
    /// Types of the key attributes.
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

/// A part of a key.
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
    /// What it holds.
    pub projection: Projection,
}

/// What an index holds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Projection {
    /// `KEYS_ONLY` or `ALL`.
    pub projection_type: String,
}

/// A queue.
#[derive(Debug)]
pub struct Queue {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name on the local stack.
    pub name: String,
    /// The properties that are queue attributes, with their values as text.
    pub attributes: BTreeMap<String, String>,
}

/// A function.
#[derive(Debug)]
pub struct Function {
    /// Its name in the template.
    pub logical_id: String,
    /// The binary that it runs: `clientele-<provider>`.
    pub binary: String,
    /// What it is called for.
    pub routes: Vec<Route>,
    /// Its environment, the globals included, not resolved yet.
    pub environment: BTreeMap<String, Value>,
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

impl Template {
    /// Reads the file.
    ///
    /// # Errors
    /// When there is none, or it is not a template as ours is.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("cannot read {}: run from the project's root, or name it with --template", path.display())
        })?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Reads the text of a template.
    ///
    /// # Errors
    /// When it is not a template as ours is.
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
            memory_mb,
            resources: BTreeMap::new(),
        };
        let globals = &root["Globals"]["Function"]["Environment"]["Variables"];
        for (id, resource) in mapping(&root["Resources"]) {
            let kind = resource["Type"].as_str().unwrap_or_default();
            if resource["Condition"].is_null() {
                *template.resources.entry(kind.to_owned()).or_default() += 1;
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
                let properties = serde_yaml_ng::from_value(properties.clone())?;
                self.tables.push(Table { logical_id, name: local_name(id, "Table")?, properties });
            }
            "AWS::SQS::Queue" => {
                // Encryption has no meaning here, and a redrive policy names other queues.
                let known = ["VisibilityTimeout", "MessageRetentionPeriod", "DelaySeconds", "MaximumMessageSize"];
                let attributes = mapping(properties)
                    .filter(|(name, _)| known.contains(name))
                    .filter_map(|(name, value)| Some((name.to_owned(), scalar(value)?)))
                    .collect();
                self.queues.push(Queue { logical_id, name: local_name(id, "Queue")?, attributes });
            }
            "AWS::Serverless::Function" => {
                let binary = resource["Metadata"]["BuildProperties"]["Binary"].as_str();
                let binary = binary.context("no Metadata.BuildProperties.Binary")?.to_owned();
                let routes = mapping(&properties["Events"]).filter(|(_, event)| event["Type"] == "HttpApi");
                let routes = routes.map(|(_, event)| serde_yaml_ng::from_value(event["Properties"].clone()));
                let environment = mapping(globals).chain(mapping(&properties["Environment"]["Variables"]));
                let environment = environment.map(|(name, value)| (name.to_owned(), value.clone())).collect();
                self.functions.push(Function {
                    logical_id,
                    binary,
                    routes: routes.collect::<Result<_, _>>()?,
                    environment,
                });
            }
            _ => {}
        }
        Ok(())
    }

    /// The function's environment as text: `resolve` knows what a resource's `!Ref` is.
    ///
    /// # Errors
    /// When a value can be known to AWS only.
    pub fn environment(
        &self,
        function: &Function,
        resolve: impl Fn(&str) -> Option<String>,
    ) -> Result<BTreeMap<String, String>> {
        let text = |value: &Value| match value {
            Value::Tagged(tagged) if tagged.tag == "Ref" => {
                let name = tagged.value.as_str()?;
                resolve(name).or_else(|| self.parameters.get(name).cloned())
            }
            other => scalar(other),
        };
        let variables = function.environment.iter().map(|(name, value)| {
            let value = text(value).with_context(|| format!("{}: {name} has no local value", function.logical_id))?;
            Ok((name.clone(), value))
        });
        variables.collect()
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

/// `CleanupDeadLetterQueue` is `cleanup-dead-letter` locally.
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
