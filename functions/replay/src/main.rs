//! The Lambda function that settles messages of the inbox queue.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    clientele_aws::run_replay(clientele_providers::PROVIDERS).await
}
