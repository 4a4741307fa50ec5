//! The Lambda function for webhooks of `plain`.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    clientele_aws::run(&clientele_plain::PROVIDER).await
}
