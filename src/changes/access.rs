//! The change feed of a stack that was found: its bus, and the table's stream.

use anyhow::{Result, bail};
use aws_sdk_dynamodbstreams::Client as StreamsClient;
use aws_types::SdkConfig;
use clientele_aws::{CallTimeouts, ChangeClients, Endpoints, EventBridgeBus, local_config};
use clientele_model::{FeedContent, FeedSettings};
use serde::Deserialize;

use crate::deployed::DeployedStack;
use crate::exit_code::ExitCode;
use crate::target::OpenTarget;

/// The queue of changes that the bus refuses, and of records that cannot be read, by its name on the local stack.
pub const REFUSED_CHANGES: &str = "refused-changes";
/// The queue of positions in the stream that Lambda has given up.
pub const DISCARDED_CHANGES: &str = "discarded-changes";

/// The change feed of a stack.
#[derive(Debug)]
pub struct ChangeFeedAccess {
    /// Where events go.
    pub bus: EventBridgeBus,
    /// How items become events.
    pub settings: FeedSettings,
    /// Reads the table's stream.
    pub streams: StreamsClient,
}

/// What the admin port says about the change feed of a local stack.
#[derive(Clone, Debug, Deserialize)]
pub struct LocalChangeFeed {
    /// `keys` or `full`.
    content: String,
    /// The name of the bus.
    bus: String,
    /// The `source` of its events.
    source: String,
}

impl ChangeFeedAccess {
    /// The change feed of that stack.
    ///
    /// # Errors
    /// When it is switched off, or the stack is older than change feeds.
    pub fn open(target: &OpenTarget) -> Result<Self> {
        match target.deployed_stack() {
            Some(stack) => Self::of_deployed(stack),
            None => Self::of_local(target),
        }
    }

    fn of_local(target: &OpenTarget) -> Result<Self> {
        let (Some(feed), Some([admin_url, dynamodb_url])) = (target.local_change_feed(), target.local_urls()) else {
            bail!(ExitCode::NotFound.error("the local stack has no change feed: in its template, ChangeFeed is off"));
        };
        let config = local_config(aws_smithy_http_client::Builder::new().build_http());
        let endpoints = Endpoints { eventbridge: Some(format!("{admin_url}/event-bus")), ..Endpoints::default() };
        let settings = FeedSettings { source: feed.source.clone(), content: content(&feed.content)? };
        Ok(Self::new(&config, &endpoints, Some(dynamodb_url), feed.bus.clone(), settings))
    }

    fn of_deployed(stack: &DeployedStack) -> Result<Self> {
        let name = &stack.name;
        let Ok(feed) = stack.output("ChangeFeed") else {
            bail!(ExitCode::NotFound.error(format!(
                "the stack {name} has no change feed, because it was deployed from an older template.yaml: deploy this version"
            )));
        };
        if feed == "off" {
            bail!(ExitCode::NotFound.error(format!(
                "the change feed of the stack {name} is off: deploy it with ChangeFeed=keys or ChangeFeed=full"
            )));
        }
        let settings = FeedSettings { source: format!("/clientele/{name}"), content: content(feed)? };
        let bus = stack.output("ChangesBusName")?.to_owned();
        Ok(Self::new(&stack.environment, &Endpoints::default(), None, bus, settings))
    }

    fn new(
        config: &SdkConfig,
        endpoints: &Endpoints,
        streams_url: Option<&str>,
        bus: String,
        settings: FeedSettings,
    ) -> Self {
        let clients = ChangeClients::new(config, CallTimeouts::Operator, endpoints);
        let mut streams = aws_sdk_dynamodbstreams::config::Builder::from(config);
        if let Some(url) = streams_url {
            streams = streams.endpoint_url(url);
        }
        Self {
            bus: EventBridgeBus::new(clients.eventbridge, bus),
            settings,
            streams: StreamsClient::from_conf(streams.build()),
        }
    }
}

fn content(feed: &str) -> Result<FeedContent> {
    match feed {
        "keys" => Ok(FeedContent::Keys),
        "full" => Ok(FeedContent::Full),
        other => bail!("ChangeFeed={other} is not known to this version"),
    }
}
