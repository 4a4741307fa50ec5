//! The Lambda function that a schedule invokes to compare the customers with those of the providers' list APIs.

use clientele_api::{ApiKey, ApiUrl, HttpListApi, Limits};
use clientele_model::ListApi;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    let listings = clientele_providers::PROVIDERS.iter().map(|provider| clientele_providers::listing(provider));
    clientele_aws::run_reconcile(listings, Box::new(connect)).await
}

fn connect(api: &ListApi, url: &str, key: &str) -> Result<HttpListApi, String> {
    let url: ApiUrl = url.parse().map_err(|error| format!("the URL of the API cannot be used: {error}"))?;
    let key = ApiKey::parse(key).map_err(|error| format!("the API key cannot be used: {error}"))?;
    let client = HttpListApi::new(url, &key, api.key_header, Limits::default());
    client.map_err(|error| format!("the API key cannot be used: {error}"))
}
