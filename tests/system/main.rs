//! Whole-system tests: the handlers that Lambda runs, called with real API Gateway events, against the embedded
//! DynamoDB and SQS through the real SDK.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

/// The rules of docs/contract.md: deliveries, items, messages, answers, log lines.
mod contract {
    mod changes;
    mod convergence;
    mod deletion;
    mod event_bridge;
    mod event_files;
    mod event_times;
    mod function_environment;
    mod http_routes;
    mod independent_signers;
    mod json_schemas;
    mod listings;
    mod log_lines;
    mod payload_coverage;
    mod privacy;
    mod reconciliation;
    mod refusals;
    mod secret_outages;
    mod secret_rotation;
    mod signature_schemes;
    mod translations;
    mod unknown_fields;
}

/// The table and the queues: what they must offer, and what happens when they fail, crash or are under load.
mod storage {
    mod change_feed;
    mod crash_recovery;
    mod delete_cost;
    mod imports;
    mod load;
    mod outages;
    mod receipts;
    mod storage_contract;
    mod unusual_bodies;
}

/// The `clientele` command.
mod command {
    mod changes;
    mod changes_redrive;
    mod changes_resend;
    mod cli;
    mod commands_page;
    mod completions;
    mod console;
    mod cost;
    mod customers;
    #[path = "../../../benches/deliveries.rs"]
    mod deliveries_benchmark;
    mod deployed;
    mod deployed_console;
    mod doctor;
    mod documented_commands;
    mod edited_list_api;
    mod empty_folder;
    mod erasure;
    mod event_bus;
    mod events;
    mod faults;
    mod hosts;
    mod import;
    #[path = "../../../benches/import/main.rs"]
    mod import_benchmark;
    mod list_apis;
    mod live_deliveries;
    mod local_options;
    mod quarantine;
    mod queues;
    mod reconcile;
    mod secrets;
    mod smoke;
    mod story;
    mod target;
    mod terminal;
}

/// template.yaml: the resources, their permissions and alarms, and what is generated from them.
mod template {
    mod alarms;
    mod deadlines;
    mod deployment;
    mod local_stack;
    mod operations;
    mod pictures;
    mod roles;
}

/// Dependencies between crates, and what the documentation says about the code.
mod architecture;

/// The pages of the documentation.
mod documentation;

/// What the tests share.
mod support;
