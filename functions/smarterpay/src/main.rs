//! The Lambda function for webhooks of `smarterpay`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    clientele_aws::run_receiver(&clientele_smarterpay::PROVIDER).await
}
