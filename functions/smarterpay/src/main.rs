//! The Lambda function that receives webhooks of SmarterPay.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    clientele_aws::run_receiver(&clientele_smarterpay::PROVIDER).await
}
