//! The local stack has the table, indexes, queues, routes and environments of template.yaml.

use std::collections::BTreeSet;
use std::time::Duration;

use clientele::stack::{LAMBDA_VARIABLES, LocalStack, StackOptions};
use clientele::template::Template;
use clientele_model::{MESSAGE_BYTES_MAX, Scheme, TokenPlace};
use clientele_providers::PROVIDERS;
use serde_json::Value;

use crate::support::template::{resources, template};
use crate::support::{root, stack, stack_with_template};

#[tokio::test]
async fn the_table_is_that_of_the_template() {
    let stack = stack().await;
    let tables = stack.clients.dynamodb.list_tables().send().await.unwrap().table_names.unwrap();
    assert_eq!(tables, ["customers"]);
    let described =
        stack.clients.dynamodb.describe_table().table_name("customers").send().await.unwrap().table.unwrap();
    let table = &resources("AWS::DynamoDB::Table")["CustomersTable"];
    let key = |schema: &Value| {
        let part =
            |part: &Value| format!("{} {}", part["AttributeName"].as_str().unwrap(), part["KeyType"].as_str().unwrap());
        schema.as_array().unwrap().iter().map(part).collect::<Vec<_>>()
    };
    let described_key = |schema: &[aws_sdk_dynamodb::types::KeySchemaElement]| {
        schema.iter().map(|part| format!("{} {}", part.attribute_name, part.key_type.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(described_key(described.key_schema()), key(&table["KeySchema"]));
    assert_eq!(stream_of(&stack).await, Some("NEW_AND_OLD_IMAGES".to_owned()), "the default of TableStream");
    let created: BTreeSet<_> = described
        .global_secondary_indexes()
        .iter()
        .map(|index| {
            let projection = index.projection().unwrap().projection_type().unwrap().as_str().to_owned();
            (index.index_name().unwrap().to_owned(), described_key(index.key_schema()), projection)
        })
        .collect();
    let in_template: BTreeSet<_> = table["GlobalSecondaryIndexes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|index| {
            let projection = index["Projection"]["ProjectionType"].as_str().unwrap().to_owned();
            (index["IndexName"].as_str().unwrap().to_owned(), key(&index["KeySchema"]), projection)
        })
        .collect();
    assert_eq!(created, in_template);
    // These are the indexes of the contract.
    let names: Vec<_> = in_template.iter().map(|(name, keys, _)| (name.as_str(), keys.join(", "))).collect();
    assert_eq!(
        names,
        [
            ("by-email", "email HASH".to_owned()),
            ("by-external-id", "external_id HASH".to_owned()),
            ("cleanup-due", "pk HASH, cleanup_due RANGE".to_owned()),
            ("erasure-open", "pk HASH, erasure_open RANGE".to_owned()),
        ]
    );
}

/// What the stream of the table contains.
async fn stream_of(stack: &LocalStack) -> Option<String> {
    let table = stack.clients.dynamodb.describe_table().table_name("customers").send().await.unwrap().table.unwrap();
    let stream = table.stream_specification.filter(|stream| stream.stream_enabled)?;
    Some(stream.stream_view_type?.as_str().to_owned())
}

/// A folder with a table of an earlier version gets the stream, and keeps its customers.
#[tokio::test]
async fn an_existing_table_gets_its_stream() {
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("template.yaml");
    let text = std::fs::read_to_string(root("template.yaml")).unwrap();
    let start = async |text: &str| {
        std::fs::write(&template, text).unwrap();
        let data_dir = Some(folder.path().join("data"));
        LocalStack::start(StackOptions { data_dir, ..StackOptions::ephemeral(template.clone()) }).await.unwrap()
    };
    let without = start(&text.replace("Default: NEW_AND_OLD_IMAGES", "Default: NONE")).await;
    assert_eq!(stream_of(&without).await, None);
    drop(without);
    assert_eq!(stream_of(&start(&text).await).await, Some("NEW_AND_OLD_IMAGES".to_owned()));
    assert_eq!(
        stream_of(&start(&text.replace("Default: NEW_AND_OLD_IMAGES", "Default: KEYS_ONLY")).await).await,
        Some("KEYS_ONLY".to_owned())
    );
}

/// Conditions may be combined, and a text may contain references.
#[test]
fn conditions_and_texts_with_references_are_resolved() {
    let text = std::fs::read_to_string(root("template.yaml")).unwrap();
    let with = |value: &str| {
        let text = text.replace("!Ref MaxBodyBytes", value).replace("\nConditions:\n", "\nConditions:\n  Both: !And [!Condition HasStream, !Not [!Condition IsStopped]]\n  One: !Or [!Condition HasOwnKey, !Condition HasFallbackKey]\n");
        let template = Template::parse(&text).unwrap();
        let resolve = |id: &str| (!template.parameters.contains_key(id)).then(|| format!("<{id}>"));
        template.environment(&template.functions[0], resolve).map(|mut it| it.remove("MAX_BODY_BYTES").unwrap()).ok()
    };
    for (value, expected) in [
        ("!If [Both, a, b]", Some("a")),
        ("!If [One, a, !If [Both, c, d]]", Some("c")),
        ("!Sub /x/${AWS::StackName}/${TableStream}.", Some("/x/<AWS::StackName>/NEW_AND_OLD_IMAGES.")),
        ("!Sub /x/${AWS::StackName", None),
        ("!If [Unknown, a, b]", None),
    ] {
        assert_eq!(with(value).as_deref(), expected, "{value}");
    }
}

#[tokio::test]
async fn the_queues_are_those_of_the_template() {
    let stack = stack().await;
    let queues: BTreeSet<_> = stack.queue_urls.keys().map(String::as_str).collect();
    let (of_changes, of_receipts) = (["discarded-changes", "refused-changes"], ["receipts", "receipts-dead-letter"]);
    assert_eq!(
        queues,
        of_changes
            .into_iter()
            .chain(of_receipts)
            .chain(["cleanup", "cleanup-dead-letter", "inbox", "quarantine"])
            .collect()
    );
    let queues_in_template = resources("AWS::SQS::Queue");
    assert_eq!(queues_in_template.len(), queues.len());
    for (id, properties) in &queues_in_template {
        let name =
            id.strip_suffix("Queue").unwrap().replace("DeadLetter", "-dead-letter").replace("Changes", "-changes");
        let url = &stack.queue_urls[&name.to_lowercase()];
        let request = stack.clients.sqs.get_queue_attributes().queue_url(url).attribute_names("All".into());
        let attributes = request.send().await.unwrap().attributes.unwrap();
        for name in ["VisibilityTimeout", "MessageRetentionPeriod", "MaximumMessageSize"] {
            assert_eq!(attributes[&name.into()], properties[name].as_u64().unwrap().to_string(), "{id}");
        }
        assert_eq!(properties["MaximumMessageSize"], MESSAGE_BYTES_MAX, "{id}: what is accepted must fit");
        let policy = attributes.get(&"RedrivePolicy".into());
        let policy = policy.map_or(Value::Null, |policy| serde_json::from_str(policy).unwrap());
        assert_eq!(policy["maxReceiveCount"], properties["RedrivePolicy"]["maxReceiveCount"], "{id}");
    }
}

#[tokio::test]
async fn functions_and_routes_are_those_of_the_template() {
    let stack = stack().await;
    let functions = resources("AWS::Serverless::Function");
    assert_eq!(functions.len(), stack.environments.len());
    assert!(stack.event_source_mapping.is_some() && stack.sweeper.is_some());
    let globals = template()["Globals"]["Function"]["Environment"]["Variables"].clone();
    for function in &stack.template.functions {
        let name = function.name.as_str();
        let own = functions[&function.logical_id]["Environment"]["Variables"].clone();
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let mut expected: BTreeSet<_> = names(&globals).union(&names(&own)).cloned().collect();
        expected.extend(LAMBDA_VARIABLES.map(|(name, _)| name.to_owned()));
        assert_eq!(stack.environments[name].keys().cloned().collect::<BTreeSet<_>>(), expected, "{name}");
        assert_eq!(stack.environments[name]["CUSTOMERS_TABLE"], "customers");
        assert!(stack.environments[name]["CLEANUP_QUEUE_URL"].ends_with("/cleanup"));
        let default = template()["Parameters"]["MaxBodyBytes"]["Default"].as_u64().unwrap().to_string();
        assert_eq!(stack.environments[name]["MAX_BODY_BYTES"], default);
    }
    let routes: BTreeSet<_> = stack.template.functions.iter().flat_map(|function| function.routes.clone()).collect();
    let routes: Vec<_> = routes.iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    let mut expected = vec![];
    for provider in PROVIDERS {
        expected.push(format!("POST /webhooks/{}", provider.name));
        if (provider.scheme)(None) == Ok(Scheme::Token(TokenPlace::Path)) {
            expected.push(format!("POST /webhooks/{}/{{token}}", provider.name));
        }
    }
    expected.sort();
    assert_eq!(routes, expected);
}

/// A changed name of an index, a queue or a route in the template changes the local stack.
#[tokio::test]
async fn a_changed_template_changes_the_stack() {
    let stack = stack_with_template(&[
        ("IndexName: by-email", "IndexName: by-letter"),
        ("InboxQueue", "LetterBoxQueue"),
        ("Path: /webhooks/plain", "Path: /letters/plain"),
    ])
    .await;
    let table = stack.clients.dynamodb.describe_table().table_name("customers").send().await.unwrap().table.unwrap();
    assert!(table.global_secondary_indexes().iter().any(|index| index.index_name() == Some("by-letter")));
    assert!(stack.environments["plain"]["INBOX_QUEUE_URL"].ends_with("/letter-box"));
    let (status, _) = crate::support::http::post(&stack, "/letters/plain", &[], "").await;
    assert_eq!(status, 401);
    let (status, _) = crate::support::http::post(&stack, "/webhooks/plain", &[], "").await;
    assert_eq!(status, 404);
}

/// Plain's function requires its domain name only if the parameter says so.
#[test]
fn a_required_domain_name_is_a_choice() {
    for (is_required, required) in [("false", ""), ("true", "plain.example.com")] {
        let mut template = Template::read(&root("template.yaml")).unwrap();
        let values = [("PlainDomainName", "plain.example.com"), ("RequirePlainDomainName", is_required)];
        template.parameters.extend(values.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let plain = template.functions.iter().find(|function| function.name == "plain").unwrap();
        let resource = |name: &str| (!template.parameters.contains_key(name)).then(String::new);
        assert_eq!(template.environment(plain, resource).unwrap()["REQUIRED_DOMAIN_NAME"], required);
    }
}

#[test]
fn an_unknown_reference_is_named() {
    let text = std::fs::read_to_string(root("template.yaml")).unwrap();
    let template = Template::parse(&text.replace("!Ref MaxBodyBytes", "!ImportValue limits")).unwrap();
    let error = template.environment(&template.functions[0], |_| Some(String::new())).unwrap_err();
    assert_eq!(error.to_string(), "MetrifoxFunction: MAX_BODY_BYTES has no local value");
}

/// The interval of a schedule may be a parameter, whose default counts. 0 is never.
#[test]
fn the_interval_of_a_schedule_may_be_a_parameter() {
    let text = std::fs::read_to_string(root("template.yaml")).unwrap();
    let with = |schedule: &str| Template::parse(&text.replace("Schedule: rate(5 minutes)", schedule));
    let every = |schedule: &str| {
        let template = with(schedule).unwrap();
        template.functions.iter().find(|function| function.name == "sweep").unwrap().every
    };
    assert_eq!(every("Schedule: rate(1 hour)"), Some(Duration::from_hours(1)));
    assert_eq!(every("Schedule: !Sub rate(${RefusedPerMinute} minutes)"), Some(Duration::from_mins(20)));
    assert_eq!(every("Schedule: !Sub rate(${PlainSilenceHours} hours)"), None);
    for unreadable in ["Schedule: rate(${RefusedPerMinute} minutes)", "Schedule: !Sub rate(${Unknown} minutes)"] {
        assert!(with(unreadable).is_err(), "{unreadable}");
    }
}
