//! Asking a question about an encoded video, and reading which option the model means.

use std::time::Instant;

use longvu::{EncodedVideo, GenerationConfig, LongVu, compress::FusionReport, llm::Conversation};

use crate::{Choose, Error, EvalSettings, FrameCount, LetterRule, Result, datasets, letter};

/// What came of a question.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chosen {
    pub text: String,
    pub choice: Option<usize>,
    pub likelihoods: Vec<f64>,
    pub frames: FrameCount,
    pub prompt_tokens: usize,
    pub visual_tokens: usize,
    pub seconds: f64,
}

/// Asks `prompt`, which has `options` lettered options, and reads an answer's letter by `rule`.
///
/// # Errors
/// As [`LongVu::reply`]; a tokenizer that has no single token for a letter, where options are chosen by likelihood.
pub fn ask(
    model: &LongVu,
    encoded: &EncodedVideo,
    prompt: &str,
    (options, rule): (usize, LetterRule),
    settings: &EvalSettings,
) -> Result<Chosen> {
    let start = Instant::now();
    let mut conversation = Conversation::new(1);
    if let Some(system) = &settings.system {
        conversation = conversation.with_system(system);
    }
    conversation.push_user(prompt);
    let config = GenerationConfig::default().with_max_new_tokens(settings.max_new_tokens);
    let mut stream = model.reply(&[encoded], &conversation, &config)?;
    let (likelihoods, answer) = match settings.choose {
        Choose::Letter => (Vec::new(), stream.finish()?),
        Choose::Likelihood => {
            let tokens = letter_tokens(model, options)?;
            let logits = stream.next_logits();
            (softmax(&logits, &tokens)?, stream.answer().clone())
        }
    };
    let choice = match settings.choose {
        Choose::Letter => letter::read(settings.prompt, rule, &answer.text, options),
        Choose::Likelihood => highest(&likelihoods),
    };
    let frames = frames(encoded, &answer);
    Ok(Chosen {
        choice,
        likelihoods,
        frames,
        prompt_tokens: answer.prompt_tokens,
        visual_tokens: answer.visual_tokens,
        text: answer.text,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// The token that each option's letter alone is.
fn letter_tokens(model: &LongVu, options: usize) -> Result<Vec<u32>> {
    let token = |i: usize| {
        let letter = datasets::letter(i).to_string();
        let ids = model.tokenizer().encode(&letter).map_err(longvu::Error::from)?;
        match ids[..] {
            [id] => Ok(id),
            _ => Err(Error::Setting {
                setting: "the way to choose",
                value: "likelihood".into(),
                expected: format!(
                    "this model's tokenizer has no single token for the letter {letter}; choose by letter"
                ),
            }),
        }
    };
    (0..options).map(token).collect()
}

/// Probabilities of `tokens` among themselves.
fn softmax(logits: &[f32], tokens: &[u32]) -> Result<Vec<f64>> {
    let found: Option<Vec<f64>> = tokens.iter().map(|&id| logits.get(id as usize).map(|&x| f64::from(x))).collect();
    let finite = found.filter(|logits| logits.iter().all(|x| x.is_finite()));
    let logits = finite.ok_or_else(|| Error::Setting {
        setting: "the way to choose",
        value: "likelihood".into(),
        expected: "this model has no finite score for every letter; choose by letter".into(),
    })?;
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|x| (x - most).exp()).collect();
    let sum: f64 = powers.iter().sum();
    Ok(powers.into_iter().map(|x| x / sum).collect())
}

/// The position of the highest value, the first of equal ones.
fn highest(values: &[f64]) -> Option<usize> {
    (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]).then(b.cmp(&a)))
}

fn frames(encoded: &EncodedVideo, answer: &longvu::Answer) -> FrameCount {
    FrameCount {
        sampled: encoded.sampled_frames(),
        repeated: encoded.tower_frames().dinov2_repeats,
        kept: answer.reports.iter().map(FusionReport::prompt_frames).sum(),
        full: answer.reports.iter().map(|report| report.full_frames).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_letter_is_chosen() {
        let shares = softmax(&[0.0, 1.0, 3.0, 2.0], &[1, 2, 3]).unwrap();
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        // e^3 over e + e^2 + e^3.
        assert!((shares[1] - 0.665_240_955_8).abs() < 1e-9, "{shares:?}");
        assert_eq!(highest(&shares), Some(1));
        assert_eq!(highest(&[0.5, 0.5]), Some(0));
        assert!(softmax(&[f32::NAN, 1.0], &[0, 1]).is_err() && softmax(&[1.0], &[1]).is_err());
    }
}
