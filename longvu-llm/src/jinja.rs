//! A checkpoint's own chat template, in Jinja.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{Environment, ErrorKind};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::files::read_text_if_present;
use crate::prompt::Message;
use crate::strftime::strftime;
use crate::tokenizer_config::{self, SpecialToken, TokenizerConfig};

/// The file that holds nothing but a template.
const TEMPLATE_FILE: &str = "chat_template.jinja";

/// A chat template with the surroundings that Hugging Face gives it: the special tokens by name,
/// `raise_exception`, `tojson` as Python writes JSON, loop controls and Python's methods.
///
/// Templates that only use today's date where `strftime_now` is defined, as Llama 3.2's does,
/// get no date and fall back to the one written in them. That is what the published package
/// does, and the same question then has the same prompt every day;
/// [`JinjaTemplate::with_date`] sets a date.
#[derive(Clone)]
pub struct JinjaTemplate {
    environment: Arc<Environment<'static>>,
    path: PathBuf,
    tokens: Tokens,
    date: Option<SystemTime>,
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
    /// A checkpoint folder's template: `chat_template.jinja`, else `chat_template` in
    /// `tokenizer_config.json` (where that is a list, its `default`). `None` when it has neither.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] or [`Error::Json`] when a file is unreadable, [`Error::ChatTemplate`] when
    /// the template does not parse.
    pub fn from_dir(dir: impl AsRef<Path>) -> Result<Option<Self>> {
        let dir = dir.as_ref();
        let config_file = dir.join(tokenizer_config::FILE_NAME);
        let template_file = dir.join(TEMPLATE_FILE);
        let mut config = tokenizer_config::load(dir)?;
        let (source, path) = match read_text_if_present(&template_file)? {
            Some(source) => (Some(source), template_file),
            None => {
                let entry = config.chat_template.take();
                (entry.and_then(tokenizer_config::ChatTemplateEntry::into_default), config_file)
            }
        };
        source.map(|source| Self::new(source, path, Tokens::from(config))).transpose()
    }

    /// Gives the template `strftime_now` with this date, in UTC.
    #[must_use]
    pub fn with_date(mut self, date: SystemTime) -> Self {
        self.date = Some(date);
        self
    }

    fn new(source: String, path: PathBuf, tokens: Tokens) -> Result<Self> {
        let date_is_optional = source.contains("strftime_now is defined");
        let date = (!date_is_optional).then(SystemTime::now);
        let environment = environment(source).map_err(|error| template_error(&path, &error))?;
        Ok(Self { environment: Arc::new(environment), path, tokens, date })
    }

    /// Renders the messages with the opening of the assistant's next turn. The begin token comes
    /// exactly once: templates differ in whether they write it, and Llama expects it.
    pub(crate) fn render(&self, messages: &[Message]) -> Result<String> {
        let context =
            Context { messages, add_generation_prompt: true, tools: None, documents: None, tokens: &self.tokens };
        let text = self.render_context(context).map_err(|e| template_error(&self.path, &e))?;
        Ok(match &self.tokens.bos_token {
            Some(bos) if !bos.is_empty() => format!("{bos}{}", text.trim_start_matches(bos)),
            _ => text,
        })
    }

    fn render_context(&self, context: Context) -> Result<String, minijinja::Error> {
        let template = self.environment.get_template(TEMPLATE_FILE)?;
        let context = Value::from(Serde(context));
        let Some(date) = self.date else {
            return template.render(context);
        };
        let strftime_now = Value::from_function(move |format: &str| {
            strftime(date, format).map_err(|reason| minijinja::Error::new(ErrorKind::InvalidOperation, reason))
        });
        template.render(minijinja::context! { strftime_now, ..context })
    }
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

/// An environment that renders as Hugging Face's does, with the one template in it.
fn environment(source: String) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_filter("tojson", to_json);
    environment.add_template_owned(TEMPLATE_FILE, source)?;
    Ok(environment)
}

/// Lets a template refuse its messages.
fn raise_exception(message: String) -> Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}

/// JSON as Python's `json.dumps` writes it, with nothing escaped for HTML.
fn to_json(value: &Value, options: Kwargs) -> Result<String, minijinja::Error> {
    let indent: Option<usize> = options.get("indent")?;
    let mut bytes = Vec::new();
    let written = match indent {
        Some(width) => {
            let indent = " ".repeat(width);
            let style = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, style))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Spaced)),
    };
    let failed = |reason: String| minijinja::Error::new(ErrorKind::BadSerialization, reason);
    written.map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
}

/// JSON on one line with a space after each comma and colon.
struct Spaced;

impl serde_json::ser::Formatter for Spaced {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}

fn template_error(path: &Path, error: &minijinja::Error) -> Error {
    Error::ChatTemplate { path: path.into(), reason: error.to_string() }
}

#[cfg(test)]
#[path = "jinja_tests.rs"]
mod tests;
