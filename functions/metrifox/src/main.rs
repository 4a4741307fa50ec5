//! The Lambda function for webhooks of `metrifox`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    clientele_aws::run_receiver(&clientele_metrifox::PROVIDER).await
}
