//! `clientele completions`.

use std::process::Command;

use rstest::rstest;

use crate::support::cli::{run, run_with_input};

#[rstest]
#[case("bash", "complete -F _clientele")]
#[case("zsh", "#compdef clientele")]
#[case("fish", "complete -c clientele")]
#[case("powershell", "Register-ArgumentCompleter -Native -CommandName 'clientele'")]
fn each_shell_has_a_script(#[case] shell: &str, #[case] start: &str) {
    let (code, script, errors) = run(&["completions", shell]);
    assert_eq!((code, errors.as_str()), (0, ""));
    for word in [start, "customers", "quarantine", "redrive", "resend", "stack"] {
        assert!(script.contains(word), "{shell} has no {word}");
    }
}

/// Bash itself completes with the script.
#[cfg(target_os = "linux")]
#[test]
fn bash_completes() {
    let (_, script, _) = run(&["completions", "bash"]);
    let completes = |words: &[&str], expected: &str| {
        let (last, others) = words.split_last().unwrap();
        let quoted = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
        let previous_word = others.last().unwrap();
        let call = format!(
            "COMP_WORDS=({quoted}); COMP_CWORD={}; _clientele clientele '{last}' '{previous_word}'; echo \"${{COMPREPLY[@]}}\"",
            others.len()
        );
        let mut bash = Command::new("/bin/bash");
        let (status, shown, errors) = run_with_input(bash.arg("-s").env_clear(), &format!("{script}\n{call}\n"));
        assert_eq!((status, shown.trim(), errors.as_str()), (0, expected, ""), "{words:?}");
    };
    completes(&["clientele", "custom"], "customers");
    completes(&["clientele", "events", "si"], "sign");
    completes(&["clientele", "faults", "set", "--mode", "thr"], "throttle");
}
