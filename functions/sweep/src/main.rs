//! The Lambda function that a schedule invokes to send cleanup messages that are still in tombstones.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    clientele_aws::run_sweep().await
}
