//! template.yaml, read without the code under test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::{Map, Value};
use serde_yaml_ng::Value as Yaml;

use crate::support::root;

/// The template with its tags.
pub(crate) fn yaml() -> &'static Yaml {
    static YAML: LazyLock<Yaml> =
        LazyLock::new(|| serde_yaml_ng::from_str(&std::fs::read_to_string(root("template.yaml")).unwrap()).unwrap());
    &YAML
}

/// The template without its tags: `!Ref X` is `"X"`. Read without the code under test.
pub(crate) fn template() -> &'static Value {
    static TEMPLATE: LazyLock<Value> = LazyLock::new(|| plain(yaml().clone()));
    &TEMPLATE
}

fn plain(value: Yaml) -> Value {
    match value {
        Yaml::Tagged(tagged) => plain(tagged.value),
        Yaml::Sequence(elements) => elements.into_iter().map(plain).collect(),
        Yaml::Mapping(fields) => {
            let fields = fields.into_iter().map(|(name, value)| (name.as_str().unwrap().to_owned(), plain(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        other => serde_json::to_value(other).unwrap(),
    }
}

/// The properties of the resources of a type.
pub(crate) fn resources(kind: &str) -> BTreeMap<String, Value> {
    let template = template();
    let of_kind = template["Resources"].as_object().unwrap().iter().filter(|(_, resource)| resource["Type"] == kind);
    of_kind.map(|(name, resource)| (name.clone(), resource["Properties"].clone())).collect()
}

/// The body of the dashboard, with names for what CloudFormation puts in; alarms that may not be there are not.
pub(crate) fn dashboard() -> Value {
    let (_, dashboard) = resources("AWS::CloudWatch::Dashboard").pop_first().unwrap();
    let [body, optional] = &dashboard["DashboardBody"].as_array().unwrap()[..] else { panic!("a text and a map") };
    let mut body = body.as_str().unwrap().to_owned();
    for name in optional.as_object().unwrap().keys() {
        body = body.replace(&format!("${{{name}}}"), "");
    }
    let mut pieces = body.split("${");
    let mut plain = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (name, after) = piece.split_once('}').unwrap();
        plain += name;
        plain += after;
    }
    serde_json::from_str(&plain).unwrap()
}

/// What may be called on what: `dynamodb:PutItem CustomersTable`.
pub(crate) type Calls = BTreeSet<String>;

/// The logical id that an expression names.
pub(crate) fn logical_id(expression: &Yaml) -> String {
    match expression {
        Yaml::Tagged(tagged) => {
            let name = tagged.value.as_str().unwrap();
            name.strip_suffix(".Arn").unwrap_or(name).to_owned()
        }
        other => other.as_str().unwrap().to_owned(),
    }
}

fn list(value: &Yaml) -> Vec<String> {
    match value {
        Yaml::Sequence(actions) => actions.iter().map(|action| action.as_str().unwrap().to_owned()).collect(),
        action => vec![action.as_str().unwrap().to_owned()],
    }
}

/// What the role of a function allows, without an own key and with one.
pub(crate) fn allowed(function: &str) -> (Calls, Calls) {
    let yaml = yaml();
    let properties = &yaml["Resources"][function]["Properties"];
    assert!(properties["Policies"].is_null(), "{function}: its permissions are in its role");
    let role = logical_id(&properties["Role"]);
    let role = &yaml["Resources"][role.as_str()]["Properties"];
    assert!(role["ManagedPolicyArns"].is_null(), "managed policies allow more");
    let [policy] = &role["Policies"].as_sequence().unwrap()[..] else { panic!("one policy") };
    let (mut always, mut with_own_key) = (Calls::new(), Calls::new());
    for statement in policy["PolicyDocument"]["Statement"].as_sequence().unwrap() {
        let (statement, calls) = match statement {
            Yaml::Tagged(tagged) => {
                let condition = &tagged.value;
                assert_eq!((tagged.tag.to_string().as_str(), &condition[0]), ("!If", &Yaml::from("HasOwnKey")));
                assert_eq!(logical_id(&condition[2]), "AWS::NoValue");
                (&condition[1], &mut with_own_key)
            }
            statement => (statement, &mut always),
        };
        assert_eq!(statement["Effect"], "Allow");
        assert!(statement["Condition"].is_null() && statement["NotAction"].is_null());
        let on = logical_id(&statement["Resource"]);
        calls.extend(list(&statement["Action"]).iter().map(|action| format!("{action} {on}")));
    }
    (always, with_own_key)
}
