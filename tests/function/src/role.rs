//! What the roles of template.yaml allow, read without the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use serde_yaml_ng::{Mapping, Value};

/// Calls with the resource: `dynamodb:PutItem CustomersTable`.
pub type Calls = BTreeSet<String>;

/// What the role of a function allows.
#[derive(Default)]
pub struct Role {
    /// Calls that it always allows.
    pub calls: Calls,
    /// Further calls that it allows under a condition of the template.
    pub calls_on_condition: BTreeMap<String, Calls>,
    /// Calls of KMS that it allows under a condition of the template: with a key of the user.
    pub keys_on_condition: BTreeMap<String, KeyUse>,
    /// For each call of the table: patterns of the keys that it allows. Without a pattern it allows all keys.
    pub leading_keys: BTreeMap<String, Vec<String>>,
}

/// What a role allows with a key.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The calls of KMS.
    pub calls: Calls,
    /// The services that may make them for the function.
    pub services: BTreeSet<String>,
}

/// The template with its tags.
#[must_use]
pub fn yaml() -> &'static Value {
    static YAML: LazyLock<Value> = LazyLock::new(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../template.yaml");
        serde_yaml_ng::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    });
    &YAML
}

/// The logical id of the function whose binary is `clientele-<name>`.
#[must_use]
pub fn function_id(name: &str) -> &'static str {
    let is_function =
        |resource: &Value| resource["Metadata"]["BuildProperties"]["Binary"] == format!("clientele-{name}");
    let resources = yaml()["Resources"].as_mapping().unwrap();
    let (id, _) = resources.iter().find(|(_, resource)| is_function(resource)).unwrap();
    id.as_str().unwrap()
}

/// The variables of a function that name a resource, with its logical id.
#[must_use]
pub fn resources_in_environment(function: &str) -> BTreeMap<&'static str, String> {
    let resources = yaml()["Resources"].as_mapping().unwrap();
    let variables = [&yaml()["Globals"]["Function"], &yaml()["Resources"][function]["Properties"]];
    let variables = variables.into_iter().flat_map(|it| it["Environment"]["Variables"].as_mapping().unwrap());
    let variables = variables.filter(|(_, value)| matches!(value, Value::Tagged(_)));
    let variables = variables.map(|(name, value)| (name.as_str().unwrap(), logical_id(value)));
    variables.filter(|(_, id)| resources.contains_key(id.as_str())).collect()
}

/// The logical id in an expression such as `!Ref X` or `!GetAtt X.Arn`.
#[must_use]
pub fn logical_id(expression: &Value) -> String {
    let text = match expression {
        Value::Tagged(tagged) => tagged.value.as_str().unwrap_or_default(),
        other => other.as_str().unwrap(),
    };
    text.strip_suffix(".Arn").unwrap_or(text).to_owned()
}

/// The elements of a list; a value that is no list is its only element.
fn elements(value: &Value) -> &[Value] {
    value.as_sequence().map_or(std::slice::from_ref(value), Vec::as_slice)
}

impl Role {
    /// The role of a function, by the function's logical id.
    #[must_use]
    pub fn of(function: &str) -> Self {
        let properties = &yaml()["Resources"][function]["Properties"];
        assert!(properties["Policies"].is_null(), "{function}: its permissions are in its role");
        let role = &yaml()["Resources"][logical_id(&properties["Role"]).as_str()]["Properties"];
        assert!(role["ManagedPolicyArns"].is_null(), "managed policies allow more");
        let [policy] = &role["Policies"].as_sequence().unwrap()[..] else { panic!("one policy") };
        let mut role = Self::default();
        for statement in policy["PolicyDocument"]["Statement"].as_sequence().unwrap() {
            let Value::Tagged(tagged) = statement else {
                let allowed = role.allow(statement);
                role.calls.extend(allowed);
                continue;
            };
            let [condition, statement, otherwise] = &tagged.value.as_sequence().unwrap()[..] else { panic!("!If") };
            assert_eq!((tagged.tag.to_string().as_str(), logical_id(otherwise).as_str()), ("!If", "AWS::NoValue"));
            let (condition, allowed) = (logical_id(condition), calls(statement));
            if allowed.iter().any(|call| call.starts_with("kms:")) {
                let of_key = KeyUse { calls: allowed, services: key_services(&statement["Condition"]) };
                assert_eq!(role.keys_on_condition.insert(condition, of_key), None);
            } else {
                let allowed = role.allow(statement);
                role.calls_on_condition.entry(condition).or_default().extend(allowed);
            }
        }
        role
    }

    /// The calls of a statement. Notes which keys of the table it allows.
    fn allow(&mut self, statement: &Value) -> Calls {
        let allowed = calls(statement);
        if allowed.iter().any(|call| call.starts_with("dynamodb:")) {
            let patterns = leading_keys(&statement["Condition"]);
            self.leading_keys.extend(allowed.iter().map(|call| (call.clone(), patterns.clone())));
        } else {
            assert!(statement["Condition"].is_null());
        }
        allowed
    }

    /// All calls, under whatever conditions.
    #[must_use]
    pub fn all_calls(&self) -> Calls {
        self.calls.iter().chain(self.calls_on_condition.values().flatten()).cloned().collect()
    }
}

fn calls(statement: &Value) -> Calls {
    assert_eq!(statement["Effect"], "Allow");
    assert!(statement["NotAction"].is_null() && statement["NotResource"].is_null());
    let actions = elements(&statement["Action"]).iter().map(|action| action.as_str().unwrap());
    let resources = elements(&statement["Resource"]).iter().map(logical_id);
    resources.flat_map(|resource| actions.clone().map(move |action| format!("{action} {resource}"))).collect()
}

/// The patterns in the condition of a statement. A request without a key must not fulfil the condition, and `ForAllValues`
/// alone would let it.
fn leading_keys(condition: &Value) -> Vec<String> {
    const KEY: &str = "dynamodb:LeadingKeys";
    let Some(condition) = condition.as_mapping() else { return vec![] };
    assert_eq!(names(condition), ["ForAllValues:StringLike", "Null"]);
    assert_eq!(condition["Null"], serde_yaml_ng::from_str::<Value>(&format!(r#"{{ {KEY}: "false" }}"#)).unwrap());
    let patterns = condition["ForAllValues:StringLike"].as_mapping().unwrap();
    assert_eq!(names(patterns), [KEY]);
    elements(&patterns[KEY]).iter().map(|pattern| pattern.as_str().unwrap().to_owned()).collect()
}

/// The services in the condition of a statement about the key.
fn key_services(condition: &Value) -> BTreeSet<String> {
    const KEY: &str = "kms:ViaService";
    let condition = condition.as_mapping().expect("a condition");
    assert_eq!(names(condition), ["StringEquals"]);
    let services = condition["StringEquals"].as_mapping().unwrap();
    assert_eq!(names(services), [KEY]);
    let service = |endpoint| logical_id(endpoint).strip_suffix(".${AWS::Region}.${AWS::URLSuffix}").unwrap().to_owned();
    elements(&services[KEY]).iter().map(service).collect()
}

fn names(mapping: &Mapping) -> Vec<&str> {
    mapping.keys().map(|name| name.as_str().unwrap()).collect()
}
