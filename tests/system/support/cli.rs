//! Runs the `clientele` command.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use crate::support::root;

/// Exit code, standard output, standard error.
pub(crate) fn run(arguments: &[&str]) -> (i32, String, String) {
    run_with_input(&mut clientele(arguments), "")
}

/// The same for a prepared command, which reads that from standard input.
pub(crate) fn run_with_input(command: &mut Command, input: &str) -> (i32, String, String) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Not every command reads its input.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

pub(crate) const ANY_PORTS: [&str; 8] = ["--port", "0", "--dynamodb-port", "0", "--sqs-port", "0", "--admin-port", "0"];

/// The command with an empty environment and in the project's folder. No variable of whoever runs the tests can change
/// what it does.
pub(crate) fn clientele(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clientele"));
    command.args(arguments).current_dir(root("")).env_clear();
    command
}

/// The arguments with `--local` and the URL of an admin port.
pub(crate) fn with_local<'a>(arguments: &[&'a str], admin: &'a str) -> Vec<&'a str> {
    [arguments, &["--local", admin]].concat()
}

/// A local stack in another process. Its output is kept open, so that it can go on writing. Dropping it kills it.
pub(crate) struct RunningStack(Child, #[expect(dead_code, reason = "held open")] BufReader<std::process::ChildStdout>);

impl RunningStack {
    /// With the URL of its admin port.
    pub(crate) fn with_admin_url(arguments: &[&str]) -> (Self, String) {
        let (running, [.., admin]) = Self::start(arguments);
        (running, format!("http://127.0.0.1:{admin}"))
    }

    /// With the ports of the gateway, DynamoDB, SQS and the admin.
    pub(crate) fn start(arguments: &[&str]) -> (Self, [u16; 4]) {
        let mut child = clientele(&[arguments, &ANY_PORTS].concat()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut ports = [0; 4];
        for (port, name) in ports.iter_mut().zip(["Webhooks", "DynamoDB", "SQS", "Admin"]) {
            let mut line = String::new();
            while !line.starts_with(name) {
                line.clear();
                assert!(lines.read_line(&mut line).unwrap() > 0, "no line {name}");
            }
            let address = line.split_whitespace().nth(1).unwrap();
            *port = address.rsplit(':').next().unwrap().parse().unwrap();
        }
        (Self(child, lines), ports)
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for RunningStack {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
