//! The miniature, which is trained: right answers about drawn videos, and what is kept of long ones.

use longvu::{EncodedVideo, Frame, GenerationConfig, LongVu};
use longvu_world::{Question, QuestionKind, Script, ScriptKind, ScriptOptions, Split};

use crate::{
    Result,
    format::Format,
    golden::{kept_frames, root},
};

/// Length of videos that fit the window, and of those of which the temporal stage drops frames, in seconds.
const SECONDS: (f64, f64) = (10.0, 150.0);

/// What a format makes of the videos.
#[derive(Default)]
struct Found {
    /// All answers.
    answers: Vec<String>,
    right: usize,
    /// The frames kept of each long video.
    frames: Vec<Vec<usize>>,
    tokens: usize,
    needles: usize,
}

/// A row for each format, about `videos` videos and an eighth as many long ones.
pub fn measure(videos: u64, formats: &[Format]) -> Result<()> {
    let short = draw(None, SECONDS.0, videos)?;
    let long = draw(Some(ScriptKind::Needle), SECONDS.1, videos.div_ceil(8))?;
    println!(
        "| weights | right answers about {} videos | answers that stay | frames kept of {} long videos | tokens | \
         needles found |\n|{}",
        short.len(),
        long.len(),
        "---|".repeat(6)
    );
    let mut first: Option<Found> = None;
    for format in formats {
        let model = format.load(LongVu::builder(root().join("models/miniature")))?;
        let found = ask(&model, &short, &long)?;
        let exact = first.get_or_insert_with(|| Found {
            answers: found.answers.clone(),
            frames: found.frames.clone(),
            ..Found::default()
        });
        let same = found.answers.iter().zip(&exact.answers).filter(|(answer, exact)| answer == exact).count();
        let (mut kept, mut same_frames) = (0, 0);
        for (frames, exact) in found.frames.iter().zip(&exact.frames) {
            kept += frames.len();
            same_frames += frames.iter().filter(|frame| exact.contains(frame)).count();
        }
        println!(
            "| {} | {:.1} % of {} | {same} | {same_frames} of {kept} | {} | {} |",
            format.name,
            100.0 * found.right as f64 / found.answers.len() as f64,
            found.answers.len(),
            found.tokens,
            found.needles,
        );
    }
    Ok(())
}

fn draw(kind: Option<ScriptKind>, seconds: f64, count: u64) -> Result<Vec<Script>> {
    let mut options = ScriptOptions::default().with_duration(seconds).with_size(256);
    options.kind = kind;
    let scripts = (0..count).map(|place| Script::draw(Split::Test.seed(place), &options));
    Ok(scripts.collect::<std::result::Result<_, _>>()?)
}

fn ask(model: &LongVu, short: &[Script], long: &[Script]) -> Result<Found> {
    let mut found = Found::default();
    for script in short {
        let encoded = encode(model, script)?;
        for question in script.questions() {
            let (right, _, answer) = answer(model, &encoded, &question)?;
            found.right += usize::from(right);
            found.answers.push(answer);
        }
    }
    for script in long {
        let encoded = encode(model, script)?;
        found.frames.push(kept_frames(&encoded));
        if let Some(question) = script.question(QuestionKind::Needle, 0) {
            let (right, tokens, _) = answer(model, &encoded, &question)?;
            found.needles += usize::from(right);
            found.tokens += tokens;
        }
    }
    Ok(found)
}

fn encode(model: &LongVu, script: &Script) -> Result<EncodedVideo> {
    let frame = |drawn: longvu_world::DrawnFrame| {
        Frame::new(drawn.index, drawn.timestamp, drawn.width, drawn.height, drawn.rgb)
    };
    let frames = script.frames(1.0)?.map(frame).collect::<std::result::Result<Vec<_>, _>>()?;
    Ok(model.encode(frames)?)
}

/// Whether the answer is right, the prompt's visual tokens, and the answer.
fn answer(model: &LongVu, encoded: &EncodedVideo, question: &Question) -> Result<(bool, usize, String)> {
    let answer = model.stream(&[encoded], &question.text, &GenerationConfig::default())?.finish()?;
    Ok((question.is_answered_by(&answer.text), answer.visual_tokens, answer.text))
}
