//! Every signature scheme that a function can be configured with, from its variable to the response.

use clientele::events::signed_at;
use clientele::stack::LocalStack;
use clientele_providers::{find, local_secret};
use rstest::rstest;

use crate::support::{case, handle, options, scheme};

#[rstest]
#[case("metrifox/customer-created", "METRIFOX_SIGNATURE", "hmac-sha256-hex:X-Metrifox-Signature", "secret")]
#[case("metrifox/customer-created", "METRIFOX_SIGNATURE", "hmac-sha256-base64:X-Metrifox-Signature", "secret")]
#[case("metrifox/customer-created", "METRIFOX_SIGNATURE", "token:X-Api-Key", "secret")]
#[case("metrifox/customer-created", "METRIFOX_SIGNATURE", "url-token", "secret")]
#[case("smarterpay/customer-created", "SMARTERPAY_SIGNATURE", "signature", "secret")]
#[case("smarterpay/customer-created", "SMARTERPAY_SIGNATURE", "basic", "user:password")]
#[case("flexprice/customer-created", "FLEXPRICE_SIGNATURE", "svix", "whsec_c2VjcmV0")]
#[case("flexprice/customer-created", "FLEXPRICE_SIGNATURE", "token:X-Api-Key", "secret")]
#[tokio::test]
async fn schemes_are_settings(
    #[case] title: &str,
    #[case] variable: &str,
    #[case] setting: &str,
    #[case] secret: &str,
) {
    let mut options = options();
    let provider = find(title.split('/').next().unwrap()).unwrap();
    options.set(provider, variable, setting.to_owned());
    options.set(provider, "WEBHOOK_SECRETS", secret.to_owned());
    let stack = LocalStack::start(options).await.unwrap();
    let (case, receiver) = (case(title), &stack.receivers[provider.name]);

    let (set, first) = stack.scheme_and_secret(provider).unwrap();
    assert_eq!(first, secret);
    let rejected = provider.response_rules.rejected_status;
    let default = case.sign(&scheme(case), &local_secret(provider), signed_at()).unwrap();
    assert_eq!(handle(receiver, &default, signed_at()).await.status_code, rejected);
    let mut forged = case.clone();
    forged.expected.forged = true;
    let forged = forged.sign(&set, secret, signed_at()).unwrap();
    assert_eq!(handle(receiver, &forged, signed_at()).await.status_code, rejected);
    let signed = case.sign(&set, secret, signed_at()).unwrap();
    assert_eq!(handle(receiver, &signed, signed_at()).await.status_code, 200);
}
