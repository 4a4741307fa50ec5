//! What a deployment keeps, replaces, rejects and rolls back, and that every name derived from the stack's name fits.

use std::collections::{BTreeMap, BTreeSet};

use clientele_flow::deadlines::CHANGE_AGE_MAX;
use clientele_function::role::yaml;
use clientele_providers::PROVIDERS;
use rstest::rstest;
use serde_json::{Value, json};
use serde_yaml_ng::Value as Yaml;

use crate::support::root;
use crate::support::template::{is_receiver, resources, template};

/// The longest name of a stack that docs/deploy.md allows.
const STACK_NAME_CHARS_MAX: usize = 71;

/// What CloudFormation and Secrets Manager append to names that they generate, with hyphens.
const GENERATED_SUFFIX: &str = "-ABCDEFGHIJKLM";
const SECRET_SUFFIX: &str = "-ABCDEFGHIJKL-AbCdEf";

/// The characters that AWS allows in the names that are derived from the stack's name, by property.
const NAME_CHARS_MAX: [(&str, usize); 9] = [
    // <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_CreateEventBus.html>
    ("Name", 256),
    // <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsRequestEntry.html>
    ("CHANGE_SOURCE", 256),
    // <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html>
    ("QueueName", 80),
    // <https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html>
    ("DisplayName", 100),
    // <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutDashboard.html>
    ("DashboardName", 255),
    // <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html>
    ("Namespace", 255),
    ("POWERTOOLS_METRICS_NAMESPACE", 255),
    // <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html>
    ("LogGroupName", 512),
    // The ARN of a queue whose name is above.
    ("sourceQueueArns", usize::MAX),
];

/// Every text that contains the stack's name, with the property that it belongs to.
fn derived_names(property: &str, value: &Yaml, names: &mut Vec<(String, String)>) {
    match value {
        Yaml::Mapping(fields) => fields.iter().for_each(|(name, value)| {
            derived_names(name.as_str().unwrap(), value, names);
        }),
        Yaml::Sequence(elements) => elements.iter().for_each(|value| derived_names(property, value, names)),
        Yaml::Tagged(tagged) if tagged.tag == "Ref" && tagged.value == "AWS::StackName" => {
            names.push((property.to_owned(), "${AWS::StackName}".to_owned()));
        }
        Yaml::Tagged(tagged) => derived_names(property, &tagged.value, names),
        Yaml::String(text) if text.contains("${AWS::StackName}") => names.push((property.to_owned(), text.clone())),
        _ => {}
    }
}

/// The properties whose names are too long for a stack name of so many characters.
fn too_long_with(stack_name_chars: usize) -> BTreeSet<String> {
    let mut names = vec![];
    for (id, resource) in yaml()["Resources"].as_mapping().unwrap() {
        // Its body only shows the name.
        if id != "Dashboard" {
            derived_names("", resource, &mut names);
        }
    }
    derived_names("", &yaml()["Globals"], &mut names);
    assert!(names.len() > 20, "{names:?}");
    names.push(("DashboardName".to_owned(), "${AWS::StackName}".to_owned()));
    let limits = BTreeMap::from(NAME_CHARS_MAX);
    let stack_name = "s".repeat(stack_name_chars);
    let too_long = names.into_iter().filter(|(property, name)| {
        let limit = limits.get(property.as_str()).unwrap_or_else(|| panic!("the limit of {property} is unknown"));
        name.replace("${AWS::StackName}", &stack_name).len() > *limit
    });
    too_long.map(|(property, _)| property).collect()
}

#[test]
fn every_name_fits_the_longest_stack_name() {
    assert_eq!(resources("AWS::CloudWatch::Dashboard")["Dashboard"]["DashboardName"], "AWS::StackName");
    assert_eq!(too_long_with(STACK_NAME_CHARS_MAX), BTreeSet::new());
    assert_eq!(too_long_with(STACK_NAME_CHARS_MAX + 1), BTreeSet::from(["QueueName".to_owned()]));
    let page = std::fs::read_to_string(root("docs/deploy.md")).unwrap();
    assert!(page.contains(&format!("at most {STACK_NAME_CHARS_MAX} characters")), "docs/deploy.md names the maximum");
}

/// The text of a function's `VersionDescription`, and what its own names stand for.
fn version_description(function: &Value) -> (String, BTreeMap<String, Value>) {
    match &function["VersionDescription"] {
        Value::Array(parts) => {
            let names = parts[1].as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.clone()));
            (parts[0].as_str().unwrap().to_owned(), names.collect())
        }
        text => (text.as_str().unwrap().to_owned(), BTreeMap::new()),
    }
}

/// The parameters that a value depends on, directly or through a condition.
fn parameters_in(value: &Value) -> Vec<&str> {
    match value {
        Value::String(name) if template()["Parameters"][name].is_object() => vec![name],
        Value::String(name) => parameters_in(&template()["Conditions"][name]),
        Value::Array(parts) => parts.iter().flat_map(parameters_in).collect(),
        _ => vec![],
    }
}

/// A new value of a parameter, another table or another secret only reaches the alias if the description of the version
/// contains it.
#[test]
fn what_a_function_depends_on_is_in_its_version() {
    let globals = &template()["Globals"]["Function"];
    for (id, function) in resources("AWS::Serverless::Function") {
        let (description, names) = version_description(&function);
        let variables = [&globals["Environment"]["Variables"], &function["Environment"]["Variables"]];
        let values = variables.into_iter().flat_map(|it| it.as_object().unwrap().values());
        let values = values.chain([&globals["Architectures"][0], &globals["Tracing"]]);
        for parameter in values.flat_map(parameters_in) {
            let is_named = names.values().flat_map(parameters_in).any(|named| named == parameter);
            assert!(is_named || description.contains(&format!("${{{parameter}}}")), "{id}: {parameter}");
        }
        assert!(description.contains("${CustomersTable}"), "{id}");
        // The secrets of `reconcile` are created and removed together with it.
        let secret = function["Environment"]["Variables"]["WEBHOOK_SECRET_ARN"].as_str();
        // The name of the secret in its ARN.
        let secret = secret.map(|secret| ("Secret".to_owned(), json!([6, [":", secret]])));
        let receipts = function["Environment"]["Variables"]["AWAIT_RECEIPTS"].as_array();
        let receipts = receipts.map(|_| ("Receipts".to_owned(), json!(["AwaitsReceipts", "r", ""])));
        let expected: BTreeMap<_, _> = secret.into_iter().chain(receipts).collect();
        assert_eq!(names, expected, "{id}");
        for name in ["Secret", "Receipts"] {
            assert_eq!(description.contains(&format!("${{{name}}}")), names.contains_key(name), "{id}: {name}");
        }
    }
}

/// The longest value of a parameter.
fn longest(parameter: &Value) -> usize {
    let allowed = parameter["AllowedValues"].as_array();
    let length = |value: &Value| value.as_str().map_or_else(|| value.to_string().len(), str::len);
    let longest_allowed = allowed.and_then(|values| values.iter().map(length).max());
    let most_digits = || parameter["MaxValue"].as_u64().map(|max| max.to_string().len());
    let max_length = || parameter["MaxLength"].as_u64().map(|max| usize::try_from(max).unwrap());
    longest_allowed.or_else(max_length).or_else(most_digits).unwrap_or("4294967295".len())
}

/// Lambda allows 256 characters (<https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html>).
#[test]
fn version_descriptions_fit() {
    for (id, function) in resources("AWS::Serverless::Function") {
        let (description, _) = version_description(&function);
        let mut pieces = description.split("${");
        let mut chars = pieces.next().unwrap().len();
        for piece in pieces {
            let (name, after) = piece.split_once('}').unwrap();
            chars += after.len();
            chars += match name {
                "CustomersTable" => STACK_NAME_CHARS_MAX + "-CustomersTable".len() + GENERATED_SUFFIX.len(),
                "Receipts" => "r".len(),
                "Secret" => id.replace("Function", "Secret").len() + SECRET_SUFFIX.len(),
                parameter => longest(&template()["Parameters"][parameter]),
            };
        }
        assert!(chars <= 256, "{id}: {chars}");
    }
}

/// Only alarms of the function itself: a merged alarm would roll back every function when one fails. Without them, the
/// list contains `AWS::NoValue`, which SAM turns into an empty alarm configuration.
#[test]
fn a_function_is_rolled_back_by_its_own_alarms() {
    for (id, function) in resources("AWS::Serverless::Function") {
        let kinds = if is_receiver(&function) { &["Errors", "Unavailable"][..] } else { &["Errors"] };
        let alarms: Vec<_> = kinds.iter().map(|kind| id.replace("Function", kind) + "Alarm").collect();
        let expected = json!(["RollsBackOnAlarms", alarms, ["AWS::NoValue"]]);
        assert_eq!(function["DeploymentPreference"]["Alarms"], expected, "{id}");
        // A deployment group without its function would name an alarm that does not exist, and CloudFormation would reject
        // the whole stack.
        let is_conditional = !template()["Resources"][&id]["Condition"].is_null();
        let passes_condition = function["DeploymentPreference"]["PassthroughCondition"] == true;
        assert_eq!(passes_condition, is_conditional, "{id}");
    }
    let condition: Yaml = serde_yaml_ng::from_str("!Equals [!Ref RollBackOnAlarms, 'true']").unwrap();
    assert_eq!(yaml()["Conditions"]["RollsBackOnAlarms"], condition);
    assert_eq!(template()["Parameters"]["RollBackOnAlarms"]["Default"], "true");
}

/// CloudFormation writes `SecretString` when a secret is created and when the template's value changes; it never reads
/// the value that `secrets add` stored. So an edit of this value, or another logical id or name, would replace the
/// secrets that are in use. If this test fails, undo the edit.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-secretsmanager-secret.html>
#[test]
fn the_initial_value_of_a_secret_is_never_edited() {
    let secrets = resources("AWS::SecretsManager::Secret");
    let of_webhooks = ["FlexpriceSecret", "MetrifoxSecret", "PlainSecret", "SmarterPaySecret"];
    assert_eq!(of_webhooks.len(), PROVIDERS.len());
    let of_apis = ["FlexpriceApiKeySecret", "PlainApiKeySecret"];
    let ids: BTreeSet<_> = of_webhooks.into_iter().chain(of_apis).collect();
    assert_eq!(secrets.keys().map(String::as_str).collect::<BTreeSet<_>>(), ids);
    for (id, mut secret) in secrets {
        secret.as_object_mut().unwrap().remove("Description").unwrap();
        let key = json!(["HasOwnKey", "KmsKeyArn", "AWS::NoValue"]);
        assert_eq!(secret, json!({ "SecretString": "[]", "KmsKeyId": key }), "{id}");
    }
}

#[test]
fn the_table_outlives_the_stack_that_used_it() {
    let table = &template()["Resources"]["CustomersTable"];
    assert_eq!(table["DeletionPolicy"], "RetainExceptOnCreate");
    assert_eq!(table["UpdateReplacePolicy"], "Retain");
    assert_eq!(table["Properties"]["DeletionProtectionEnabled"], "TableDeletionProtection");
    let recovery = json!({ "PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": "RecoveryPeriodDays" });
    assert_eq!(table["Properties"]["PointInTimeRecoverySpecification"], recovery);
    let days = &template()["Parameters"]["RecoveryPeriodDays"];
    assert_eq!([&days["MinValue"], &days["Default"], &days["MaxValue"]], [1, 35, 35]);
}

/// Every parameter and output is explained, and no secret is in the environment of a deployed function.
#[test]
fn parameters_are_explained() {
    let template = template();
    assert_eq!(template["Globals"]["Function"]["Environment"]["Variables"]["WEBHOOK_SECRETS"], "");
    let reconcile = &template["Resources"]["ReconcileFunction"]["Properties"]["Environment"]["Variables"];
    assert_eq!([&reconcile["PLAIN_API_KEY"], &reconcile["FLEXPRICE_API_KEY"]], ["", ""]);
    let interface = &template["Metadata"]["AWS::CloudFormation::Interface"];
    let grouped: Vec<_> = interface["ParameterGroups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["Parameters"].as_array().unwrap())
        .map(|name| name.as_str().unwrap())
        .collect();
    let page = std::fs::read_to_string(root("docs/deploy.md")).unwrap();
    let functions = resources("AWS::Serverless::Function");
    let explained = |name: &str| {
        let mut of_a_provider = functions.keys().filter_map(|id| name.strip_prefix(id.strip_suffix("Function")?));
        page.contains(&format!("`{name}`")) || of_a_provider.any(|rest| page.contains(&format!("`<Provider>{rest}`")))
    };
    for (name, parameter) in template["Parameters"].as_object().unwrap() {
        assert!(parameter["Description"].is_string() && interface["ParameterLabels"][name].is_object(), "{name}");
        assert_eq!(grouped.iter().filter(|grouped| *grouped == name).count(), 1, "{name}");
        assert!(explained(name), "docs/deploy.md does not explain {name}");
    }
    for (name, _) in template["Outputs"].as_object().unwrap() {
        assert!(explained(name), "docs/deploy.md does not name the output {name}");
    }
}

/// CloudFormation rejects these before it changes anything.
#[rstest]
#[case("DomainNameNeedsCertificate", "!Not [!Equals [!Ref DomainName, '']]", &["CertificateArn"])]
#[case("ClosedDefaultAddressNeedsDomainName", "!Equals [!Ref DisableExecuteApi, 'true']", &["DomainName"])]
#[case("RequiredPlainDomainNameNeedsPlainDomainName", "!Equals [!Ref RequirePlainDomainName, 'true']", &["PlainDomainName"])]
#[case("AlarmEmailIsRequired", "!Equals [!Ref RequireAlarmEmail, 'true']", &["AlarmEmail"])]
fn parameters_that_need_others(#[case] rule: &str, #[case] condition: &str, #[case] needed: &[&str]) {
    let rule = &yaml()["Rules"][rule];
    assert_eq!(rule["RuleCondition"], serde_yaml_ng::from_str::<Yaml>(condition).unwrap());
    let assertions = rule["Assertions"].as_sequence().unwrap().iter().map(|assertion| assertion["Assert"].clone());
    let is_set = |name| serde_yaml_ng::from_str::<Yaml>(&format!("!Not [!Equals [!Ref {name}, '']]")).unwrap();
    assert_eq!(assertions.collect::<Vec<_>>(), needed.iter().map(is_set).collect::<Vec<_>>());
}

/// Without both images, `changes` could not tell what has changed.
#[test]
fn a_change_feed_needs_both_images() {
    let rule: Yaml = serde_yaml_ng::from_str(
        "
        RuleCondition: !Not [!Equals [!Ref ChangeFeed, 'off']]
        Assertions:
          - Assert: !Equals [!Ref TableStream, NEW_AND_OLD_IMAGES]
            AssertDescription: ChangeFeed=keys and ChangeFeed=full require TableStream=NEW_AND_OLD_IMAGES.",
    )
    .unwrap();
    assert_eq!(yaml()["Rules"]["ChangeFeedNeedsBothImages"], rule);
    let parameters = &template()["Parameters"];
    assert_eq!(parameters["ChangeFeed"]["AllowedValues"], json!(["off", "keys", "full"]));
    assert_eq!(parameters["ChangeFeed"]["Default"], "keys");
    assert_eq!(parameters["TableStream"]["Default"], "NEW_AND_OLD_IMAGES");
    let text = std::fs::read_to_string(root("template.yaml")).unwrap();
    let words = |line: &str| line.split([' ', ',', '[', ']']).any(|word| word == "off");
    let unquoted: Vec<_> = text.lines().filter(|line| line.contains("ChangeFeed") && words(line)).collect();
    assert_eq!(unquoted, [] as [&str; 0], "YAML 1.1, which SAM reads, takes `off` for false");
}

/// With `ChangeFeed=off`, nothing of the feed exists, and no role may do anything for it.
#[test]
fn without_a_change_feed_nothing_of_it_exists() {
    let all = template()["Resources"].as_object().unwrap();
    let mut conditional: Vec<_> = all.iter().filter(|(id, _)| id.contains("Change")).collect();
    conditional.retain(|(id, resource)| {
        assert_eq!(resource["Condition"], "FeedsChanges", "{id}");
        !resource["Type"].as_str().unwrap().ends_with("Alarm")
    });
    let ids: Vec<_> = conditional.into_iter().map(|(id, _)| id.as_str()).collect();
    let expected = ["ChangeQueuesPolicy", "ChangesBus", "ChangesFunction", "ChangesLogGroup", "ChangesRole"];
    assert_eq!(ids, [&expected[..], &["DiscardedChangesQueue", "RefusedChangesQueue"]].concat());
    let with_condition = all.values().filter(|resource| resource["Condition"] == "FeedsChanges").count();
    assert_eq!(with_condition, ids.len() + 5, "and five alarms");
    let outputs = ["ChangesBusName", "ChangesBusArn", "RefusedChangesQueueUrl", "DiscardedChangesQueueUrl"];
    for output in outputs {
        assert_eq!(template()["Outputs"][output]["Condition"], "FeedsChanges", "{output}");
    }
    assert!(template()["Outputs"]["ChangeFeed"]["Condition"].is_null());
    let condition = |text: &str| serde_yaml_ng::from_str::<Yaml>(text).unwrap();
    let conditions = &yaml()["Conditions"];
    assert_eq!(conditions["FeedsChanges"], condition("!Not [!Equals [!Ref ChangeFeed, 'off']]"));
    let with_own_key = condition("!And [!Condition HasOwnKey, !Equals [!Ref ChangeFeed, full]]");
    assert_eq!(conditions["EncryptsBusWithOwnKey"], with_own_key);
}

/// Without `ErasureSystems`, nothing of the receipts exists, and no role may do anything for them.
#[test]
fn without_systems_nothing_of_receipts_exists() {
    let all = template()["Resources"].as_object().unwrap();
    let conditional: Vec<_> = all.iter().filter(|(_, it)| it["Condition"] == "AwaitsReceipts").collect();
    let ids: Vec<_> = conditional.iter().map(|(id, _)| id.as_str()).collect();
    let of_receipts = |id: &&String| id.contains("Receipt") || id.contains("Erasure");
    assert_eq!(ids, all.keys().filter(of_receipts).collect::<Vec<_>>());
    assert_eq!(ids.len(), 11);
    for output in ["ReceiptsQueueUrl", "ReceiptsQueueArn", "ReceiptsDeadLetterQueueUrl"] {
        assert_eq!(template()["Outputs"][output]["Condition"], "AwaitsReceipts", "{output}");
    }
    let condition = |text: &str| serde_yaml_ng::from_str::<Yaml>(text).unwrap();
    assert_eq!(yaml()["Conditions"]["AwaitsReceipts"], condition("!Not [!Equals [!Ref ErasureSystems, '']]"));
    let parameters = &template()["Parameters"];
    assert_eq!(
        [&parameters["ErasureSystems"]["Default"], &parameters["OpenErasureDays"]["Default"]],
        [&json!(""), &json!(25)]
    );
}

/// Lambda reads the stream from its oldest change, and never drops one without keeping its position.
#[test]
fn changes_are_read_from_the_stream() {
    let function = &resources("AWS::Serverless::Function")["ChangesFunction"];
    let stream = json!({ "Changes": { "Type": "DynamoDB", "Properties": {
        "Stream": "CustomersTable.StreamArn",
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 100,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
        "BisectBatchOnFunctionError": true,
        "MaximumRecordAgeInSeconds": CHANGE_AGE_MAX.as_secs(),
        "DestinationConfig": { "OnFailure": { "Destination": "DiscardedChangesQueue.Arn" } },
        "Enabled": ["IsStopped", false, true],
    } } });
    assert_eq!(function["Events"], stream);
    assert_eq!(function["ReservedConcurrentExecutions"], "AWS::NoValue");
    let bus = json!({
        "Name": "${AWS::StackName}-changes",
        "Description": "Changes of customers",
        "KmsKeyIdentifier": ["EncryptsBusWithOwnKey", "KmsKeyArn", "AWS::NoValue"],
        "DeadLetterConfig": ["EncryptsBusWithOwnKey", { "Arn": "DiscardedChangesQueue.Arn" }, "AWS::NoValue"],
    });
    assert_eq!(resources("AWS::Events::EventBus"), BTreeMap::from([("ChangesBus".to_owned(), bus)]));
}

#[test]
fn production_requires_an_address_for_alarms() {
    let config = std::fs::read_to_string(root("samconfig.toml")).unwrap();
    let (others, production) = config.split_once("[prod.deploy.parameters]").unwrap();
    assert!(production.contains("\"RequireAlarmEmail=true\"") && !others.contains("RequireAlarmEmail"));
    assert_eq!(template()["Parameters"]["RequireAlarmEmail"]["Default"], "false");
}

#[test]
fn routes_are_throttled_by_default() {
    let (_, api) = resources("AWS::Serverless::HttpApi").pop_first().unwrap();
    let settings = json!({ "ThrottlingRateLimit": "ThrottleRate", "ThrottlingBurstLimit": "ThrottleBurst" });
    assert_eq!(api["DefaultRouteSettings"], settings);
    let default = |name: &str| &template()["Parameters"][name]["Default"];
    assert_eq!([default("ThrottleRate"), default("ThrottleBurst")], [50, 100]);
}

/// While there are no reconciliations, nothing of them exists, and no role may do anything for them.
#[test]
fn without_an_interval_nothing_of_a_reconciliation_exists() {
    let all = template()["Resources"].as_object().unwrap();
    let is_of_reconciliation = |id: &str| ["Reconcile", "ApiKey", "LostWebhooks"].iter().any(|part| id.contains(part));
    let conditional: Vec<_> = all.iter().filter(|(id, _)| is_of_reconciliation(id)).collect();
    assert_eq!(conditional.len(), 9);
    for (id, resource) in conditional {
        assert_eq!(resource["Condition"], "Reconciles", "{id}");
    }
    let conditions = &yaml()["Conditions"];
    let condition = |text: &str| serde_yaml_ng::from_str::<Yaml>(text).unwrap();
    assert_eq!(conditions["Reconciles"], condition("!Not [!Equals [!Ref ReconcileIntervalMinutes, 0]]"));
    let applies = "!And [!Condition Reconciles, !Equals [!Ref ReconcileDeletes, apply]]";
    assert_eq!(conditions["AppliesDeletes"], condition(applies));
    assert_eq!(template()["Parameters"]["ReconcileDeletes"]["Default"], "report");
}
