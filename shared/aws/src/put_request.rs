//! The request of the conditional write. The SDK sends it: it finds the endpoint, signs, repeats and reads the response. Only
//! the body is written here, because the SDK would first convert the item to its attribute values, and these to JSON.
//! That takes four times as long.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::{PutItemError, PutItemOutput};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use clientele_model::Item;
use serde::Serialize;

use crate::attributes_json::write_attributes;

/// Everything after the item and the value of its rank.
const CONDITION: &str = r##","ConditionExpression":"attribute_not_exists(pk) OR #rank < :rank","ExpressionAttributeNames":{"#rank":"rank"},"ReturnValuesOnConditionCheckFailure":"ALL_OLD","ReturnConsumedCapacity":"TOTAL"}"##;

/// A request to put an item into the table unless the table has one with the same or a greater rank.
pub(crate) struct PutRequest<'a> {
    table: &'a str,
    body: Bytes,
}

impl<'a> PutRequest<'a> {
    /// # Errors
    /// When the item cannot be JSON.
    pub(crate) fn new(table: &'a str, item: &Item) -> serde_json::Result<Self> {
        #[derive(Serialize)]
        struct Values<'a> {
            #[serde(rename = ":rank")]
            rank: &'a str,
        }
        let mut body = Vec::with_capacity(2_048);
        body.extend_from_slice(br#"{"TableName":"#);
        serde_json::to_writer(&mut body, table)?;
        body.extend_from_slice(br#","Item":"#);
        write_attributes(&mut body, item)?;
        body.extend_from_slice(br#","ExpressionAttributeValues":"#);
        write_attributes(&mut body, &Values { rank: item.rank() })?;
        body.extend_from_slice(CONDITION.as_bytes());
        Ok(Self { table, body: body.into() })
    }

    /// Sends it.
    pub(crate) async fn send(self, client: &Client) -> Result<PutItemOutput, SdkError<PutItemError>> {
        // The table's name may decide the endpoint. The body is set before each attempt is signed.
        let Self { table, body } = self;
        let request = client.put_item().table_name(table).customize();
        request.mutate_request(move |request| set_body(request, &body)).send().await
    }
}

fn set_body(request: &mut HttpRequest, body: &Bytes) {
    request.headers_mut().insert("content-length", body.len().to_string());
    *request.body_mut() = SdkBody::from(body.clone());
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_smithy_runtime_api::client::http::{
        HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
    };
    use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
    use hmac::{Hmac, KeyInit, Mac};
    use serde_json::{Value, json};
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::clients::{CallTimeouts, Clients};

    /// A service that fails once.
    #[derive(Clone, Debug, Default)]
    struct FailsOnce(Arc<Mutex<Vec<HttpRequest>>>);

    impl HttpConnector for FailsOnce {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let mut requests = self.0.lock().unwrap();
            requests.push(request);
            let status = if requests.len() == 1 { 500 } else { 200 };
            let status = http::StatusCode::from_u16(status).unwrap();
            HttpConnectorFuture::ready(Ok(HttpResponse::new(status.into(), SdkBody::from("{}"))))
        }
    }

    fn hmac(key: &[u8], text: &str) -> Vec<u8> {
        Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
    }

    /// The signature that AWS expects (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).
    fn signature(request: &HttpRequest, body: &[u8]) -> String {
        let header = |name| if name == "host" { "127.0.0.1:9" } else { request.headers().get(name).unwrap() };
        let (_, signed) = header("authorization").split_once("SignedHeaders=").unwrap();
        let (signed, _) = signed.split_once(',').unwrap();
        let headers: Vec<_> = signed.split(';').map(|name| format!("{name}:{}", header(name))).collect();
        let (headers, hash) = (headers.join("\n"), hex::encode(Sha256::digest(body)));
        let canonical = format!("POST\n/\n\n{headers}\n\n{signed}\n{hash}");
        let time = header("x-amz-date");
        let scope = format!("{}/us-east-1/dynamodb/aws4_request", &time[..8]);
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        let key = scope.split('/').fold(b"AWS4local".to_vec(), |key, part| hmac(&key, part));
        hex::encode(hmac(&key, &text))
    }

    #[tokio::test]
    async fn every_attempt_sends_and_signs_the_whole_request() {
        let tombstone = json!({ "pk": "a", "sk": "customer", "provider": "plain", "account": "w_1", "customer_id": "c_1",
            "status": "deleted", "deleted_at": "2026-11-20T12:00:00Z", "rank": "\"1", "schema": 1,
            "last_event": { "type": "customer.deleted", "received_at": "2026-11-20T12:00:00Z" } });
        let item = Item::try_from(tombstone.as_object().unwrap().clone()).unwrap();
        let connector = FailsOnce::default();
        let shared = SharedHttpConnector::new(connector.clone());
        let http = http_client_fn(move |_, _| shared.clone());
        let clients =
            Clients::local_with_http(http, "http://127.0.0.1:9", "http://127.0.0.1:9", CallTimeouts::Function);
        PutRequest::new("a \"table\"", &item).unwrap().send(&clients.dynamodb).await.unwrap();
        let requests = connector.0.lock().unwrap();
        assert_eq!(requests.len(), 2);
        for request in &*requests {
            let body = request.body().bytes().unwrap();
            assert_eq!(request.headers().get("content-length"), Some(&*body.len().to_string()));
            assert!(request.headers().get("authorization").unwrap().ends_with(&signature(request, body)));
            let mut sent: Value = serde_json::from_slice(body).unwrap();
            let item = sent["Item"].take();
            assert_eq!((&item["rank"], &item["schema"]), (&json!({ "S": "\"1" }), &json!({ "N": "1" })));
            let expected = json!({ "TableName": "a \"table\"", "Item": null,
                "ConditionExpression": "attribute_not_exists(pk) OR #rank < :rank",
                "ExpressionAttributeNames": { "#rank": "rank" },
                "ExpressionAttributeValues": { ":rank": { "S": "\"1" } },
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD", "ReturnConsumedCapacity": "TOTAL" });
            assert_eq!(sent, expected);
        }
    }
}
