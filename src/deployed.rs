//! A deployed stack: what CloudFormation says of it. `template.yaml` names the outputs and parameters that are read here.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use aws_config::SdkConfig;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use clientele_model::{Provider, Scheme};

/// A stack that was deployed from template.yaml.
#[derive(Debug)]
pub struct Deployed {
    /// Its name.
    pub name: String,
    outputs: BTreeMap<String, String>,
    parameters: BTreeMap<String, String>,
}

impl Deployed {
    /// Asks CloudFormation.
    ///
    /// # Errors
    /// When there is no such stack, or it cannot be read.
    pub async fn find(config: &SdkConfig, name: &str) -> Result<Self> {
        let client = aws_sdk_cloudformation::Client::new(config);
        let region = config.region().map_or("no region", |region| region.as_ref()).to_owned();
        let output = client.describe_stacks().stack_name(name).send().await.map_err(|error| {
            let why = match error.as_service_error().and_then(ProvideErrorMetadata::code) {
                Some("ValidationError") => format!("there is no stack {name} in {region}: `sam list stack-outputs` shows what there is"),
                Some(code) => format!("the stack {name} cannot be read in {region}: {code}"),
                None => format!("CloudFormation cannot be reached in {region}: look at the region (AWS_REGION) and the credentials (AWS_PROFILE)"),
            };
            anyhow!(error).context(why)
        })?;
        let stack = output.stacks.unwrap_or_default().into_iter().next().context("no stack in the answer")?;
        let outputs = stack.outputs.unwrap_or_default().into_iter();
        let parameters = stack.parameters.unwrap_or_default().into_iter();
        Ok(Self {
            name: name.to_owned(),
            outputs: outputs.filter_map(|output| Some((output.output_key?, output.output_value?))).collect(),
            parameters: parameters.filter_map(|it| Some((it.parameter_key?, it.parameter_value?))).collect(),
        })
    }

    /// An output of the stack.
    ///
    /// # Errors
    /// When it has none of that name.
    pub fn output(&self, name: &str) -> Result<&str> {
        let same = |known: &&String| known.eq_ignore_ascii_case(name);
        let Some(known) = self.outputs.keys().find(same) else {
            bail!("the stack {} has no output {name}: was it deployed from this template.yaml?", self.name)
        };
        Ok(&self.outputs[known])
    }

    /// The secret of a provider in Secrets Manager: its ARN.
    ///
    /// # Errors
    /// When the stack has none.
    pub fn secret_arn(&self, provider: &Provider) -> Result<&str> {
        self.output(&format!("{}SecretArn", provider.name))
    }

    /// The scheme by which a provider's deliveries are verified: the parameter `PlainSignature` for `PLAIN_SIGNATURE`.
    ///
    /// # Errors
    /// When the stack has another idea of schemes.
    pub fn scheme(&self, provider: &Provider) -> Result<Scheme> {
        let setting = provider.scheme_variable.and_then(|variable| {
            let variable = variable.replace('_', "");
            self.parameters
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(&variable))
                .map(|(_, value)| value.as_str())
        });
        Ok((provider.scheme)(setting)?)
    }
}
