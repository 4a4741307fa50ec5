//! Runs the consumers of docs/consume.md against the local stack: the Rust one always, those in TypeScript and Python if
//! they are asked for, since they need Node.js and boto3.
//!
//! ```sh
//! npm --prefix tests/consumers/typescript ci
//! npm --prefix tests/consumers/typescript run build
//! pip install boto3
//! cargo test --workspace --test consumers -- --ignored
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "tests")]

/// The consumers as processes, and a local stack for them.
mod consumer_process;

/// Consumers of the change feed.
mod changes;
/// Consumers of the cleanup queue.
mod cleanup;
/// The code in docs/consume.md.
mod documentation;
/// Consumers that follow all that happens to customers.
mod feed;
/// Readers of the table.
mod reading;

use consumer_process::Language;

/// Makes tests of scenarios.
macro_rules! in_every_language {
    ($($module:ident::$scenario:ident),+ $(,)?) => {
        mod rust {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $scenario() {
                super::$module::$scenario(super::Language::Rust).await;
            })+
        }

        mod typescript {
            $(#[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs Node.js and its packages"]
            async fn $scenario() {
                super::$module::$scenario(super::Language::TypeScript).await;
            })+
        }

        mod python {
            $(#[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs boto3"]
            async fn $scenario() {
                super::$module::$scenario(super::Language::Python).await;
            })+
        }
    };
}

in_every_language!(
    reading::customers_are_found,
    changes::the_greatest_rank_wins,
    changes::removed_customers_are_forgotten,
    changes::items_are_read_if_the_event_has_none,
    changes::failed_messages_stay_on_the_queue,
    feed::a_follower_knows_the_table,
    feed::a_late_start_knows_the_table,
    cleanup::only_the_deleted_customer_is_erased,
    cleanup::every_erasure_is_confirmed,
);
