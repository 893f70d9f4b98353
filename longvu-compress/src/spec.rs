//! A stage's name and settings as text, and what its settings say.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use longvu_core::ErrorKind;

use crate::StageName;

/// A stage that can be had by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct NamedStage {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    /// Its settings, each with what it is unless it is set.
    pub settings: &'static [(&'static str, &'static str)],
}

impl NamedStage {
    /// A name, what the stage does in a line, and its settings, each with what it is unless it is set.
    pub const fn new(
        name: &'static str,
        about: &'static str,
        settings: &'static [(&'static str, &'static str)],
    ) -> Self {
        Self { name, about, settings }
    }
}

/// A stage's name and settings as somebody wrote them: `NAME`, or `NAME:SETTING=VALUE,…`.
///
/// A share that a pruner keeps or drops may be `fit`: as many tokens as fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageSpec {
    pub(crate) name: String,
    pub(crate) settings: Vec<(String, String)>,
}

/// Why a [`StageSpec`] is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{spec}: {reason}")]
#[non_exhaustive]
pub struct BadStageSpec {
    /// What was written.
    pub spec: String,
    /// What is wrong with it, and what would do.
    pub reason: String,
}

impl BadStageSpec {
    /// What a caller can do something about.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::BadInput
    }
}

impl FromStr for StageSpec {
    type Err = BadStageSpec;

    fn from_str(text: &str) -> Result<Self, BadStageSpec> {
        let bad = |reason: String| BadStageSpec { spec: text.to_owned(), reason };
        let (name, rest) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        if name.trim().is_empty() {
            return Err(bad("write NAME, or NAME:SETTING=VALUE,SETTING=VALUE".into()));
        }
        let mut settings: Vec<(String, String)> = Vec::new();
        for part in rest.into_iter().flat_map(|rest| rest.split(',')) {
            let Some((key, value)) = part.split_once('=') else {
                return Err(bad(format!("`{part}` is no setting; write SETTING=VALUE")));
            };
            let key = key.trim().to_owned();
            if settings.iter().any(|(known, _)| *known == key) {
                return Err(bad(format!("`{key}` is set twice")));
            }
            settings.push((key, value.trim().to_owned()));
        }
        Ok(Self { name: name.trim().to_owned(), settings })
    }
}

impl fmt::Display for StageSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (i, (key, value)) in self.settings.iter().enumerate() {
            write!(f, "{}{key}={value}", if i == 0 { ':' } else { ',' })?;
        }
        Ok(())
    }
}

impl StageSpec {
    /// The stage's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same with settings that are not named as `stage` has them.
    pub(crate) fn completed(&self, stage: &NamedStage) -> Self {
        let value = |name: &str, default: &str| self.value(name).unwrap_or(default).to_owned();
        let settings = stage.settings.iter().map(|(name, default)| ((*name).to_owned(), value(name, default)));
        Self { name: self.name.clone(), settings: settings.collect() }
    }

    pub(crate) fn bad(&self, reason: String) -> BadStageSpec {
        BadStageSpec { spec: self.to_string(), reason }
    }

    /// Refuses names that are not `known`, and settings that those have not.
    pub(crate) fn check_among(&self, stage: StageName, known: &[NamedStage]) -> Result<(), BadStageSpec> {
        let Some(named) = known.iter().find(|named| named.name == self.name) else {
            let names: Vec<&str> = known.iter().map(|named| named.name).collect();
            return Err(self.bad(format!("no {stage} stage is called that; there are {}", names.join(", "))));
        };
        let unknown = |(key, _): &&(String, String)| !named.settings.iter().any(|(name, _)| name == key);
        match self.settings.iter().find(unknown) {
            Some((key, _)) if named.settings.is_empty() => {
                Err(self.bad(format!("`{}` has no settings, and so no `{key}`", named.name)))
            }
            Some((key, _)) => {
                let names: Vec<&str> = named.settings.iter().map(|(name, _)| *name).collect();
                Err(self.bad(format!("`{}` has no setting `{key}`; it has {}", named.name, names.join(", "))))
            }
            None => Ok(()),
        }
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn get<T: FromStr>(&self, name: &str, default: T, expected: &str) -> Result<T, BadStageSpec> {
        let Some(value) = self.value(name) else { return Ok(default) };
        value.parse().map_err(|_| self.bad(format!("{name} is {value}; write {expected}")))
    }

    pub(crate) fn count(&self, name: &str, default: usize) -> Result<usize, BadStageSpec> {
        match self.get(name, default, "a whole number from 1 on")? {
            0 => Err(self.bad(format!("{name} is 0; write a whole number from 1 on"))),
            count => Ok(count),
        }
    }

    pub(crate) fn number(&self, name: &str, default: f64, range: RangeInclusive<f64>) -> Result<f64, BadStageSpec> {
        let number: f64 = self.get(name, default, "a number")?;
        if number.is_finite() && range.contains(&number) {
            return Ok(number);
        }
        let bounded = range.end().is_finite();
        let expected = if bounded {
            format!("from {} to {}", range.start(), range.end())
        } else {
            "that is finite, and not negative where that makes no sense".into()
        };
        Err(self.bad(format!("{name} is {number}; write a number {expected}")))
    }

    /// A share of tokens; `None` for as many as fit.
    pub(crate) fn share(&self, name: &str, default: Option<f64>) -> Result<Option<f64>, BadStageSpec> {
        match self.value(name) {
            None => Ok(default),
            Some("fit") => Ok(None),
            Some(_) => self.number(name, 0.0, 0.0..=1.0).map(Some),
        }
    }
}
