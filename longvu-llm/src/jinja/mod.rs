//! A checkpoint's own chat template, in Jinja.

mod arguments;
mod assign;
mod braces;
mod compile;
mod engine_filters;
mod filters;
mod json;
mod methods;
mod namespace;
mod operators;
mod printf;
mod slices;
mod strftime;
mod text;
mod values;
mod words;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use minijinja::{
    AutoEscape, Environment, ErrorKind, State, machinery,
    value::{Serde, Value},
};
use serde::Serialize;
use strftime::strftime;

use crate::{
    Error, Limits, Message, Result,
    files::read_text_if_present,
    limits::{DATE_FIELD_WIDTH, QUOTED_CHARACTERS, TEMPLATE_RECURSION, TEMPLATE_STACK, TEMPLATE_STEPS_A_BYTE},
    tokenizer_config::{self, SpecialToken, TokenizerConfig},
};

/// The file that holds nothing but a template.
const TEMPLATE_FILE: &str = "chat_template.jinja";

/// A chat template with the surroundings that Hugging Face gives it: the special tokens by name, `raise_exception`,
/// `tojson` as Python writes JSON, `generation` blocks, loop controls, Python's operators and methods.
///
/// Templates that only use today's date where `strftime_now` is defined, as Llama 3.2's does, get no date and fall back
/// to the one written in them. That is what the published package does, and the same question then has the same prompt
/// every day; [`JinjaTemplate::with_date`] sets a date.
///
/// A template is a program out of a file, so its steps, memory and depth are bounded ([`Limits`]);
/// one that exceeds them is an error.
#[derive(Clone)]
pub struct JinjaTemplate {
    /// The source as the engine gets it.
    source: Arc<str>,
    path: PathBuf,
    tokens: Arc<Tokens>,
    date: Option<SystemTime>,
    limits: Limits,
}

/// The special tokens that templates may name. An absent one renders as nothing.
#[derive(Debug, Clone, Serialize)]
struct Tokens {
    #[serde(skip_serializing_if = "Option::is_none")]
    bos_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eos_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pad_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unk_token: Option<String>,
}

/// What a template sees.
#[derive(Serialize)]
struct Context<'a> {
    messages: &'a [Message],
    add_generation_prompt: bool,
    // Hugging Face always passes these two; `None` where there are none.
    tools: Option<()>,
    documents: Option<()>,
    #[serde(flatten)]
    tokens: &'a Tokens,
}

impl JinjaTemplate {
    /// A checkpoint folder's template: `chat_template.jinja`, else `chat_template` in `tokenizer_config.json` (where
    /// that is a list or an object of several, its `default`). `None` when it has neither.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Json`] when a file is unreadable or too large, [`Error::ChatTemplate`] when the
    /// template does not parse, or none of several is the default.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Option<Self>> {
        Self::from_dir_with(dir, &Limits::default())
    }

    /// The same, within other limits.
    ///
    /// # Errors
    /// As [`JinjaTemplate::from_dir`].
    pub fn from_dir_with(dir: impl AsRef<Path>, limits: &Limits) -> Result<Option<Self>> {
        let dir = dir.as_ref();
        let config_file = dir.join(tokenizer_config::FILE_NAME);
        let template_file = dir.join(TEMPLATE_FILE);
        let mut config = tokenizer_config::load(dir, limits)?;
        let (source, path) = match read_text_if_present(&template_file, limits.template_bytes)? {
            Some(source) => (Some(source), template_file),
            None => match config.chat_template.take().map(tokenizer_config::ChatTemplateEntry::into_default) {
                Some(Ok(source)) => (Some(source), config_file),
                Some(Err(reason)) => return Err(template_error(&config_file, &reason)),
                None => (None, config_file),
            },
        };
        source.map(|source| Self::new(&source, path, Tokens::from(config), limits)).transpose()
    }

    /// Gives the template `strftime_now` with this date, in UTC.
    #[must_use]
    pub fn with_date(mut self, date: SystemTime) -> Self {
        self.date = Some(date);
        self
    }

    fn new(source: &str, path: PathBuf, tokens: Tokens, limits: &Limits) -> Result<Self> {
        if source.len() as u64 > limits.template_bytes {
            let reason = format!("it has {} bytes, more than the {} allowed", source.len(), limits.template_bytes);
            return Err(template_error(&path, &reason));
        }
        let date_is_optional = source.contains("strftime_now is defined");
        let date = (!date_is_optional).then(SystemTime::now);
        let prepared = on_a_known_stack(|| {
            // As Jinja reads line ends, and Python text files.
            let source = source.replace("\r\n", "\n").replace('\r', "\n");
            let prepared = compile::prepare(&source)?;
            compile::compile(TEMPLATE_FILE, &prepared)?;
            Ok(prepared)
        });
        let prepared = prepared.map_err(|error| template_error(&path, &error.to_string()))?;
        Ok(Self { source: prepared.into(), path, tokens: tokens.into(), date, limits: *limits })
    }

    /// Renders the messages with the opening of the assistant's next turn. The begin token comes
    /// exactly once: templates differ in whether they write it, and Llama expects it.
    pub(crate) fn render(&self, messages: &[Message]) -> Result<String> {
        let context =
            Context { messages, add_generation_prompt: true, tools: None, documents: None, tokens: &self.tokens };
        let text = on_a_known_stack(|| self.render_context(context));
        let text = text.map_err(|error| template_error(&self.path, &self.reason(&error, messages)))?;
        if text.trim().is_empty() {
            return Err(template_error(&self.path, "it writes nothing for this conversation"));
        }
        Ok(match &self.tokens.bos_token {
            Some(bos) if !bos.is_empty() => format!("{bos}{}", text.trim_start_matches(bos)),
            _ => text,
        })
    }

    fn render_context(&self, context: Context) -> Result<String, minijinja::Error> {
        let environment = self.environment(&context);
        let compiled = compile::compile(TEMPLATE_FILE, &self.source)?;
        let mut text = String::new();
        let mut output = machinery::make_string_output(&mut text);
        let root = Value::from(Serde(context));
        let (instructions, blocks) = (&compiled.instructions, &compiled.blocks);
        machinery::eval(&environment, instructions, root, blocks, &mut output, AutoEscape::None)?;
        drop(output);
        Ok(text)
    }

    /// An environment that renders as Hugging Face's does.
    fn environment(&self, context: &Context) -> Environment<'static> {
        let mut environment = Environment::new();
        environment.set_debug(false);
        environment.set_recursion_limit(TEMPLATE_RECURSION);
        environment.set_fuel(Some(self.steps(context.messages)));
        environment.set_unknown_method_callback(methods::call);
        environment.set_formatter(|output, state, value| {
            let text = text::text_of(state, value)?;
            text::pay_bytes(state, text.len())?;
            output.write_str(&text).map_err(minijinja::Error::from)
        });
        operators::add_to(&mut environment);
        filters::add_to(&mut environment);
        engine_filters::add_to(&mut environment);
        if let Some(date) = self.date {
            environment.add_function("strftime_now", move |state: &State, format: &str| {
                let fields = format.matches('%').count();
                text::pay_bytes(state, format.len().saturating_add(fields.saturating_mul(DATE_FIELD_WIDTH)))?;
                strftime(date, format).map_err(text::refuse)
            });
        }
        environment
    }

    /// Steps that rendering these messages may take.
    fn steps(&self, messages: &[Message]) -> u64 {
        let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
        self.limits.template_steps.saturating_add(TEMPLATE_STEPS_A_BYTE.saturating_mul(bytes as u64))
    }

    /// What the engine reports of rendering these messages, in words for whoever sees the file.
    fn reason(&self, error: &minijinja::Error, messages: &[Message]) -> String {
        match error.kind() {
            ErrorKind::OutOfFuel => format!(
                "it takes more than the {} steps allowed ({}, and {TEMPLATE_STEPS_A_BYTE} for each byte of the messages), \
                 or makes too much text",
                self.steps(messages),
                self.limits.template_steps
            ),
            _ => error.to_string(),
        }
    }
}

/// Runs `work`, whose depth is bounded, on a stack that is as large as the bounds need.
fn on_a_known_stack<T: Send>(work: impl FnOnce() -> Result<T, minijinja::Error> + Send) -> Result<T, minijinja::Error> {
    let failed = |reason: String| minijinja::Error::new(ErrorKind::InvalidOperation, reason);
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("chat template".into()).stack_size(TEMPLATE_STACK);
        let thread = builder.spawn_scoped(scope, work);
        let thread = thread.map_err(|error| failed(format!("no thread could be started for it: {error}")))?;
        thread.join().unwrap_or_else(|_| Err(failed("the template engine broke down".into())))
    })
}

impl fmt::Debug for JinjaTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JinjaTemplate")
            .field("path", &self.path)
            .field("tokens", &self.tokens)
            .field("date", &self.date)
            .finish_non_exhaustive()
    }
}

impl From<TokenizerConfig> for Tokens {
    fn from(config: TokenizerConfig) -> Self {
        let text = |token: Option<SpecialToken>| token.map(SpecialToken::into_text);
        Self {
            bos_token: text(config.bos_token),
            eos_token: text(config.eos_token),
            pad_token: text(config.pad_token),
            unk_token: text(config.unk_token),
        }
    }
}

fn template_error(path: &Path, reason: &str) -> Error {
    let quoted: String = reason.chars().take(QUOTED_CHARACTERS).collect();
    Error::ChatTemplate { path: path.into(), reason: longvu_core::text::escape_lines(&quoted).into_owned() }
}

#[cfg(test)]
mod tests;
