//! Which part of the work is whose.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// One of several parts of a list of videos.
///
/// A video's part depends on its name alone, by SHA-256: lists in another order, or with videos added, are divided alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    index: u32,
    of: u32,
}

impl Shard {
    /// Everything in one part.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Part `index` of `of`, counted from 0.
    ///
    /// # Errors
    /// No parts, or an index that is not below their number.
    pub fn new(index: u32, of: u32) -> Result<Self> {
        if index < of {
            return Ok(Self { index, of });
        }
        let expected = "write I/N, parts I being counted from 0 to N - 1: 0/8 to 7/8 for eight".into();
        Err(Error::Setting { setting: "the shard", value: format!("{index}/{of}"), expected })
    }

    /// The part that this process has by its environment: of a Slurm array (`SLURM_ARRAY_TASK_ID`, counted from
    /// `SLURM_ARRAY_TASK_MIN`, of `SLURM_ARRAY_TASK_COUNT`), of an Indexed Job of Kubernetes (`JOB_COMPLETION_INDEX`
    /// of `JOB_COMPLETIONS`), or of any launcher that sets `RANK` and `WORLD_SIZE`.
    ///
    /// # Errors
    /// None of these, or half of a pair: to take everything then would do the work several times.
    pub fn from_environment() -> Result<Self> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self> {
        const PAIRS: [(&str, &str); 3] = [
            ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"),
            ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"),
            ("RANK", "WORLD_SIZE"),
        ];
        let wrong = |value: String, expected: &str| Error::Setting {
            setting: "the shard",
            value,
            expected: expected.to_owned(),
        };
        for (index, of) in PAIRS {
            let (Some(index_text), of_text) = (get(index), get(of)) else { continue };
            let Some(of_text) = of_text else {
                return Err(wrong(format!("that of {index}"), &format!("set {of} too, or name the part as I/N")));
            };
            let number = |name: &str, text: &str| {
                text.trim().parse::<u32>().map_err(|_| wrong(format!("{name}={text}"), "it is no number"))
            };
            let first = match (index, get("SLURM_ARRAY_TASK_MIN")) {
                ("SLURM_ARRAY_TASK_ID", Some(first)) => number("SLURM_ARRAY_TASK_MIN", &first)?,
                _ => 0,
            };
            return Self::new(number(index, &index_text)?.wrapping_sub(first), number(of, &of_text)?);
        }
        Err(wrong(
            "that of the environment".into(),
            "SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX or RANK must be set; else name the part as I/N",
        ))
    }

    /// Its number, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many parts there are.
    pub fn of(self) -> u32 {
        self.of
    }

    /// Whether a video of this name is in it.
    pub fn has(self, name: &str) -> bool {
        let digest = Sha256::digest(name.as_bytes());
        let first: [u8; 8] = std::array::from_fn(|i| digest[i]);
        u64::from_be_bytes(first) % u64::from(self.of) == u64::from(self.index)
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self::WHOLE
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = Error;

    /// `I/N`, or `auto` for [`Shard::from_environment`].
    fn from_str(text: &str) -> Result<Self> {
        if text == "auto" {
            return Self::from_environment();
        }
        let parts = text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        let (index, of) = parts.ok_or_else(|| Error::Setting {
            setting: "the shard",
            value: format!("`{text}`"),
            expected: "write I/N, such as 0/8, or auto".into(),
        })?;
        Self::new(index, of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_in_one_part_whatever_the_order() {
        for of in [1, 2, 4, 7] {
            let mut sizes = vec![0; of as usize];
            for video in 0..1000 {
                let name = format!("video-{video}");
                let owners: Vec<u32> = (0..of).filter(|&i| Shard::new(i, of).unwrap().has(&name)).collect();
                assert_eq!(owners.len(), 1);
                sizes[owners[0] as usize] += 1;
            }
            assert!(sizes.iter().all(|&size| size > 1000 / of as usize / 2), "{sizes:?}");
        }
        // Part of the format of what other runs have divided.
        assert!(Shard::new(2, 4).unwrap().has("a") && Shard::new(1, 2).unwrap().has("d"), "the hash has changed");
    }

    #[test]
    fn parts_are_read() {
        assert_eq!("2/8".parse::<Shard>().unwrap(), Shard { index: 2, of: 8 });
        for text in ["8/8", "0/0", "1", "a/b", "-1/2", "1/2/3", ""] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.to_string().contains("I/N"), "{text}: {error}");
        }
    }

    #[test]
    fn launchers_are_known() {
        let from = |set: &[(&str, &str)]| {
            Shard::from_variables(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        let slurm = [("SLURM_ARRAY_TASK_ID", "5"), ("SLURM_ARRAY_TASK_COUNT", "8"), ("SLURM_ARRAY_TASK_MIN", "1")];
        assert_eq!(from(&slurm).unwrap().to_string(), "4/8");
        assert_eq!(from(&slurm[..2]).unwrap().to_string(), "5/8");
        assert_eq!(from(&[("JOB_COMPLETION_INDEX", "0"), ("JOB_COMPLETIONS", "3")]).unwrap().to_string(), "0/3");
        assert_eq!(from(&[("RANK", "1"), ("WORLD_SIZE", "2")]).unwrap().to_string(), "1/2");
        for set in
            [&[][..], &[("RANK", "1")], &[("RANK", "x"), ("WORLD_SIZE", "2")], &[("RANK", "2"), ("WORLD_SIZE", "2")]]
        {
            assert!(from(set).is_err(), "{set:?}");
        }
    }
}
