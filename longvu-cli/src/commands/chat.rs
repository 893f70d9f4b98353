//! `longvu chat`: questions from stdin, line by line, about one video that is encoded once.

use std::{
    io::{self, BufRead, IsTerminal, Read, Write},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use longvu::{Answer, Chat};

use crate::{
    flags::{AnswerArgs, FrameArgs, MemoryArgs, ModelArgs, OutputArgs},
    output::{self, summary},
    steps::{
        answer, memory, model,
        source::{Decoded, Input},
    },
};

const HELP: &str = "Ask about the video, a question a line. /new forgets the conversation, /exit or Ctrl-D ends.";

/// Ask several questions about one video or image; they are read from stdin, one a line.
///
/// The model sees the earlier questions and answers. The line `/new` makes it forget them, `/exit` ends. With
/// --json each answer is an object on one line.
#[derive(Debug, Args)]
pub struct ChatArgs {
    /// Video or image, or what `longvu encode` made of one
    pub file: PathBuf,

    #[command(flatten)]
    pub model: ModelArgs,

    #[command(flatten)]
    pub memory: MemoryArgs,

    #[command(flatten)]
    pub frames: FrameArgs,

    #[command(flatten)]
    pub answer: AnswerArgs,

    #[command(flatten)]
    pub output: OutputArgs,
}

/// Runs the command.
///
/// # Errors
/// Usage errors, whatever loading and decoding come upon, and a stdout that cannot be written to; a question that
/// fails is reported and the next one read, and with questions from a file or pipe the command has failed in the end.
pub fn run(args: &ChatArgs) -> Result<()> {
    let (options, config) = (args.frames.options()?, args.answer.config()?);
    let quiet = args.output.quiet;
    let builder = model::builder(&args.model, args.frames.preset, quiet)?;
    let input = Input::open(&args.file, &args.frames, options)?;
    // Of a conversation only the first question's room is sure; later ones grow into the window.
    let run = Some((0, config.max_new_tokens));
    let loaded = model::load(memory::settle(builder, &args.memory, &args.model, Some(&input), run)?, quiet)?;
    let open = input.seconds();
    let (encoded, decoded) = input.encode(&loaded.model, quiet)?;
    if !quiet {
        let steps = summary::encode_steps(open, loaded.seconds, &encoded.timings());
        output::note(&summary::encoded_line(&encoded, &steps));
    }
    let mut chat = loaded.model.chat(&[&encoded]).with_config(config);
    if let Some(system) = &args.answer.system {
        chat = chat.with_system(system);
    }
    Session { chat, decoded, silent: args.output.json, quiet, asked: 0, failed: 0 }.run()
}

/// Bytes of a line that are read: more than any question's.
const LONGEST_LINE: u64 = 1 << 24;

struct Session {
    chat: Chat,
    decoded: Decoded,
    /// Whether answers come in one piece, as JSON.
    silent: bool,
    quiet: bool,
    /// Questions so far, and how many of them failed.
    asked: usize,
    failed: usize,
}

impl Session {
    fn run(mut self) -> Result<()> {
        let mut stdin = io::stdin().lock();
        let talking = stdin.is_terminal() && io::stderr().is_terminal();
        if talking && !self.quiet {
            output::note(HELP);
        }
        loop {
            if talking {
                let mut stderr = io::stderr().lock();
                let _ = write!(stderr, "> ").and_then(|()| stderr.flush());
            }
            let mut line = Vec::new();
            let mut start = (&mut stdin).take(LONGEST_LINE);
            if start.read_until(b'\n', &mut line).context("cannot read standard input")? == 0 {
                return self.end(talking);
            }
            if start.limit() == 0 && line.last() != Some(&b'\n') {
                bail!("a line of standard input is longer than {LONGEST_LINE} bytes, which no question is");
            }
            match String::from_utf8_lossy(&line).trim() {
                "" => {}
                "/exit" | "/quit" => return self.end(talking),
                "/new" => self.chat.reset(),
                question => self.turn(question)?,
            }
        }
    }

    /// Whoever types has seen what failed; a script is told by the exit code.
    fn end(&self, talking: bool) -> Result<()> {
        match self.failed {
            failed if failed > 0 && !talking => bail!("{failed} of {} questions failed", self.asked),
            _ => Ok(()),
        }
    }

    /// A question and its answer; only a broken stdout ends the chat.
    fn turn(&mut self, question: &str) -> Result<()> {
        self.asked += 1;
        match self.answer(question) {
            Ok(answer) => self.print(question, &answer),
            Err(error) if output::is_output_lost(&error) => Err(error),
            Err(error) => {
                output::error(&error);
                self.failed += 1;
                Ok(())
            }
        }
    }

    fn answer(&mut self, question: &str) -> Result<Answer> {
        let mut stream = self.chat.stream(question)?;
        answer::print(&mut stream, self.silent)?;
        Ok(stream.finish()?)
    }

    fn print(&self, question: &str, answer: &Answer) -> Result<()> {
        let frames = self.chat.visuals().first().map(|visual| answer::frame_counts(visual, answer));
        if self.silent {
            let warnings = &self.decoded.warnings;
            output::json(&answer::printed(question, answer, frames, answer.timings, warnings), false)?;
        }
        if !self.quiet {
            let steps = summary::answer_steps(&answer.timings);
            output::note(&summary::line(frames, answer.visual_tokens, answer.prompt_tokens, &steps));
        }
        Ok(())
    }
}
