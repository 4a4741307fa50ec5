//! The flow of a delivery through the resources of template.yaml.
//!
//! The places are chosen by hand. Names and numbers come from the template. Some calls are left out: `replay` also sends
//! to the queues for deletes and for events that are not understood, as a receiver does.

use std::collections::BTreeSet;

use clientele_function::role::Role;
use serde_json::Value;

use super::drawing::{Anchor, Drawing, Kind};
use super::fonts::Font::{Code, Text, Title};
use crate::support::template::{is_receiver, resources};

const FAILURE: bool = true;

pub(super) fn drawing() -> Drawing {
    let mut drawing = Drawing::new(
        1200,
        924,
        "How a delivery becomes the state of a customer, and how other systems learn of it: the functions, the table, the \
         queues and the event bus of template.yaml",
    );
    deliveries(&mut drawing);
    deletes(&mut drawing);
    receipts(&mut drawing);
    kept_deliveries(&mut drawing);
    lost_deliveries(&mut drawing);
    changes(&mut drawing);
    legend(&mut drawing);
    drawing
}

/// From the providers to the table, and from there to the systems that use it.
fn deliveries(drawing: &mut Drawing) {
    let receivers = receivers();
    let mut lines = vec![(Title, "Providers")];
    lines.extend(receivers.iter().map(|id| (Text, id.strip_suffix("Function").unwrap())));
    drawing.text_box(Kind::Plain, [24, 302, 136, 116], [25, 17], &lines);
    drawing.text_box(
        Kind::Service,
        [24, 482, 136, 140],
        [25, 17],
        &[
            (Title, "API Gateway"),
            (Code, "Api"),
            (Text, "one route"),
            (Text, "per provider,"),
            (Text, "other paths: 404"),
        ],
    );
    drawing.text_box(Kind::Service, [236, 358, 136, 60], [25, 17], &[(Title, "Secrets"), (Text, "one per provider")]);
    let mut lines = vec![(Title, "Receivers"), (Text, "verify, translate, rank")];
    lines.extend(receivers.iter().map(|id| (Code, id.as_str())));
    drawing.text_box(Kind::Compute, [236, 482, 206, 140], [25, 17], &lines);
    drawing.text_box(
        Kind::Data,
        [560, 482, 206, 140],
        [25, 17],
        &[(Title, "Customers"), (Code, "CustomersTable"), (Text, "one item per customer")],
    );
    drawing.text_box(
        Kind::Data,
        [572, 560, 182, 50],
        [21, 17],
        &[(Text, "Tombstone: the outbox"), (Text, "of a cleanup message")],
    );
    drawing.text_box(
        Kind::Plain,
        [992, 148, 184, 474],
        [25, 17],
        &[
            (Title, "Your systems"),
            (Text, "erase their copies of"),
            (Text, "deleted customers,"),
            (Text, "and confirm it"),
        ],
    );
    drawing.text(Text, Anchor::Start, (1004, 512), "read current customers,");
    drawing.text(Text, Anchor::Start, (1004, 530), "by key, external id");
    drawing.text(Text, Anchor::Start, (1004, 548), "or e-mail address");
    drawing.text(Text, Anchor::Start, (1004, 600), "react to changes");

    drawing.arrow(false, &[(92, 418), (92, 482)]);
    drawing.text(Text, Anchor::Start, (100, 454), "webhooks");
    drawing.arrow(false, &[(160, 552), (236, 552)]);
    drawing.text(Text, Anchor::Middle, (196, 544), "delivery");
    drawing.arrow(false, &[(304, 418), (304, 482)]);
    drawing.text(Text, Anchor::Start, (312, 454), "verify");
    drawing.arrow(false, &[(442, 552), (560, 552)]);
    drawing.text(Text, Anchor::Middle, (500, 527), "one conditional");
    drawing.text(Text, Anchor::Middle, (500, 544), "write");
    drawing.arrow(false, &[(766, 552), (992, 552)]);
    drawing.text(Text, Anchor::Middle, (879, 544), "read");
}

/// The cleanup message of a deleted customer.
fn deletes(drawing: &mut Drawing) {
    let receives = format!("after {} receives", max_receives("CleanupQueue", "CleanupDeadLetterQueue"));
    let interval = schedule("SweepFunction");
    drawing.text_box(Kind::Queue, [560, 24, 206, 60], [25, 17], &[(Title, "Cleanup"), (Code, "CleanupQueue")]);
    drawing.text_box(
        Kind::Queue,
        [992, 24, 184, 60],
        [25, 17],
        &[(Title, "Cleanup dead letter"), (Code, "CleanupDeadLetterQueue")],
    );
    drawing.text_box(Kind::Compute, [560, 148, 150, 60], [25, 17], &[(Title, "Sweep"), (Code, "SweepFunction")]);

    drawing.arrow(false, &[(407, 482), (407, 54), (560, 54)]);
    drawing.text(Text, Anchor::Middle, (484, 46), "deletes");
    drawing.arrow(false, &[(738, 84), (738, 178), (992, 178)]);
    drawing.text(Text, Anchor::Middle, (867, 170), "receive");
    drawing.arrow(FAILURE, &[(766, 44), (992, 44)]);
    drawing.text(Text, Anchor::Middle, (879, 36), &receives);
    drawing.arrow(FAILURE, &[(992, 66), (766, 66)]);
    drawing.text(Text, Anchor::Middle, (879, 81), "redrive");
    drawing.arrow(FAILURE, &[(635, 482), (635, 208)]);
    drawing.text(Text, Anchor::End, (627, 454), &interval);
    drawing.arrow(FAILURE, &[(635, 148), (635, 84)]);
    drawing.text(Text, Anchor::Start, (643, 120), "sweep sends");
}

/// Systems confirm that they have erased their copies.
fn receipts(drawing: &mut Drawing) {
    let receives = format!("after {} receives", max_receives("ReceiptsQueue", "ReceiptsDeadLetterQueue"));
    drawing.text_box(Kind::Queue, [850, 236, 120, 60], [25, 17], &[(Title, "Receipts"), (Code, "ReceiptsQueue")]);
    drawing.text_box(Kind::Compute, [656, 236, 150, 60], [25, 17], &[(Title, "Receipts"), (Code, "ReceiptsFunction")]);
    drawing.text_box(
        Kind::Queue,
        [784, 344, 196, 60],
        [25, 17],
        &[(Title, "Receipts dead letter"), (Code, "ReceiptsDeadLetterQueue")],
    );

    drawing.arrow(false, &[(992, 266), (970, 266)]);
    drawing.arrow(false, &[(850, 266), (806, 266)]);
    drawing.arrow(false, &[(740, 296), (740, 482)]);
    drawing.text(Text, Anchor::End, (732, 394), "records");
    drawing.arrow(FAILURE, &[(910, 296), (910, 344)]);
    drawing.text(Text, Anchor::End, (902, 325), &receives);
}

/// What cannot be written waits on a queue.
fn kept_deliveries(drawing: &mut Drawing) {
    let receives = format!("after {} receives", max_receives("InboxQueue", "QuarantineQueue"));
    drawing.text_box(Kind::Queue, [292, 686, 150, 60], [25, 17], &[(Title, "Inbox"), (Code, "InboxQueue")]);
    drawing.text_box(Kind::Compute, [560, 686, 150, 60], [25, 17], &[(Title, "Replay"), (Code, "ReplayFunction")]);
    drawing.text_box(Kind::Queue, [236, 810, 206, 60], [25, 17], &[(Title, "Quarantine"), (Code, "QuarantineQueue")]);
    drawing.text_box(
        Kind::Plain,
        [560, 810, 206, 60],
        [25, 17],
        &[(Title, "Operator"), (Text, "inspects, and redrives")],
    );

    drawing.arrow(FAILURE, &[(367, 622), (367, 686)]);
    drawing.text(Text, Anchor::Start, (375, 658), "cannot be written now");
    drawing.arrow(FAILURE, &[(264, 622), (264, 810)]);
    drawing.text(Text, Anchor::End, (256, 720), "not understood");
    drawing.arrow(FAILURE, &[(367, 746), (367, 810)]);
    drawing.text(Text, Anchor::Start, (375, 782), &receives);
    drawing.arrow(FAILURE, &[(442, 716), (560, 716)]);
    drawing.text(Text, Anchor::Middle, (500, 708), "retries");
    drawing.arrow(FAILURE, &[(635, 686), (635, 622)]);
    drawing.text(Text, Anchor::Start, (643, 658), "replay settles");
    drawing.arrow(FAILURE, &[(442, 840), (560, 840)]);
    drawing.text(Text, Anchor::Middle, (500, 832), "alarm");
    drawing.arrow(FAILURE, &[(738, 810), (738, 622)]);
    drawing.text(Text, Anchor::Start, (746, 720), "redrive");
}

/// What never arrived is found in the lists of the providers.
fn lost_deliveries(drawing: &mut Drawing) {
    drawing.text_box(
        Kind::Compute,
        [800, 414, 170, 60],
        [25, 17],
        &[(Title, "Reconcile"), (Code, "ReconcileFunction")],
    );
    drawing.arrow(FAILURE, &[(885, 474), (885, 510), (766, 510)]);
    drawing.text(Text, Anchor::Middle, (824, 502), "lost webhooks");
}

/// The change feed, from the table to the systems that react.
fn changes(drawing: &mut Drawing) {
    drawing.text_box(Kind::Compute, [800, 686, 170, 60], [25, 17], &[(Title, "Changes"), (Code, "ChangesFunction")]);
    drawing.text_box(Kind::Service, [1040, 686, 136, 60], [25, 17], &[(Title, "EventBridge"), (Code, "ChangesBus")]);
    drawing.text_box(
        Kind::Queue,
        [830, 810, 210, 77],
        [25, 17],
        &[(Title, "Unannounced changes"), (Code, "RefusedChangesQueue"), (Code, "DiscardedChangesQueue")],
    );
    let hours = resources("AWS::Serverless::Function")["ChangesFunction"]["Events"]["Changes"]["Properties"]
        ["MaximumRecordAgeInSeconds"]
        .as_u64()
        .unwrap()
        / 3_600;

    drawing.arrow(false, &[(766, 594), (885, 594), (885, 686)]);
    drawing.text(Text, Anchor::Middle, (824, 586), "stream");
    drawing.arrow(false, &[(970, 716), (1040, 716)]);
    drawing.text(Text, Anchor::Middle, (1004, 708), "events");
    drawing.arrow(false, &[(1108, 686), (1108, 622)]);
    drawing.text(Text, Anchor::Start, (1116, 658), "rules");
    drawing.arrow(FAILURE, &[(885, 746), (885, 810)]);
    drawing.text(Text, Anchor::Start, (893, 782), &format!("refused, or failed for {hours} hours"));
    drawing.arrow(FAILURE, &[(830, 855), (766, 855)]);
    drawing.text(Text, Anchor::Middle, (797, 847), "alarm");
}

fn legend(drawing: &mut Drawing) {
    let kinds = [
        (Kind::Compute, "Lambda function"),
        (Kind::Data, "DynamoDB table"),
        (Kind::Queue, "SQS queue"),
        (Kind::Service, "other service of AWS"),
        (Kind::Plain, "outside the stack"),
    ];
    for (row, (kind, meaning)) in (0..).zip(kinds) {
        let y = 48 + row * 25;
        drawing.area(kind, [24, y, 24, 14]);
        drawing.text(Text, Anchor::Start, (60, y + 11), meaning);
    }
    for (row, (is_dashed, meaning)) in (5..).zip([(false, "normally"), (FAILURE, "after a failure")]) {
        let y = 48 + row * 25;
        drawing.samples.push((is_dashed, [(24, y + 7), (48, y + 7)]));
        drawing.text(Text, Anchor::Start, (60, y + 11), meaning);
    }
}

/// The functions that receive webhooks.
fn receivers() -> Vec<String> {
    let functions = resources("AWS::Serverless::Function").into_iter();
    functions.filter(|(_, function)| is_receiver(function)).map(|(id, _)| id).collect()
}

/// After how many receives SQS moves a message of a queue to its dead-letter queue.
fn max_receives(queue: &str, dead_letter_queue: &str) -> u64 {
    let policy = &resources("AWS::SQS::Queue")[queue]["RedrivePolicy"];
    assert_eq!(policy["deadLetterTargetArn"], format!("{dead_letter_queue}.Arn"));
    policy["maxReceiveCount"].as_u64().unwrap()
}

/// When a function is started: `rate(5 minutes)` is `every 5 minutes`.
fn schedule(function: &str) -> String {
    let functions = resources("AWS::Serverless::Function");
    let mut events = functions[function]["Events"].as_object().unwrap().values();
    let event = events.find(|event| event["Type"] == "Schedule").unwrap();
    let Value::String(schedule) = &event["Properties"]["Schedule"] else { panic!("{event}") };
    format!("every {}", schedule.strip_prefix("rate(").unwrap().strip_suffix(')').unwrap())
}

/// A new function, table or queue fails this test until it has a place in the picture.
#[test]
fn the_picture_has_every_resource_of_the_flow() {
    let kinds = ["AWS::Serverless::HttpApi", "AWS::Serverless::Function", "AWS::DynamoDB::Table", "AWS::SQS::Queue"];
    let kinds = kinds.into_iter().chain(["AWS::Events::EventBus"]);
    let in_template: BTreeSet<_> = kinds.flat_map(|kind| resources(kind).into_keys()).collect();
    let texts = drawing().texts.into_iter();
    let drawn: Vec<_> = texts.filter(|text| text.font == Code).map(|text| text.content).collect();
    assert_eq!(drawn.len(), in_template.len(), "each once: {drawn:?}");
    assert_eq!(drawn.into_iter().collect::<BTreeSet<_>>(), in_template);
    let secrets = resources("AWS::SecretsManager::Secret").into_keys().filter(|id| !id.ends_with("ApiKeySecret"));
    assert_eq!(secrets.count(), clientele_providers::PROVIDERS.len(), "one secret per provider");
}

/// What an arrow says that a function does, its role allows. A provider without deletes sends no cleanup message.
#[test]
fn arrows_are_what_roles_allow() {
    let each = |call: &str| receivers().iter().all(|id| Role::of(id).calls.contains(call));
    assert!(each("dynamodb:PutItem CustomersTable"));
    assert!(each("sqs:SendMessage InboxQueue"));
    assert!(each("sqs:SendMessage QuarantineQueue"));
    assert!(receivers().iter().any(|id| Role::of(id).calls.contains("sqs:SendMessage CleanupQueue")));
    for (function, call) in [
        ("SweepFunction", "dynamodb:GetItem CustomersTable"),
        ("SweepFunction", "sqs:SendMessage CleanupQueue"),
        ("ReceiptsFunction", "sqs:ReceiveMessage ReceiptsQueue"),
        ("ReceiptsFunction", "dynamodb:UpdateItem CustomersTable"),
        ("ReplayFunction", "sqs:ReceiveMessage InboxQueue"),
        ("ReplayFunction", "dynamodb:PutItem CustomersTable"),
        ("ReconcileFunction", "dynamodb:PutItem CustomersTable"),
        ("ChangesFunction", "dynamodb:GetRecords CustomersTable.StreamArn"),
        ("ChangesFunction", "events:PutEvents ChangesBus"),
        ("ChangesFunction", "sqs:SendMessage RefusedChangesQueue"),
        ("ChangesFunction", "sqs:SendMessage DiscardedChangesQueue"),
    ] {
        assert!(Role::of(function).calls.contains(call), "{function} {call}");
    }
}
