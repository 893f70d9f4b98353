//! Decoding processes: a test program of its own, for decoding runs this program again, and its `main` must know that.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

#[path = "decode/cases.rs"]
mod cases;
#[path = "decode/faults.rs"]
mod faults;
#[path = "decode/prison.rs"]
mod prison;
#[path = "decode/support.rs"]
mod support;

use std::{env, panic, process::ExitCode};

/// A test's name and what it does.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    longvu_server::init();
    if let Some(role) = env::var_os(support::ROLE) {
        prison::play(role.to_str().expect("a role"));
        return ExitCode::SUCCESS;
    }
    let tests = [cases::TESTS, faults::TESTS, prison::TESTS].concat();
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let is_chosen = |name: &str| {
        let names =
            |filter: &&String| if has("--exact") { name == filter.as_str() } else { name.contains(filter.as_str()) };
        // `terse` is a value of `--format`.
        let filters = filters.iter().filter(|filter| filter.as_str() != "terse");
        filters.clone().next().is_none() || filters.clone().any(names)
    };
    // None is to be left out unless asked for.
    let chosen = tests.iter().filter(|(name, _)| is_chosen(name) && !has("--ignored"));
    if has("--list") {
        chosen.for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for (name, test) in chosen {
        let passed = panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
