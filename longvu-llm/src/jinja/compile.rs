//! A template's source to instructions, with Python's operators in place of the engine's and bounds in between.
//!
//! The engine parses and runs Jinja, but its operators are not all Python's (`"%s" % x`), and values that contain
//! others may grow without end through them. So each operator that makes a value becomes a call of a function of
//! [`operators`](super::operators), under a name that no template can write.

use std::collections::BTreeMap;

use minijinja::{
    Error, ErrorKind, Value,
    machinery::{CodeGenerator, Instruction, Instructions, Token, parse, tokenize},
    syntax::SyntaxConfig,
};

use super::operators as op;
use crate::limits::TEMPLATE_TAG;

/// Bytes of a template's own text that count as more than the instruction that writes them.
const LONG_TEXT: usize = 64;

/// A template's instructions: its own and those of its blocks.
pub(super) struct Compiled<'a> {
    pub instructions: Instructions<'a>,
    pub blocks: BTreeMap<&'a str, Instructions<'a>>,
}

/// The source as the engine reads what Jinja reads. Refuses what is too long to be compiled.
///
/// `{% generation %}` and `{% endgeneration %}`, which mark the assistant's part for training and have a scope of their
/// own, become what renders alike, and escapes in texts those that the engine knows.
pub(super) fn prepare(source: &str) -> Result<String, Error> {
    let mut edits: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    let (mut in_tag, mut elifs, mut statement) = (0, 0, false);
    for token in tokenize(source, false, syntax()?) {
        let (token, span) = token?;
        let place = span.start_offset as usize..span.end_offset as usize;
        in_tag += 1;
        match token {
            Token::BlockStart | Token::VariableStart | Token::TemplateData(_) => in_tag = 0,
            Token::Ident("elif") if statement => elifs += 1,
            Token::Ident("generation") if statement => edits.push((place, "with".into())),
            Token::Ident("endgeneration") if statement => edits.push((place, "endwith".into())),
            Token::String(_) => {
                let raw = source.get(place.clone()).unwrap_or_default();
                let escaped = escapes(raw).map_err(|reason| syntax_error(span.start_line, &reason))?;
                edits.extend((escaped != raw).then_some((place, escaped)));
            }
            _ => {}
        }
        statement = matches!(token, Token::BlockStart);
        if in_tag > TEMPLATE_TAG || elifs > TEMPLATE_TAG {
            let reason = format!("more than {TEMPLATE_TAG} tokens or branches");
            return Err(syntax_error(span.start_line, &reason));
        }
    }
    let mut prepared = String::with_capacity(source.len());
    let mut copied = 0;
    for (place, text) in edits {
        prepared.push_str(source.get(copied..place.start).unwrap_or_default());
        prepared.push_str(&text);
        copied = place.end;
    }
    prepared.push_str(source.get(copied..).unwrap_or_default());
    Ok(prepared)
}

fn syntax_error(line: u16, reason: &str) -> Error {
    Error::new(ErrorKind::SyntaxError, format!("line {line}: {reason}"))
}

/// A quoted text with Python's escapes written as those that the engine has too.
fn escapes(raw: &str) -> Result<String, String> {
    let mut text = String::with_capacity(raw.len());
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        match characters.next() {
            Some('\n') => {}
            Some('a') => text.push_str("\\x07"),
            Some('v') => text.push_str("\\x0b"),
            Some('/') => text.push_str("\\\\/"),
            Some('U') => {
                let digits: String = characters.by_ref().take(8).collect();
                let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 8);
                match code.map(char::from_u32) {
                    Some(Some(c)) if c.is_ascii() => text.push_str(&format!("\\x{:02x}", u32::from(c))),
                    Some(Some(c)) => text.push(c),
                    _ => return Err(format!("\\U{digits} in a text is no character")),
                }
            }
            Some('N') => return Err("\\N{…} in a text is not supported; write the character itself".into()),
            Some(other) => text.extend(['\\', other]),
            None => text.push('\\'),
        }
    }
    Ok(text)
}

/// Compiles a prepared source.
pub(super) fn compile<'a>(name: &'a str, prepared: &'a str) -> Result<Compiled<'a>, Error> {
    let tree = parse(prepared, name, syntax()?)?;
    let mut generator = CodeGenerator::new(name, prepared);
    generator.compile_stmt(&tree);
    let (instructions, blocks) = generator.finish();
    let blocks = blocks.into_iter().map(|(name, instructions)| (name, adapt(&instructions))).collect();
    Ok(Compiled { instructions: adapt(&instructions), blocks })
}

/// Hugging Face's settings.
fn syntax() -> Result<SyntaxConfig, Error> {
    SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()
}

/// The instructions with calls in place of operators. Jumps are led to where their targets went.
fn adapt<'a>(old: &Instructions<'a>) -> Instructions<'a> {
    let mut new = Instructions::new(old.name(), old.source());
    let mut places = Vec::new();
    let mut count = 0;
    for index in 0.. {
        places.push(count);
        let Some(instruction) = old.get(index) else { break };
        for instruction in replacement(instruction) {
            match (old.get_span(index), old.get_line(index).and_then(|line| line.try_into().ok())) {
                (Some(span), _) => new.add_with_span(instruction, span),
                (None, Some(line)) => new.add_with_line(instruction, line),
                (None, None) => new.add(instruction),
            };
            count += 1;
        }
    }
    for index in 0..count {
        if let Some(target) = new.get_mut(index).and_then(target)
            && let Some(&place) = places.get(*target as usize)
        {
            *target = place;
        }
    }
    new
}

/// The place that an instruction may go on from.
fn target<'i>(instruction: &'i mut Instruction) -> Option<&'i mut u32> {
    match instruction {
        Instruction::Iterate(target)
        | Instruction::Jump(target)
        | Instruction::JumpIfFalse(target)
        | Instruction::JumpIfFalseOrPop(target)
        | Instruction::JumpIfTrueOrPop(target)
        | Instruction::BuildMacro(_, target, _) => Some(target),
        _ => None,
    }
}

/// What an instruction becomes; what it leaves on the engine's stack stays the same.
fn replacement<'a>(instruction: &Instruction<'a>) -> Vec<Instruction<'a>> {
    let call = |name, count| Instruction::CallFunction(name, Some(count));
    let count = |count: usize| u16::try_from(count).ok();
    match instruction {
        Instruction::Add => vec![call(op::ADD, 2)],
        Instruction::Mul => vec![call(op::MULTIPLY, 2)],
        Instruction::Rem => vec![call(op::REMAINDER, 2)],
        Instruction::StringConcat => vec![call(op::JOIN, 2)],
        Instruction::BuildList(Some(items)) => vec![Instruction::CallFunction(op::LIST, count(*items))],
        Instruction::BuildTuple(Some(items)) => vec![Instruction::CallFunction(op::TUPLE, count(*items))],
        Instruction::BuildMap(pairs) => vec![Instruction::CallFunction(op::MAP, count(pairs * 2))],
        Instruction::SetAttr(name) => {
            vec![Instruction::LoadConst(Value::from(*name)), call(op::ASSIGN, 3), Instruction::DiscardTop]
        }
        Instruction::Eq => vec![call(op::EQUAL, 2)],
        Instruction::Ne => vec![call(op::UNEQUAL, 2)],
        Instruction::Lt => vec![call(op::LESS, 2)],
        Instruction::Lte => vec![call(op::LESS_OR_EQUAL, 2)],
        Instruction::Gt => vec![call(op::GREATER, 2)],
        Instruction::Gte => vec![call(op::GREATER_OR_EQUAL, 2)],
        Instruction::In => vec![call(op::WITHIN, 2)],
        Instruction::Slice => vec![call(op::SLICE, 4)],
        // The engine counts them when they are written.
        Instruction::EmitRaw(text) if text.len() > LONG_TEXT => {
            let pay =
                [Instruction::LoadConst(Value::from(text.len())), call(op::PAY_BYTES, 1), Instruction::DiscardTop];
            pay.into_iter().chain([instruction.clone()]).collect()
        }
        Instruction::ApplyFilter(name, Some(args), _) => {
            vec![Instruction::LoadConst(named(name)), call(op::FILTER, args.saturating_add(1))]
        }
        Instruction::PerformTest(name, Some(args), _) => {
            vec![Instruction::LoadConst(named(name)), call(op::TEST, args.saturating_add(1))]
        }
        // Their values are not to be had here, so they pay for the largest.
        Instruction::CompareAndPreserve(_) | Instruction::ApplyFilter(..) | Instruction::PerformTest(..) => {
            vec![call(op::PAY, 0), Instruction::DiscardTop, instruction.clone()]
        }
        other => vec![other.clone()],
    }
}

/// The name of a filter or test, between whose parts there may be white space.
fn named(name: &str) -> Value {
    Value::from(name.split_whitespace().collect::<String>())
}
