//! The commands for a deployed stack, which a local stack replaces here.

use std::process::Command;

use clientele::stack::{LocalStack, StackOptions};
use clientele_providers::local_secret;

use crate::support::aws::AwsStandIn;
use crate::support::cli::{clientele, run_with_input};
use crate::support::{case, options};

/// A deployed stack named `test`, and the stand-in for AWS that the commands call.
pub(super) struct Deployed {
    pub(super) stack: LocalStack,
    pub(super) aws: AwsStandIn,
}

pub(super) async fn deploy(options: StackOptions) -> Deployed {
    let stack = LocalStack::start(options).await.unwrap();
    let aws = AwsStandIn::start(&stack).await;
    Deployed { stack, aws }
}

impl Deployed {
    /// Exit code, standard output, standard error.
    pub(super) async fn run(&self, arguments: &[&str], input: &str) -> (i32, String, String) {
        self.run_with(clientele(arguments), input).await
    }

    pub(super) async fn run_with(&self, mut command: Command, input: &str) -> (i32, String, String) {
        command.env("AWS_REGION", "eu-west-1").env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "s");
        command.env("AWS_ENDPOINT_URL", &self.aws.url);
        let input = input.to_owned();
        tokio::task::spawn_blocking(move || run_with_input(&mut command, &input)).await.unwrap()
    }
}

/// What every command for a deployed stack prints on standard error.
pub(super) const ANNOUNCED: &str = "stack test in eu-central-1, account 123456789012\n";

#[tokio::test(flavor = "multi_thread")]
async fn commands_find_the_table_and_queue_of_a_deployed_stack() {
    let deployed = deploy(options()).await;
    let case = case("plain/customer-created");
    let event = case.sign(&crate::support::scheme(case), &local_secret(case.provider), jiff::Timestamp::now()).unwrap();
    crate::support::handle(&deployed.stack.receivers["plain"], &event, jiff::Timestamp::now()).await;
    let (code, shown, errors) = deployed.run(&["customers", "list", "--stack", "test"], "").await;
    assert_eq!((code, errors.as_str()), (0, ANNOUNCED));
    assert!(shown.contains("Ada Byron"), "{shown}");
    assert_eq!(deployed.run(&["cleanup", "list", "--stack", "test"], "").await.0, 0);
    let restored = ["customers", "list", "--stack", "test", "--table", "nothing"];
    let (code, _, errors) = deployed.run(&restored, "").await;
    assert!(code == 5 && errors.contains("the table of test cannot be read"), "{errors}");
    for command in [&["customers", "list"][..], &["cleanup", "list"], &["smoke"], &["secrets", "list"]] {
        let (code, _, errors) = deployed.run(&[command, &["--stack", "nothing"]].concat(), "").await;
        assert_eq!(code, 4);
        assert!(errors.contains("there is no stack nothing in eu-west-1"), "{errors}");
    }
}
