//! The Lambda function that records the receipts of systems that have erased their copies of a deleted customer.

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    clientele_aws::run_receipts().await
}
