//! The Lambda function that receives webhooks of Metrifox.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    clientele_aws::run_receiver(&clientele_metrifox::PROVIDER).await
}
