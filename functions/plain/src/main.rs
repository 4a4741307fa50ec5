//! The Lambda function that receives webhooks of Plain.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    clientele_aws::run_receiver(&clientele_plain::PROVIDER).await
}
