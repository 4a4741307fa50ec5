//! The deadlines that `template.yaml` repeats are those of the code.

use std::time::Duration;

use clientele::template::Template;
use clientele_flow::deadlines::{FUNCTION_TIMEOUT, SWEEP_INTERVAL, VISIBILITY_TIMEOUT, replay_delay_range};

use crate::support::root;

#[test]
fn the_template_has_the_deadlines_of_the_code() {
    let template = Template::read(&root("template.yaml")).unwrap();
    for function in &template.functions {
        assert_eq!(function.timeout, FUNCTION_TIMEOUT, "{}", function.logical_id);
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
