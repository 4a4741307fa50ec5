//! The Lambda function that announces the changes of customers on an event bus.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    clientele_aws::run_changes().await
}
