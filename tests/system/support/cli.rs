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
pub(crate) struct RunningStack(Child, BufReader<std::process::ChildStdout>);

impl RunningStack {
    /// With the URL of its admin port.
    pub(crate) fn with_admin_url(arguments: &[&str]) -> (Self, String) {
        let (running, [.., admin]) = Self::start(arguments);
        (running, format!("http://127.0.0.1:{admin}"))
    }

    /// With the ports of the gateway, DynamoDB, SQS and the admin.
    pub(crate) fn start(arguments: &[&str]) -> (Self, [u16; 4]) {
        let (running, ports, _) = Self::start_command(&mut clientele(&[arguments, &ANY_PORTS].concat()));
        (running, ports)
    }

    /// With everything that it prints before it serves.
    pub(crate) fn start_command(command: &mut Command) -> (Self, [u16; 4], String) {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut running = Self(child, lines);
        let mut shown = String::new();
        let mut ports = [0; 4];
        for (port, name) in ports.iter_mut().zip(["Webhooks", "DynamoDB", "SQS", "Admin"]) {
            let line = running.read_until(name, &mut shown);
            let address = line.split_whitespace().nth(1).unwrap();
            *port = address.rsplit(':').next().unwrap().parse().unwrap();
        }
        (running, ports, shown)
    }

    /// Reads lines up to one that begins like this, and returns that one.
    pub(crate) fn read_until(&mut self, beginning: &str, shown: &mut String) -> String {
        loop {
            let line = self.read_line();
            shown.push_str(&line);
            if line.starts_with(beginning) {
                return line;
            }
        }
    }

    /// The next line that it prints.
    pub(crate) fn read_line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.1.read_line(&mut line).unwrap() > 0, "no more lines");
        line
    }

    /// What the process writes to standard error, if that is a pipe.
    pub(crate) fn stderr(&mut self) -> std::process::ChildStderr {
        self.0.stderr.take().unwrap()
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
