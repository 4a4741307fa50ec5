//! What the local stack says about itself once it runs: its addresses, its secrets, and what to try.

use clientele_flow::Queue;
use clientele_model::{Scheme, TokenPlace};
use clientele_providers::PROVIDERS;

use crate::stack::LocalStack;

/// The admin port that the commands use by themselves.
const USUAL_ADMIN: &str = "127.0.0.1:9010";
/// The most columns of a command with its comment.
const COLUMNS_MAX: usize = 100;

/// The commands to try, with what each shows.
const COMMANDS: [(&str, &str); 6] = [
    ("events send flexprice/customer-created", "a new customer of Flexprice"),
    ("customers list --external-id crm-1815", "one person, one item per service"),
    ("import plain", "some 300 customers, read from a list API"),
    ("reconcile flexprice --dry-run", "finds a lost update and a lost delete"),
    ("faults set dynamodb --mode error --for 30s", "then send: parked, and replayed"),
    ("--help", "everything else"),
];

/// The addresses and secrets.
#[must_use]
pub fn addresses(stack: &LocalStack) -> Vec<String> {
    let mut lines = vec![format!("Webhooks   {}   with secrets that only this local stack uses:", stack.url())];
    for function in &stack.template.functions {
        let Some(provider) = PROVIDERS.iter().find(|provider| provider.name == function.name) else { continue };
        let environment = stack.environments.get(provider.name);
        let secrets = environment.and_then(|environment| environment.get("WEBHOOK_SECRETS"));
        let is_in_path = matches!(stack.scheme_and_secret(provider), Ok((Scheme::Token(TokenPlace::Path), _)));
        for route in function.routes.iter().filter(|route| route.path.contains('{') == is_in_path) {
            let path = route.path.replace("{token}", "<secret>");
            lines.push(format!("           {path:<29}{}", secrets.map_or("", String::as_str)));
        }
    }
    lines.push(format!("DynamoDB   http://{}   table customers", stack.dynamodb));
    lines.push(format!("SQS        http://{}   queues {}", stack.sqs, queues(stack)));
    lines.push(format!("Admin      http://{}   the page", stack.admin));
    lines
}

/// The queues that functions send to and the one of `--changes-queue`, and how many others there are: all names do not fit
/// on one line.
fn queues(stack: &LocalStack) -> String {
    let is_of_template = |name: &&str| stack.template.queues.iter().any(|queue| queue.name == **name);
    let of_functions = [Queue::Cleanup, Queue::Inbox, Queue::Quarantine].map(Queue::name);
    let own = stack.queue_urls.keys().map(String::as_str).filter(|name| !is_of_template(name));
    let named: Vec<_> = of_functions.into_iter().chain(own).collect();
    format!("{} and {} others", named.join(", "), stack.queue_urls.len().saturating_sub(named.len()))
}

/// What to try next. `program` is how the reader starts this command.
#[must_use]
pub fn what_to_try(stack: &LocalStack, program: &str) -> Vec<String> {
    let target = match stack.admin.to_string() {
        admin if admin == USUAL_ADMIN => String::new(),
        admin => format!(" --local http://{admin}"),
    };
    let commands = COMMANDS.map(|(command, shows)| {
        let target = if command == "--help" { "" } else { &target };
        (format!("{program} {command}{target}"), shows)
    });
    let width = commands.iter().map(|(command, _)| command.chars().count()).max().unwrap_or_default();
    let comments = commands.iter().map(|(_, shows)| shows.chars().count()).max().unwrap_or_default();
    let mut lines = vec![format!("Open http://{} in a browser. Then try, in another terminal:", stack.admin)];
    for (command, shows) in commands {
        if width + comments + 6 <= COLUMNS_MAX {
            lines.push(format!("  {command:<width$}  # {shows}"));
        } else {
            lines.extend([format!("  # {shows}"), format!("  {command}")]);
        }
    }
    lines
}
