//! Which settings were given, and not left as they are.

use std::ffi::OsString;

use clap::{ArgAction, ArgMatches, Args, Command, parser::ValueSource};
use serde::Serialize;

/// A flag, and its value if it has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    pub flag: String,
    pub value: Option<String>,
}

/// The flags of command `name` that this program was called with, or has from the environment, and that are not what they would
/// be anyway; those in `besides` are no settings.
pub fn settings<T: Args>(name: &'static str, besides: &[&str]) -> Vec<Setting> {
    settings_of::<T>(name, std::env::args_os(), besides)
}

fn settings_of<T: Args>(name: &'static str, args: impl Iterator<Item = OsString>, besides: &[&str]) -> Vec<Setting> {
    let verbose = clap::Arg::new("verbose").short('v').long("verbose").action(ArgAction::Count);
    let command = T::augment_args(Command::new(name)).arg(verbose);
    // Before the command's name stands nothing but the program's, and how much it logs.
    let Ok(matches) = command.clone().try_get_matches_from(args.skip_while(|arg| arg != name)) else {
        return Vec::new();
    };
    let is_setting = |arg: &&clap::Arg| !besides.contains(&arg.get_id().as_str()) && arg.get_id() != "verbose";
    command.get_arguments().filter(is_setting).filter_map(|arg| setting(arg, &matches)).collect()
}

fn setting(arg: &clap::Arg, matches: &ArgMatches) -> Option<Setting> {
    let (id, flag) = (arg.get_id().as_str(), format!("--{}", arg.get_long()?));
    if !matches!(matches.value_source(id)?, ValueSource::CommandLine | ValueSource::EnvVariable) {
        return None;
    }
    if !arg.get_action().takes_values() {
        return matches.get_flag(id).then_some(Setting { flag, value: None });
    }
    let values: Vec<OsString> = matches.get_raw(id)?.map(Into::into).collect();
    if arg.get_default_values().iter().map(|value| value.as_os_str()).eq(values.iter().map(OsString::as_os_str)) {
        return None;
    }
    let values: Vec<_> = values.iter().map(|value| value.to_string_lossy()).collect();
    Some(Setting { flag, value: Some(values.join(",")) })
}

/// `given`, with these flags and values in place of those that are there or beside them.
pub fn with_others(mut given: Vec<Setting>, others: &[(String, String)]) -> Vec<Setting> {
    const SAMPLING: [&str; 4] = ["--fps", "--every", "--uniform", "--timestamps"];
    for (flag, value) in others {
        let flag = format!("--{flag}");
        // Frames are sampled in one way.
        let replaced = |known: &str| known == flag || (SAMPLING.contains(&known) && SAMPLING.contains(&flag.as_str()));
        given.retain(|setting| !replaced(&setting.flag));
        given.push(Setting { flag, value: Some(value.clone()) });
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{FrameArgs, ModelArgs};

    #[derive(Args)]
    struct Both {
        #[command(flatten)]
        _model: ModelArgs,
        #[command(flatten)]
        _frames: FrameArgs,
    }

    fn given(line: &str) -> Vec<Setting> {
        settings_of::<Both>("both", line.split(' ').map(Into::into), &["device"])
    }

    fn setting(flag: &str, value: &str) -> Setting {
        Setting { flag: flag.into(), value: Some(value.into()) }
    }

    #[test]
    fn what_is_as_it_would_be_is_no_setting() {
        let found = given("longvu -v both --model a -d cpu --dtype f32 --no-mmap --timestamps 1,2 --preset paper");
        let no_mmap = Setting { flag: "--no-mmap".into(), value: None };
        assert_eq!(
            found,
            [setting("--model", "a"), no_mmap, setting("--timestamps", "1,2"), setting("--preset", "paper")]
        );
    }

    #[test]
    fn others_take_their_places() {
        let others = [("uniform".to_owned(), "3".to_owned()), ("preset".to_owned(), "mlvu".to_owned())];
        let found = with_others(given("longvu both --model a --fps 2 --preset paper"), &others);
        assert_eq!(found, [setting("--model", "a"), setting("--uniform", "3"), setting("--preset", "mlvu")]);
    }
}
