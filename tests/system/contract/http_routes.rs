//! The gateway over HTTP: routes, repeated headers, bodies that are not text.

use axum::http::Request;
use clientele::signing::{UnsignedRequest, sign};
use clientele_providers::{PROVIDERS, local_secret};
use http_body_util::Full;
use jiff::Timestamp;

use crate::support::http::{headers, http_client, post, send_to};
use crate::support::{case, scheme, stack};

#[tokio::test]
async fn routes() {
    let stack = stack().await;
    let not_found = (404, r#"{"message":"Not Found"}"#.to_owned());
    for path in
        ["/", "/webhooks", "/webhooks/other", "/webhooks/plain/", "/webhooks/metrifox/a/", "/webhooks/metrifox/a/b"]
    {
        assert_eq!(post(&stack, path, &[], "{}").await, not_found, "{path}");
    }
    let http = http_client();
    for method in ["GET", "HEAD", "OPTIONS", "PUT"] {
        let probe = Request::builder().method(method).uri(format!("{}/webhooks/plain", stack.url()));
        assert_eq!(http.request(probe.body(Full::default()).unwrap()).await.unwrap().status(), 404, "{method}");
    }
    let rejected = r#"{"outcome":"rejected"}"#.to_owned();
    assert_eq!(post(&stack, "/webhooks/metrifox", &[], "{}").await, (401, rejected.clone()));
    assert_eq!(post(&stack, "/webhooks/metrifox/guess", &[], "{}").await, (401, rejected.clone()));
    assert_eq!(post(&stack, "/webhooks/smarterpay", &[], "{}").await, (498, rejected.clone()));
    assert_eq!(post(&stack, "/webhooks/plain", &[], &"x".repeat(300_000)).await, (413, rejected));
}

#[tokio::test]
async fn a_repeated_signature_header_is_refused() {
    let stack = stack().await;
    let mut proofs = vec![];
    for provider in PROVIDERS {
        let case = case(&format!("{}/customer-created", provider.name));
        let unsigned = UnsignedRequest { body: case.body().unwrap(), message_id: String::new() };
        let signed = sign(&unsigned, &scheme(case), &local_secret(provider), Timestamp::now()).unwrap();
        proofs.extend(signed.headers.into_iter().map(|(name, _)| (case, name)));
    }
    assert!(proofs.len() >= 5, "{proofs:?}");
    for (case, name) in &proofs {
        let title = case.title();
        let event = case.sign(&scheme(case), &local_secret(case.provider), Timestamp::now()).unwrap();
        let (path, body) = (event["rawPath"].as_str().unwrap(), event["body"].as_str().unwrap());
        let mut headers = headers(&event);
        let twice = headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).unwrap().clone();
        headers.push(twice);
        let refused = post(&stack, path, &headers, body).await;
        assert_eq!(refused.0, case.provider.response_rules.rejected_status, "{title} {name}");
        headers.pop();
        assert_eq!(post(&stack, path, &headers, body).await.0, 200, "{title}");
    }
}

#[tokio::test]
async fn any_bytes_are_answered() {
    let stack = stack().await;
    let http = http_client();
    let deep = vec![b'['; 100_000];
    for bytes in [&b"\xff\xfe\0"[..], b"", b"{", &deep] {
        for provider in PROVIDERS {
            let path = format!("/webhooks/{}", provider.name);
            let (status, _) = send_to(&http, &stack, &path, &[], bytes.to_vec()).await;
            assert_eq!(status, provider.response_rules.rejected_status, "{path}");
        }
        // Verified but not understood: kept in quarantine.
        let path = "/webhooks/metrifox/metrifox-local-secret";
        assert_eq!(
            send_to(&http, &stack, path, &[], bytes.to_vec()).await,
            (202, r#"{"outcome":"quarantined"}"#.to_owned())
        );
    }
    assert_eq!(post(&stack, "/webhooks/metrifox/%FF", &[], "{}").await.0, 401);
    let request = Request::post(format!("{}/webhooks/plain", stack.url()))
        .header("x-odd", http::HeaderValue::from_bytes(b"\xe9\xff").unwrap());
    assert_eq!(http.request(request.body(Full::default()).unwrap()).await.unwrap().status(), 401);
    // The token in the path is percent-decoded, as API Gateway does.
    assert_eq!(post(&stack, "/webhooks/metrifox/metrifox%2Dlocal-secret", &[], r#"{"type":"x"}"#).await.0, 200);
}
