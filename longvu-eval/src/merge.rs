//! One run out of its parts.

use std::collections::BTreeSet;

use crate::{
    AnswerLine, Error, EvalResult, Result, RunFolder, by_name,
    spec::{RunSpec, difference},
};

/// Puts the parts of a run together in `out`. The result is that of a run in one part.
///
/// # Errors
/// Parts of different runs, parts that are missing or there twice, parts that are not finished, and an `out` that holds a
/// run already.
pub fn merge(parts: &[RunFolder], out: &RunFolder) -> Result<EvalResult> {
    let Some(first) = parts.first() else {
        let expected = "name the folders of all parts".into();
        return Err(Error::Setting { setting: "the list of parts", value: "empty".into(), expected });
    };
    let spec: RunSpec = first.spec::<RunSpec>()?.whole();
    let mut seen = BTreeSet::new();
    let of = first.spec::<RunSpec>()?.shard.of();
    let mut answers: Vec<AnswerLine> = Vec::new();
    for part in parts {
        let theirs: RunSpec = part.spec()?;
        if let Some(difference) = difference(&spec, &theirs.whole()) {
            return Err(part.bad(format!("is a part of another run: {difference}")));
        }
        if theirs.shard.of() != of {
            return Err(part.bad(format!("is part {}, and another is one of {of}", theirs.shard)));
        }
        if !seen.insert(theirs.shard.index()) {
            return Err(part.bad(format!("is part {}, which is there twice", theirs.shard)));
        }
        answers.extend(part.answers()?);
    }
    let absent: Vec<String> = (0..of).filter(|index| !seen.contains(index)).map(|i| format!("{i}/{of}")).collect();
    if !absent.is_empty() {
        return Err(first.bad(format!("and the others are not the whole run: parts {} are missing", absent.join(", "))));
    }
    if answers.len() != spec.questions {
        let (found, all) = (answers.len(), spec.questions);
        return Err(
            first.bad(format!("and the others have answers to {found} of {all} questions; finish each part first"))
        );
    }
    answers.sort_by_key(|answer| answer.place);
    out.put_together(&spec, &answers)?;
    out.finish(by_name(&spec.data_set)?.as_ref(), &spec)
}
