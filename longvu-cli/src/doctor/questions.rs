//! The model that is built in, on questions whose answers are known.

use anyhow::{Context, Result};
use longvu::{Device, Dtype, Frame, GenerationConfig, LongVu, Workload, miniature_folder, peak_memory};
use longvu_world::{Script, ScriptOptions};
use serde::Serialize;

use super::{examination::attempt, place::Place};

/// Seconds of each video, one frame a second.
const SECONDS: f64 = 20.0;

/// Answers on a device beside those on the CPU.
#[derive(Debug, Clone, Serialize)]
pub struct Questions {
    pub asked: usize,
    /// Answers that are true.
    pub right: usize,
    /// The same on the CPU.
    pub right_on_the_cpu: usize,
    /// Answers that the CPU gave in the same words.
    pub same: usize,
    pub memory: Memory,
}

/// Bytes that the model took, and what was forecast.
#[derive(Debug, Clone, Serialize)]
pub struct Memory {
    /// Reserved on the device, or, on the CPU, of the process at its fullest so far; where it is told.
    pub taken: Option<u64>,
    pub forecast: u64,
}

impl Questions {
    /// Asks so many questions on the CPU and on the device, one of each video; what fails on the device is a fault.
    ///
    /// # Errors
    /// A cache folder that can't be written to, nothing to compare with, and what fails on the CPU.
    pub fn ask(device: &Device, questions: u64, faults: &mut Vec<String>) -> Result<Option<Self>> {
        let asked = (0..questions).map(drawn).collect::<Result<Vec<_>>>()?;
        let reference = Place::reference_of(device)?;
        let expected = reference.within(|| answers(&load(&reference.device)?, &asked))?;
        let found = attempt(|| {
            let model = load(device)?;
            let found = answers(&model, &asked)?;
            Ok((found, Memory { taken: taken(device), forecast: forecast(&model) }))
        });
        let (found, memory) = match found {
            Ok(found) => found,
            Err(failure) => {
                faults.push(format!("questions: {failure}"));
                return Ok(None);
            }
        };
        let right =
            |answers: &[String]| asked.iter().zip(answers).filter(|(asked, answer)| (asked.is_right)(answer)).count();
        Ok(Some(Self {
            asked: asked.len(),
            right: right(&found),
            right_on_the_cpu: right(&expected),
            same: found.iter().zip(&expected).filter(|(found, expected)| found == expected).count(),
            memory,
        }))
    }

    /// What is wrong. Answers in float32 are the CPU's, but for a fifth at most, where two tokens are about as likely.
    pub fn fault(&self) -> Option<String> {
        let few = self.asked - self.same > self.asked / 5;
        few.then(|| {
            format!("questions: only {} of {} answers of the built-in model are the CPU's", self.same, self.asked)
        })
    }
}

struct Asked {
    frames: Vec<Frame>,
    question: String,
    is_right: Box<dyn Fn(&str) -> bool>,
}

fn load(device: &Device) -> Result<LongVu> {
    Ok(LongVu::builder(miniature_folder()?).device(device).weights(Dtype::F32).load()?)
}

fn drawn(seed: u64) -> Result<Asked> {
    let script = Script::draw(seed, &ScriptOptions::default().with_duration(SECONDS))?;
    let frame = |(index, frame): (usize, longvu_world::DrawnFrame)| {
        Frame::new(index, frame.timestamp, frame.width, frame.height, frame.rgb)
    };
    let frames = script.frames(1.0)?.enumerate().map(frame).collect::<Result<_, _>>()?;
    let questions = script.questions();
    let question = questions.iter().cycle().nth(seed as usize).context("nothing to ask about a drawn video")?.clone();
    Ok(Asked {
        frames,
        question: question.text.clone(),
        is_right: Box::new(move |answer| question.is_answered_by(answer)),
    })
}

fn answers(model: &LongVu, asked: &[Asked]) -> Result<Vec<String>> {
    let config = GenerationConfig::default();
    let answer = |asked: &Asked| -> Result<String> {
        let video = model.encode(asked.frames.clone())?;
        Ok(model.stream(&[&video], &asked.question, &config)?.finish()?.text)
    };
    asked.iter().map(answer).collect()
}

fn taken(device: &Device) -> Option<u64> {
    if longvu::is_cpu(device) { peak_memory() } else { device.memory_pool_usage().map(|usage| usage.bytes_reserved) }
}

fn forecast(model: &LongVu) -> u64 {
    model.plan(Workload::default().with_frames(SECONDS as usize), None).peak
}
