//! The flags for what the library names as settings.

use longvu::{
    Error, MemoryPlan,
    plan::{Advice, Change},
    text::{chain, told},
};
use serde::{Serialize, Serializer, ser::Error as _};

/// Settings of the library, and the flags that set them.
const FLAGS: [(&str, &str); 13] = [
    ("decoder_stage", "--decoder fastv:k=K,r=SHARE"),
    ("dino_threshold", "--dino-threshold X"),
    ("end", "--end TIME"),
    ("max_len", "--max-len N"),
    ("preset", "--preset NAME"),
    ("repeats", "--repeats LEVELS"),
    ("spatial_stage", "--spatial NAME"),
    ("start", "--start TIME"),
    ("tower_batch", "--tower-batch N"),
    ("towers", "--towers DIR"),
    ("visual_tokens", "--budget TOKENS"),
    ("waiting_frames", "--waiting-frames N"),
    ("weights", "--dtype TYPE, --quantize BITS"),
];

/// What an error and its causes say, with the flags that may help.
pub fn message(error: &anyhow::Error) -> String {
    match library(error) {
        Some(Error::Memory(plan)) => told(&plan.shortage_with(advice)),
        Some(Error::BadEncoding { .. }) => format!("{} (longvu encode)", chain(error.as_ref())),
        Some(Error::BadFeatures { .. }) => format!("{} (longvu features)", chain(error.as_ref())),
        Some(known) => {
            let flags = known.settings().iter().filter_map(|setting| flag(setting)).collect::<Vec<_>>();
            let said = chain(error.as_ref());
            if flags.is_empty() { said } else { format!("{said} ({})", flags.join(", ")) }
        }
        None => chain(error.as_ref()),
    }
}

/// The pipeline's own error in `error`.
fn library(error: &anyhow::Error) -> Option<&Error> {
    #[cfg(feature = "train")]
    if let Some(longvu_train::Error::LongVu(error)) = error.downcast_ref() {
        return Some(error);
    }
    error.downcast_ref()
}

fn flag(setting: &str) -> Option<&'static str> {
    FLAGS.iter().find(|(name, _)| *name == setting).map(|(_, flag)| *flag)
}

/// An advice as flags.
pub fn advice(advice: &Advice) -> String {
    advice.changes.iter().map(change).collect::<Vec<_>>().join(" ")
}

fn change(change: &Change) -> String {
    match change {
        Change::OnDemand => "--low-memory".into(),
        Change::TowerBatch(frames) => format!("--tower-batch {frames}"),
        Change::Dtype(dtype) => format!("--dtype {dtype}"),
        Change::Quantize(quantize) => format!("--quantize {quantize}"),
        Change::MaxFrames(frames) => format!("--max-frames {frames}"),
        Change::MaxLen(tokens) => format!("--max-len {tokens}"),
        other => other.to_string(),
    }
}

/// A plan as the program writes it: its advice in flags.
pub struct Forecast<'a>(pub &'a MemoryPlan);

impl Serialize for Forecast<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut value = serde_json::to_value(self.0).map_err(S::Error::custom)?;
        for (advice, told) in self.0.advice.iter().zip(value["advice"].as_array_mut().into_iter().flatten()) {
            told["changes"] = advice.changes.iter().map(change).collect();
        }
        value.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_flag_is_one() {
        let command = Cli::command();
        let ask = command.find_subcommand("ask").unwrap();
        let known: Vec<_> = ask.get_arguments().filter_map(|argument| argument.get_long()).collect();
        let changes =
            [Change::OnDemand, Change::TowerBatch(1), Change::MaxFrames(1), Change::MaxLen(1)].map(|c| change(&c));
        let flags = FLAGS.iter().map(|(_, flag)| *flag).chain(changes.iter().map(String::as_str));
        for flag in flags {
            let name = flag.split(' ').next().and_then(|flag| flag.strip_prefix("--")).unwrap();
            assert!(known.contains(&name), "{flag}");
        }
    }

    #[test]
    fn an_error_names_the_flags_for_its_settings() {
        let message = message(&Error::NoFrames.into());
        assert!(message.ends_with("(--start TIME, --end TIME)"), "{message}");
        let spill =
            Error::Spill { folder: "/some/disk".into(), bytes: 0, source: std::io::ErrorKind::StorageFull.into() };
        let message = super::message(&anyhow::Error::from(spill).context("no encoding"));
        assert!(message.starts_with("no encoding: frames that wait"), "{message}");
        assert!(message.ends_with("(--waiting-frames N)"), "{message}");
    }
}
