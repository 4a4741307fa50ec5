//! The Lambda function on a schedule.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    clientele_aws::run_sweep().await
}
