//! What is too large to be read, rendered or generated.

/// Bounds on the files of a language model that are text, and on the work its chat template may do.
///
/// Every file of a checkpoint may come from a stranger. The defaults leave room far beyond what published checkpoints
/// need; whoever has a larger one raises them: `Limits::default().with_tokenizer_bytes(1 << 28)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of `tokenizer_config.json`, `added_tokens.json` and `generation_config.json`, each. The largest published
    /// ones list thousands of added tokens in 1.2 MB.
    pub json_bytes: u64,
    /// Bytes of `tokenizer.json`, `vocab.json` and `merges.txt`, each. Gemma 3, with 262,144 tokens, has 33 MB.
    pub tokenizer_bytes: u64,
    /// Tokens of a vocabulary, added ones included, and the highest id above them. Four times Gemma 3's.
    pub vocabulary: u32,
    /// Merges of a vocabulary. Gemma 3 has 580,604.
    pub merges: usize,
    /// Bytes of a chat template. Published ones have up to 30 KB.
    pub template_bytes: u64,
    /// Steps of rendering a prompt: about one for each instruction of the template, and one for each 32 bytes of text
    /// that it makes, so that memory is bounded too; messages bring sixteen more for each of their bytes. Hundreds of turns
    /// take tens of thousands, or millions where the text so far is copied for each.
    pub template_steps: u64,
    /// Bytes of a text that is made tokens at once: a question, a turn, an answer to learn. The longest window has a few
    /// bytes a token, 100 KB with 32,768; the tokenizer takes some 300 times a text's bytes.
    pub text_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            json_bytes: 16 << 20,
            tokenizer_bytes: 64 << 20,
            vocabulary: 1 << 20,
            merges: 1 << 21,
            template_bytes: 1 << 20,
            template_steps: 5_000_000,
            text_bytes: 1 << 20,
        }
    }
}

impl Limits {
    /// Sets [`Limits::text_bytes`].
    #[must_use]
    pub fn with_text_bytes(self, text_bytes: usize) -> Self {
        Self { text_bytes, ..self }
    }

    /// Sets [`Limits::json_bytes`].
    #[must_use]
    pub fn with_json_bytes(self, json_bytes: u64) -> Self {
        Self { json_bytes, ..self }
    }

    /// Sets [`Limits::tokenizer_bytes`].
    #[must_use]
    pub fn with_tokenizer_bytes(self, tokenizer_bytes: u64) -> Self {
        Self { tokenizer_bytes, ..self }
    }

    /// Sets [`Limits::vocabulary`].
    #[must_use]
    pub fn with_vocabulary(self, vocabulary: u32) -> Self {
        Self { vocabulary, ..self }
    }

    /// Sets [`Limits::merges`].
    #[must_use]
    pub fn with_merges(self, merges: usize) -> Self {
        Self { merges, ..self }
    }

    /// Sets [`Limits::template_bytes`].
    #[must_use]
    pub fn with_template_bytes(self, template_bytes: u64) -> Self {
        Self { template_bytes, ..self }
    }

    /// Sets [`Limits::template_steps`].
    #[must_use]
    pub fn with_template_steps(self, template_steps: u64) -> Self {
        Self { template_steps, ..self }
    }
}

/// The most tokens an answer may have. A window of any published model is filled many times before.
pub const MAX_NEW_TOKENS: usize = 1_000_000;

/// Tokens between the delimiters of one tag of a chat template, and `elif`s of all its conditions: what is nested as deep
/// when it is compiled. Long tags of published templates have 200.
pub(crate) const TEMPLATE_TAG: usize = 4096;

/// Bytes of the stack on which templates are compiled and rendered. What recurses is bounded by
/// [`TEMPLATE_TAG`], [`TEMPLATE_RECURSION`] and [`VALUE_DEPTH`], each level of which takes a few KB at most;
/// pages that are not touched cost no memory.
pub(crate) const TEMPLATE_STACK: usize = 128 << 20;

/// Levels of macros, loops and blocks within each other while a template is rendered: the engine's own bound.
pub(crate) const TEMPLATE_RECURSION: usize = 500;

/// Levels of lists and mappings within each other in a template. A tool's schema has about ten.
pub(crate) const VALUE_DEPTH: usize = 64;

/// Items of a list or mapping that a template makes, those within its items included. Templates take messages apart;
/// what they build has tens.
pub(crate) const VALUE_ITEMS: usize = 100_000;

/// Steps that each byte of a message brings beyond [`Limits::template_steps`]: templates copy and search what they are
/// given, some of them once for each turn.
pub(crate) const TEMPLATE_STEPS_A_BYTE: u64 = 16;

/// Bytes of text that a template makes for one step. The engine asks for a step for 64 more of them afterwards, so that
/// the steps of [`Limits::template_steps`] make 107 MB at once: that much and its copies stay below 500 MB.
pub(crate) const TEXT_BYTES_A_STEP: usize = 32;

/// Items that a template looks at for one step: what is done with each takes about a quarter of an instruction's time.
pub(crate) const ITEMS_A_STEP: usize = 4;

/// Steps for what looks through values of up to [`VALUE_ITEMS`] items without counting them, where that cannot be done.
pub(crate) const STEPS_TO_LOOK: u64 = 1000;

/// Characters to which a date's field may be padded: templates write dates, not tables.
pub(crate) const DATE_FIELD_WIDTH: usize = 100;

/// Characters to which a template may pad a value, and digits of a number: nothing that is read needs more.
pub(crate) const FORMAT_WIDTH: usize = 10_000;

/// Bytes of the texts of all added tokens together: they are looked for in every prompt at once. 65,536 of 64 bytes.
pub(crate) const ADDED_TOKEN_BYTES: usize = 4 << 20;

/// Steps of one kind that a tokenizer may chain. Those of published models have four at most.
pub(crate) const TOKENIZER_STEPS: usize = 32;

/// Bytes of a pattern by which a tokenizer cuts texts. Those of Qwen2 and Llama 3 have 100, GPT-4o's 300.
pub(crate) const PATTERN_BYTES: usize = 4096;

/// Characters of a message out of a file, such as a template's `raise_exception`, that an error repeats.
pub(crate) const QUOTED_CHARACTERS: usize = 2000;
