//! The deadlines that `template.yaml` repeats are those of the code.

use std::time::Duration;

use clientele::template::Template;
use clientele_flow::deadlines::{
    CHANGES_TIMEOUT, FUNCTION_TIMEOUT, RECONCILE_INTERVAL_MAX, RECONCILE_INTERVAL_MIN, RECONCILE_TIMEOUT,
    SWEEP_INTERVAL, VISIBILITY_TIMEOUT, replay_delay_range,
};

use crate::support::root;
use crate::support::template::template;

#[test]
fn the_template_has_the_deadlines_of_the_code() {
    let template = Template::read(&root("template.yaml")).unwrap();
    for function in &template.functions {
        let timeout = match function.name.as_str() {
            "reconcile" => RECONCILE_TIMEOUT,
            "changes" => CHANGES_TIMEOUT,
            _ => FUNCTION_TIMEOUT,
        };
        assert_eq!(function.timeout, timeout, "{}", function.logical_id);
    }
    let intervals: Vec<_> = template.functions.iter().filter_map(|function| function.every).collect();
    assert_eq!(intervals, [SWEEP_INTERVAL]);
    let seconds = |text: &String| Duration::from_secs(text.parse().unwrap());
    for queue in &template.queues {
        assert_eq!(seconds(&queue.attributes["VisibilityTimeout"]), VISIBILITY_TIMEOUT, "{}", queue.logical_id);
    }
    let text = std::fs::read_to_string(root("template.yaml")).unwrap();
    assert!(!text.contains("TimeoutInMillis"), "the gateway waits for its default of 30 s");

    // The inbox outlasts an outage of a day, and moves every message to quarantine before SQS would delete it.
    let inbox = template.queues.iter().find(|queue| queue.name == "inbox").unwrap();
    let receives_max = inbox.redrive.as_ref().unwrap().receives_max;
    let shortest = (1..=receives_max).map(|receives| replay_delay_range(receives).start).sum::<Duration>();
    let longest = (1..=receives_max).map(|receives| replay_delay_range(receives).end).sum::<Duration>();
    assert!(shortest > Duration::from_hours(24) && longest < seconds(&inbox.attributes["MessageRetentionPeriod"]));
}

/// Scheduled reconciliations do not overlap, and when none has run for two intervals, an alarm fires: after an hour at the
/// earliest, because CloudWatch counts hours.
#[test]
fn reconciliations_have_the_intervals_of_the_code() {
    let minutes = |duration: Duration| duration.as_secs() / 60;
    let parameter = &template()["Parameters"]["ReconcileIntervalMinutes"];
    assert_eq!(parameter["Default"], 0, "off");
    let allowed: Vec<_> =
        parameter["AllowedValues"].as_array().unwrap().iter().map(|it| it.as_u64().unwrap()).collect();
    assert_eq!(allowed[..2], [0, minutes(RECONCILE_INTERVAL_MIN)]);
    assert_eq!(allowed.iter().max(), Some(&minutes(RECONCILE_INTERVAL_MAX)));
    let stopped = template()["Mappings"]["ReconcileStopped"].as_object().unwrap();
    assert_eq!(stopped.len(), allowed.len());
    for interval in allowed {
        assert_eq!(stopped[&interval.to_string()]["Hours"], (2 * interval / 60).max(1), "{interval}");
    }
    let settle = &template()["Parameters"]["ReconcileSettleMinutes"];
    assert_eq!(settle["MaxValue"], minutes(RECONCILE_INTERVAL_MAX));
}
