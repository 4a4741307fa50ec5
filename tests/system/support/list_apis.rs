//! The list APIs of the providers, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clientele_aws::Connect;
use clientele_flow::{ApiUnreachable, ListClient};
use clientele_model::{ApiAnswer, ApiRequest, SampleEvent};
use clientele_providers::{PROVIDERS, find, list_stand_in, listing};
use serde_json::Value;

/// So few records that a list has several pages.
const PAGE_RECORDS_MAX: usize = 3;

/// The list APIs. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListApis(Arc<Mutex<BTreeMap<&'static str, List>>>);

#[derive(Clone, Debug, Default)]
struct List {
    records: Vec<Value>,
    /// The status of all answers, if the API fails.
    fails_with: Option<u16>,
    /// How long each answer takes.
    takes: Duration,
}

impl ListApis {
    /// The customers of a provider after these changes; one change of each customer.
    pub(crate) fn set(&self, provider: &'static str, changes: &[SampleEvent]) {
        let record = list_stand_in(find(provider).unwrap()).unwrap().record;
        let mut lists = self.0.lock().unwrap();
        lists.entry(provider).or_default().records = changes.iter().map(record).collect();
    }

    /// From now on the provider answers with this status.
    pub(crate) fn fail(&self, provider: &'static str, status: u16) {
        self.0.lock().unwrap().entry(provider).or_default().fails_with = Some(status);
    }

    /// From now on each answer of the provider takes this time.
    pub(crate) fn slow_down(&self, provider: &'static str, takes: Duration) {
        self.0.lock().unwrap().entry(provider).or_default().takes = takes;
    }

    /// Makes clients of these APIs, whatever the URL and the key are.
    pub(crate) fn connect(&self) -> Connect<ListApiClient> {
        let apis = self.clone();
        Box::new(move |api, _, _| {
            let is_its_api = |name: &&str| {
                let listed = listing(find(name).unwrap()).api.as_ref();
                listed.is_some_and(|listed| listed.key_variable == api.key_variable)
            };
            let provider = PROVIDERS.iter().map(|provider| provider.name).find(is_its_api).unwrap();
            Ok(ListApiClient { apis: apis.clone(), provider })
        })
    }
}

/// A client of the API of one provider.
pub(crate) struct ListApiClient {
    apis: ListApis,
    provider: &'static str,
}

impl ListClient for ListApiClient {
    async fn call(&self, request: &ApiRequest) -> Result<ApiAnswer, ApiUnreachable> {
        let list = self.apis.0.lock().unwrap().get(self.provider).cloned();
        let List { records, fails_with, takes } = list.unwrap_or_default();
        tokio::time::sleep(takes).await;
        if let Some(status) = fails_with {
            return Ok(ApiAnswer { status, date: None, retry_after: None, body: vec![] });
        }
        let answer = list_stand_in(find(self.provider).unwrap()).unwrap().answer;
        Ok(answer(&records, request, PAGE_RECORDS_MAX))
    }
}
