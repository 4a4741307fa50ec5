//! The Lambda function for webhooks of `smarterpay`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    clientele_aws::run(&clientele_smarterpay::PROVIDER).await
}
