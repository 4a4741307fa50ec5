//! template.yaml, read without the code under test.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use clientele_function::role::yaml;
use serde_json::{Map, Value};
use serde_yaml_ng::Value as Yaml;

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

/// Whether webhooks come to the function.
pub(crate) fn is_receiver(function: &Value) -> bool {
    function["Events"].as_object().unwrap().values().any(|event| event["Type"] == "HttpApi")
}

/// The body of the dashboard. References are replaced by their names, and what exists under a condition only is left out.
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
