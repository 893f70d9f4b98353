//! Which vision towers a LongVU checkpoint was made with, and where they may lie.

use std::{fmt, str::FromStr};

use serde::Serialize;

use crate::{Error, Result};

/// A family of vision towers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum TowerFamily {
    /// `google/siglip-so400m-patch14-384` and its kin.
    Siglip,
    /// `facebook/dinov2-giant` and its kin.
    Dinov2,
}

impl fmt::Display for TowerFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Siglip => "SigLIP",
            Self::Dinov2 => "DINOv2",
        })
    }
}

/// One entry of `mm_vision_tower_aux_list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TowerRef {
    /// The entry as written.
    pub entry: String,
    /// Its family.
    pub family: TowerFamily,
    /// The Hugging Face repository that holds its weights.
    pub repo: String,
    /// Input side in pixels where the entry fixes it with `-resNNN`.
    pub resolution: Option<usize>,
}

/// Where the published package finds the SigLIP that its configs call `siglip/CLIP-ViT-SO400M-14-384`.
const SIGLIP_ALIASES: [(&str, &str); 2] = [
    ("siglip/clip-vit-so400m-14-384", "google/siglip-so400m-patch14-384"),
    ("siglip/clip-vit-so400m-14", "google/siglip-so400m-patch14-224"),
];

impl FromStr for TowerRef {
    type Err = Error;

    fn from_str(entry: &str) -> Result<Self> {
        let fail = |reason: String| Error::Config { path: "mm_vision_tower_aux_list".into(), reason };
        let lower = entry.to_ascii_lowercase();
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (base, resolution) = match lower.rsplit_once("-res") {
            Some((base, digits)) if is_number(digits) => {
                let side = digits.parse::<usize>().ok().filter(|&side| side > 0);
                let side =
                    side.ok_or_else(|| fail(format!("`{entry}` asks for pictures of {digits} pixels a side")))?;
                (&entry[..base.len()], Some(side))
            }
            _ => (entry, None),
        };
        let alias = SIGLIP_ALIASES.iter().find(|(name, _)| base.eq_ignore_ascii_case(name));
        let repo = alias.map_or(base, |(_, repo)| repo).to_owned();
        let family = if lower.contains("dinov2") {
            TowerFamily::Dinov2
        } else if lower.contains("siglip") {
            TowerFamily::Siglip
        } else {
            return Err(fail(format!("`{entry}` names no known tower; a DINOv2 or a SigLIP is expected")));
        };
        Ok(Self { entry: entry.to_owned(), family, repo, resolution })
    }
}

impl TowerRef {
    /// Folder names under which a local copy is looked for, likeliest first.
    ///
    /// None leads out of the folder that it is looked for in, whatever the entry says.
    pub fn folder_names(&self) -> Vec<String> {
        let family = match self.family {
            TowerFamily::Siglip => "siglip",
            TowerFamily::Dinov2 => "dinov2",
        };
        let base = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let mut names = vec![self.repo.clone(), base(&self.repo), family.to_owned(), base(&self.entry)];
        names.retain(|name| is_below(name));
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }
}

/// Whether `name` is a path from a folder to one below it, on every system.
fn is_below(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    !name.contains(['\\', ':', '\0']) && name.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_entries_are_understood() {
        let dino: TowerRef = "facebook/dinov2-giant-res378".parse().unwrap();
        assert_eq!((dino.repo.as_str(), dino.resolution), ("facebook/dinov2-giant", Some(378)));
        assert_eq!(dino.family, TowerFamily::Dinov2);
        let siglip: TowerRef = "siglip/CLIP-ViT-SO400M-14-384".parse().unwrap();
        assert_eq!((siglip.repo.as_str(), siglip.resolution), ("google/siglip-so400m-patch14-384", None));
        assert!(siglip.folder_names().contains(&"siglip".to_owned()));
        let odd: TowerRef = "facebook/dinov2-res".parse().unwrap();
        assert_eq!((odd.repo.as_str(), odd.resolution), ("facebook/dinov2-res", None));
        assert!("openai/clip-vit-large".parse::<TowerRef>().is_err());
    }

    #[test]
    fn sides_that_no_picture_has_are_refused() {
        let entry = |side: &str| format!("facebook/dinov2-giant-res{side}").parse::<TowerRef>();
        assert_eq!(entry("8192").unwrap().resolution, Some(8192));
        for side in ["0", "18446744073709551616", "99999999999999999999999999"] {
            let error = entry(side).unwrap_err().to_string();
            assert!(error.contains("mm_vision_tower_aux_list") && error.contains(side), "{error}");
        }
    }

    #[test]
    fn no_name_leads_out_of_its_folder() {
        for entry in ["/etc/dinov2", "../dinov2", "a/../../dinov2", "..\\dinov2", "C:dinov2", "dinov2/..", "a//dinov2/"]
        {
            let names = entry.parse::<TowerRef>().unwrap().folder_names();
            assert!(names.contains(&"dinov2".to_owned()), "{names:?}");
            assert!(names.iter().all(|name| is_below(name)), "{names:?}");
        }
        let plain: TowerRef = "facebook/dinov2-giant-res378".parse().unwrap();
        assert_eq!(plain.folder_names(), ["facebook/dinov2-giant", "dinov2-giant", "dinov2", "dinov2-giant-res378"]);
    }
}
