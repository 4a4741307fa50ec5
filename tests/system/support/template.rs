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

/// The template without its tags: `!Ref X` is `"X"`.
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

/// The body of the dashboard. References are replaced by their names, and conditional alarms are left out.
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

/// Calls with the resource: `dynamodb:PutItem CustomersTable`.
pub(crate) type Calls = BTreeSet<String>;

/// The logical id in an expression such as `!Ref X`.
pub(crate) fn logical_id(expression: &Yaml) -> String {
    match expression {
        Yaml::Tagged(tagged) => {
            let name = tagged.value.as_str().unwrap();
            name.strip_suffix(".Arn").unwrap_or(name).to_owned()
        }
        other => other.as_str().unwrap().to_owned(),
    }
}

/// The elements of a list; a value that is no list is its only element.
fn elements(value: &Yaml) -> &[Yaml] {
    value.as_sequence().map_or(std::slice::from_ref(value), Vec::as_slice)
}

/// The calls that the role of a function allows always, and those that it allows under a condition of the template.
pub(crate) fn allowed(function: &str) -> (Calls, BTreeMap<String, Calls>) {
    let yaml = yaml();
    let properties = &yaml["Resources"][function]["Properties"];
    assert!(properties["Policies"].is_null(), "{function}: its permissions are in its role");
    let role = logical_id(&properties["Role"]);
    let role = &yaml["Resources"][role.as_str()]["Properties"];
    assert!(role["ManagedPolicyArns"].is_null(), "managed policies allow more");
    let [policy] = &role["Policies"].as_sequence().unwrap()[..] else { panic!("one policy") };
    let (mut always, mut on_condition) = (Calls::new(), BTreeMap::<_, Calls>::new());
    for statement in policy["PolicyDocument"]["Statement"].as_sequence().unwrap() {
        let (statement, calls) = match statement {
            Yaml::Tagged(tagged) => {
                let [condition, statement, otherwise] = &tagged.value.as_sequence().unwrap()[..] else { panic!("!If") };
                assert_eq!((tagged.tag.to_string().as_str(), logical_id(otherwise).as_str()), ("!If", "AWS::NoValue"));
                (statement, on_condition.entry(logical_id(condition)).or_default())
            }
            statement => (statement, &mut always),
        };
        assert_eq!(statement["Effect"], "Allow");
        assert!(statement["Condition"].is_null() && statement["NotAction"].is_null());
        for resource in elements(&statement["Resource"]).iter().map(logical_id) {
            let actions = elements(&statement["Action"]).iter().map(|action| action.as_str().unwrap());
            calls.extend(actions.map(|action| format!("{action} {resource}")));
        }
    }
    (always, on_condition)
}
