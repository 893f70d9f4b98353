//! Names that resemble one nobody knows.

/// Likeness, between 0 and 1, above which one name may stand for another by mistake.
const ALIKE: f64 = 0.85;

/// Names shown at most.
const SHOWN: usize = 3;

/// Those of `known` that `name` may have been meant for, the likeliest first.
pub fn alike<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let likeness = |known| strsim::jaro_winkler(name, known);
    let mut near: Vec<_> = known.into_iter().map(|known| (likeness(known), known)).collect();
    near.retain(|&(likeness, _)| likeness > ALIKE);
    near.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    near.into_iter().take(SHOWN).map(|(_, known)| known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_are_recognised_and_others_are_not() {
        let known = ["top_k", "top_p", "temperature", "drop_threshold", "dino_threshold"];
        assert_eq!(alike("temperatures", known), ["temperature"]);
        assert_eq!(alike("dino_thresholds", known)[0], "dino_threshold");
        assert_eq!(alike("topk", known), ["top_k"]);
        assert!(alike("colour", known).is_empty());
    }
}
