//! Which stack a command works on.

use rstest::rstest;

use crate::command::deployed::{ANNOUNCED, Deployed, deploy};
use crate::support::aws::STACK_ARN;
use crate::support::cli::{RunningStack, clientele, run, run_with_input, with_local};
use crate::support::options;

/// The names of the customers of a stack, and what is printed on standard error.
async fn names(deployed: &Deployed, variable: Option<&str>, arguments: &[&str]) -> (i32, String, String) {
    let mut command = clientele(&[&["customers", "list", "--json"], arguments].concat());
    command.envs(variable.map(|name| ("CLIENTELE_STACK", name)));
    deployed.run_with(command, "").await
}

/// The variable names a deployed stack, which has no customers. The local stack has one.
#[tokio::test(flavor = "multi_thread")]
async fn an_explicit_flag_takes_precedence_over_the_variable() {
    let deployed = deploy(options()).await;
    let (_running, admin) = tokio::task::spawn_blocking(|| RunningStack::with_admin_url(&["--empty"])).await.unwrap();
    let created = ["events", "send", "plain/customer-created", "--local", &admin];
    // Not a variable of the command, but one that an operator may have set.
    let mut command = clientele(&created);
    command.env("CLIENTELE_STACK", "test").env("WEBHOOK_SECRET", "another secret");
    assert_eq!(
        deployed.run_with(command, "").await,
        (0, "200 applied: the customer's item was written\n".to_owned(), String::new())
    );

    let (code, shown, errors) = names(&deployed, Some("test"), &["--local", &admin]).await;
    assert_eq!((code, shown.lines().count(), errors.as_str()), (0, 1, ""), "--local wins over the variable");
    let (code, shown, errors) = names(&deployed, Some("test"), &[]).await;
    assert_eq!((code, shown.as_str(), errors.as_str()), (0, "", ANNOUNCED), "the variable alone");
    let (code, _, errors) = names(&deployed, Some("nothing"), &["--stack", "test"]).await;
    assert_eq!((code, errors.as_str()), (0, ANNOUNCED), "--stack wins over the variable");
    let (code, _, errors) = names(&deployed, None, &["--stack", "test", "--local", &admin]).await;
    assert!(code == 2 && errors.contains("--local and --stack exclude each other"), "{errors}");
    let calls = deployed.aws.take_calls();
    assert!(calls.len() == 2 && calls.iter().all(|call| call.operation.ends_with(".Scan")), "two scans on AWS");
}

/// An empty variable counts as none.
#[test]
fn without_flag_and_variable_it_is_the_local_stack() {
    for variable in [None, Some("")] {
        let mut command = clientele(&["customers", "list", "--local=http://127.0.0.1:1"]);
        command.envs(variable.map(|name| ("CLIENTELE_STACK", name)));
        let output = command.output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(errors.contains("no local stack answers at http://127.0.0.1:1"), "{errors}");
    }
    let (code, _, errors) = run(&["customers", "list", "--stack", ""]);
    assert!(code == 2 && errors.contains("--stack needs the name of a stack"), "{errors}");
}

/// The ARN decides the region, for a stack that is named by it and for one that is named by its name.
#[tokio::test(flavor = "multi_thread")]
async fn region_and_account_come_from_the_arn() {
    let deployed = deploy(options()).await;
    for name in ["test", STACK_ARN] {
        let (code, _, errors) = names(&deployed, None, &["--stack", name]).await;
        assert_eq!((code, errors.as_str()), (0, ANNOUNCED));
        let calls = deployed.aws.take_calls();
        assert_eq!(calls.iter().map(|call| call.region.as_str()).collect::<Vec<_>>(), ["eu-central-1"]);
    }
    let (code, _, errors) = names(&deployed, None, &["--stack", "arn:aws:s3:::bucket"]).await;
    assert!(code == 2 && errors.contains("is not the ARN of a stack"), "{errors}");
}

/// A proxy of the environment is not used for the local stack.
#[test]
fn no_proxy_is_used_for_the_local_stack() {
    let (_running, admin) = RunningStack::with_admin_url(&["--empty"]);
    for arguments in [&["customers", "list"][..], &["events", "send", "plain/customer-created"], &["faults", "list"]] {
        let mut command = clientele(&[arguments, &["--local", &admin]].concat());
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"] {
            command.env(name, "http://127.0.0.1:1");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_url_of_an_admin_port_is_checked() {
    for url in ["plain", "https://127.0.0.1:9010", "http://127.0.0.1:9010/faults", "9010"] {
        let (code, _, errors) = run(&["customers", "list", "--local", url]);
        assert!(code == 2 && errors.contains("write --local after the other arguments"), "{url}: {errors}");
    }
}

/// A restored table is on AWS, so a table of that name on the local stack would be a mistake.
#[test]
fn another_table_needs_a_deployed_stack() {
    let (_running, admin) = RunningStack::with_admin_url(&["--empty"]);
    let (code, _, errors) = run(&["customers", "list", "--local", &admin, "--table", "restored"]);
    assert!(code == 2 && errors.contains("add --stack NAME"), "{errors}");
}

/// What answers at the URL is another program.
#[tokio::test(flavor = "multi_thread")]
async fn another_server_is_no_local_stack() {
    let stack = crate::support::stack().await;
    for address in [stack.gateway, stack.sqs] {
        let url = format!("http://{address}");
        for arguments in
            [&["customers", "list"][..], &["faults", "list"], &["events", "send", "plain/customer-created"]]
        {
            let (arguments, url) = (arguments.to_vec(), url.clone());
            let command = move || run(&with_local(&arguments, &url));
            let (code, _, errors) = tokio::task::spawn_blocking(command).await.unwrap();
            assert!(code == 5 && errors.contains("is not the admin port of a local stack"), "{code} {errors}");
        }
    }
}

/// Without a region, the message says what to set, and no server is asked.
#[test]
fn a_name_needs_a_region() {
    let mut command = clientele(&["customers", "list", "--stack", "test"]);
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    let (code, _, errors) = run_with_input(&mut command, "");
    assert!(code == 2 && errors.contains("set AWS_REGION"), "{code} {errors}");
}

/// What makes no sense is refused before anything is asked: no stack has this address.
#[rstest]
#[case(&["customers", "list", "--limit", "0"], "greater than 0")]
#[case(&["cleanup", "list", "--limit", "0"], "greater than 0")]
#[case(&["inbox", "list", "--limit", "0"], "greater than 0")]
#[case(&["dead-letters", "list", "--limit", "0"], "greater than 0")]
#[case(&["dead-letters", "redrive", "--limit", "0"], "greater than 0")]
#[case(&["quarantine", "list", "--limit", "0"], "greater than 0")]
#[case(&["quarantine", "redrive", "--limit", "0"], "greater than 0")]
#[case(&["faults", "set", "sqs", "--rate", "NaN"], "from 0 to 1")]
#[case(&["faults", "set", "sqs", "--rate", "1.1"], "from 0 to 1")]
#[case(&["faults", "set", "sqs", "--for", "0s"], "at most 12 hours")]
#[case(&["faults", "set", "sqs", "--for", "13h"], "at most 12 hours")]
fn values_without_a_meaning_are_refused(#[case] arguments: &[&str], #[case] expected: &str) {
    let (code, _, errors) = run(&with_local(arguments, "http://127.0.0.1:1"));
    assert!(code == 2 && errors.contains(expected), "{code} {errors}");
}
