//! A deployed stack: what CloudFormation knows of it, and its secrets. template.yaml declares the outputs and parameters
//! that are read here.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use clientele_aws::{CallTimeouts, Clients, Endpoints, https_with_system_roots};
use clientele_model::{ErasureSettings, Provider, Scheme, SecretEntry};

use crate::erasure_state::system_names;
use crate::exit_code::{CommandError, ExitCode};
use crate::oldest_message::OldestMessages;

/// A stack that was deployed from template.yaml.
#[derive(Clone, Debug)]
pub struct DeployedStack {
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// The number of its account.
    pub account: String,
    /// SDK clients for its account and region.
    pub clients: Clients,
    /// The SDK's configuration for its account and region.
    pub environment: SdkConfig,
    /// Knows the resources of the stack.
    pub cloudformation: aws_sdk_cloudformation::Client,
    /// Knows its alarms and metrics.
    pub cloudwatch: aws_sdk_cloudwatch::Client,
    /// How old the oldest messages on its queues are.
    pub oldest_messages: OldestMessages,
    outputs: BTreeMap<String, String>,
    parameters: BTreeMap<String, String>,
}

/// The standard AWS environment of an operator: region, profile, credentials, endpoints.
pub async fn aws_environment() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest()).http_client(https_with_system_roots()).load().await
}

/// SDK clients with the timeouts of an operator's command.
#[must_use]
pub fn clients(environment: &SdkConfig) -> Clients {
    Clients::new(environment, CallTimeouts::Operator, &Endpoints::default())
}

/// The parts of a stack's ARN: `arn:aws:cloudformation:<region>:<account>:stack/<name>/<uuid>`.
struct StackArn<'a> {
    region: &'a str,
    account: &'a str,
    name: &'a str,
}

impl<'a> StackArn<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<_> = text.splitn(6, ':').collect();
        let ["arn", _, "cloudformation", region, account, resource] = parts[..] else { return None };
        let name = resource.strip_prefix("stack/")?.split('/').next()?;
        let is_complete = ![region, account, name].contains(&"");
        is_complete.then_some(Self { region, account, name })
    }
}

fn in_region(environment: &SdkConfig, region: &str) -> SdkConfig {
    environment.to_builder().region(Region::new(region.to_owned())).build()
}

fn why_not_found(name: &str, region: &str, code: Option<&str>) -> CommandError {
    match code {
        Some("ValidationError") => ExitCode::NotFound.error(format!(
            "there is no stack {name} in {region}: `aws cloudformation list-stacks` lists the stacks"
        )),
        Some(code) => ExitCode::Unreachable.error(format!("the stack {name} in {region} cannot be read: {code}")),
        None => ExitCode::Unreachable.error(format!(
            "CloudFormation in {region} cannot be reached: check the region (AWS_REGION) and the credentials (AWS_PROFILE)"
        )),
    }
}

fn secret_error(provider: &str, what: &str) -> CommandError {
    ExitCode::Unreachable.error(format!(
        "the secret of {provider} cannot be {what}: check the credentials and their permissions for Secrets Manager"
    ))
}

impl DeployedStack {
    /// Looks the stack up in CloudFormation, by its name in the region of the environment, or by its ARN.
    ///
    /// # Errors
    /// When the stack does not exist or cannot be read.
    pub async fn find(name: &str) -> Result<Self> {
        let mut environment = aws_environment().await;
        if let Some(arn) = StackArn::parse(name) {
            environment = in_region(&environment, arn.region);
        } else if name.starts_with("arn:") {
            bail!(ExitCode::Usage.error(format!("{name} is not the ARN of a stack")));
        }
        let client = aws_sdk_cloudformation::Client::new(&environment);
        let Some(region) = environment.region().map(AsRef::as_ref) else {
            let advice = "set AWS_REGION, choose a profile that has one with AWS_PROFILE, or give the ARN of the stack";
            bail!(ExitCode::Usage.error(format!("the region of the stack {name} is not known: {advice}")));
        };
        let output = client.describe_stacks().stack_name(name).send().await;
        let output = output.map_err(|error| {
            let message = why_not_found(name, region, error.as_service_error().and_then(ProvideErrorMetadata::code));
            anyhow!(error).context(message)
        })?;
        let stack = output.stacks.unwrap_or_default().into_iter().next().context("CloudFormation returned no stack")?;
        let id = stack.stack_id.unwrap_or_default();
        let arn = StackArn::parse(&id).context("CloudFormation returned no ARN of the stack")?;
        let outputs = stack.outputs.unwrap_or_default().into_iter();
        let parameters = stack.parameters.unwrap_or_default().into_iter();
        let environment = in_region(&environment, arn.region);
        let cloudwatch = aws_sdk_cloudwatch::Client::new(&environment);
        Ok(Self {
            name: arn.name.to_owned(),
            region: arn.region.to_owned(),
            account: arn.account.to_owned(),
            clients: clients(&environment),
            cloudformation: aws_sdk_cloudformation::Client::new(&environment),
            oldest_messages: OldestMessages::CloudWatch(cloudwatch.clone()),
            cloudwatch,
            environment,
            outputs: outputs.filter_map(|output| Some((output.output_key?, output.output_value?))).collect(),
            parameters: parameters.filter_map(|it| Some((it.parameter_key?, it.parameter_value?))).collect(),
        })
    }

    /// One line that names the stack, its region and its account.
    #[must_use]
    pub fn announcement(&self) -> String {
        format!("stack {} in {}, account {}", self.name, self.region, self.account)
    }

    /// The value of an output. Letter case does not matter.
    ///
    /// # Errors
    /// When the stack has no such output.
    pub fn output(&self, name: &str) -> Result<&str> {
        match self.outputs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)) {
            Some((_, value)) => Ok(value),
            None => bail!("the stack {} has no output {name}: was it deployed from this template.yaml?", self.name),
        }
    }

    /// The value of a parameter, if the stack has it.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// The scheme that verifies the provider's deliveries. The variable `PLAIN_SIGNATURE` of the function has its value
    /// from the parameter `PlainSignature`.
    ///
    /// # Errors
    /// When the value of the parameter is not a scheme.
    pub fn scheme(&self, provider: &Provider) -> Result<Scheme> {
        let name = provider.scheme_variable.map(|variable| variable.replace('_', ""));
        let setting = name.and_then(|name| self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(&name)));
        Ok((provider.scheme)(setting.map(|(_, value)| value.as_str()))?)
    }

    /// Whether the provider's function refuses requests that arrive by another domain name than its own, where a client
    /// certificate is required: the parameter `RequirePlainDomainName`.
    #[must_use]
    pub fn requires_domain_name(&self, provider: &Provider) -> bool {
        let name = format!("Require{}DomainName", provider.name);
        self.parameters.iter().any(|(key, value)| key.eq_ignore_ascii_case(&name) && value == "true")
    }

    /// How the stack erases customers: the parameters `ErasureSystems` and `CleanupHoldMinutes`.
    ///
    /// # Errors
    /// When the stack was deployed from another template.
    pub fn erasure(&self) -> Result<ErasureSettings> {
        let parameter = |name: &str| {
            self.parameter(name).with_context(|| {
                format!("the stack {} has no parameter {name}: was it deployed from this template.yaml?", self.name)
            })
        };
        let hold = parameter("CleanupHoldMinutes")?;
        let hold = hold.parse().with_context(|| format!("CleanupHoldMinutes is `{hold}`, which is not a number"))?;
        let awaits_receipts = !parameter("ErasureSystems")?.is_empty();
        Ok(ErasureSettings { awaits_receipts, hold: Duration::from_mins(hold) })
    }

    /// The systems that confirm that they have erased a deleted customer: the parameter `ErasureSystems`.
    #[must_use]
    pub fn erasure_systems(&self) -> Vec<String> {
        self.parameter("ErasureSystems").map_or(vec![], system_names)
    }

    fn secret_arn(&self, provider: &Provider) -> Result<&str> {
        self.output(&format!("{}SecretArn", provider.name))
    }

    /// The secrets of a provider, read as its function reads them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn secrets(&self, provider: &Provider) -> Result<Vec<SecretEntry>> {
        let name = provider.name;
        let request = self.clients.secrets_manager.get_secret_value().secret_id(self.secret_arn(provider)?);
        let output = request.send().await.with_context(|| secret_error(name, "read"))?;
        let text = output.secret_string().with_context(|| format!("the secret of {name} is not text"))?;
        SecretEntry::list(text).map_err(|error| anyhow!("the secret of {name} {error}"))
    }

    /// Replaces the key of a provider's API with which the stack compares its customers.
    ///
    /// # Errors
    /// When the stack does not compare the customers of that provider, or the key cannot be written.
    pub async fn set_api_key(&self, provider: &Provider, key: &str) -> Result<()> {
        let name = provider.name;
        let arn = self.output(&format!("{name}ApiKeySecretArn")).map_err(|_| {
            ExitCode::NotFound.error(format!(
                "the stack {} has no place for an API key of {name}: it exists for Plain and Flexprice, once the stack is \
                 deployed with ReconcileIntervalMinutes",
                self.name
            ))
        })?;
        let request = self.clients.secrets_manager.put_secret_value().secret_id(arn).secret_string(key);
        request.send().await.with_context(|| secret_error(name, "written"))?;
        Ok(())
    }

    /// Replaces the secrets of a provider.
    ///
    /// # Errors
    /// When they cannot be written.
    pub async fn set_secrets(&self, provider: &Provider, secrets: &[SecretEntry]) -> Result<()> {
        let request = self.clients.secrets_manager.put_secret_value().secret_id(self.secret_arn(provider)?);
        let result = request.secret_string(SecretEntry::array(secrets)).send().await;
        result.with_context(|| secret_error(provider.name, "written"))?;
        Ok(())
    }
}
