//! Reading a letter from an answer.

use crate::PromptStyle;

/// What a published script takes with a letter, and so may find odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LetterRule {
    /// The letter alone.
    Bare,
    /// Brackets and spaces around it.
    Brackets,
    /// Brackets, commas and spaces around it.
    BracketsAndCommas,
}

/// The option that an answer names, of `options` ones; `None` where it names none.
pub fn read(style: PromptStyle, rule: LetterRule, text: &str, options: usize) -> Option<usize> {
    let option = match style {
        PromptStyle::Package => package(rule, text, options),
        PromptStyle::LmmsEval => lmms_eval(text, options),
    };
    option.filter(|&option| option < options)
}

fn index_of(letter: char, options: usize) -> Option<usize> {
    let index = (letter as usize).checked_sub('A' as usize)?;
    (index < options).then_some(index)
}

/// As the published scripts do: without the word "Answer", the first letter in range. Where the script takes brackets, commas
/// and spaces with it, those around go, spaces first and then brackets; where more than a letter is left, it counts as C.
fn package(rule: LetterRule, text: &str, options: usize) -> Option<usize> {
    /// What anything odd counts as.
    const ODD: usize = 2;
    let text = text.replace("Answer", "");
    let (at, letter) = text.char_indices().find_map(|(at, c)| Some((at, index_of(c, options)?)))?;
    let (opening, closing): (&[char], &[char]) = match rule {
        LetterRule::Bare => (&[], &[]),
        LetterRule::Brackets => (&['(', ' '], &[')', ' ']),
        LetterRule::BracketsAndCommas => (&['(', ',', ' '], &[')', ',', ' ']),
    };
    let start = text[..at].trim_end_matches(opening).len();
    let end = text.len() - text[at + 1..].trim_start_matches(closing).len();
    let taken = text[start..end].trim().trim_matches(['(', ')']);
    Some(if taken.len() == 1 { letter } else { ODD })
}

/// As lmms-eval does: the answer begins with a letter, or ends with one, or says "answer is X", (X), or "X."; of several
/// the last counts.
fn lmms_eval(text: &str, options: usize) -> Option<usize> {
    let chars: Vec<char> = text.trim().chars().collect();
    let is_word = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(|c| c.is_alphanumeric());
    let letter = |at: usize| index_of(*chars.get(at)?, options);
    let alone = |at: usize| letter(at).filter(|_| !is_word(at.checked_sub(1)) && !is_word(Some(at + 1)));
    let last = |wanted: &dyn Fn(usize) -> bool| (0..chars.len()).rev().find_map(|at| alone(at).filter(|_| wanted(at)));
    let end = chars.iter().rposition(|c| c.is_alphanumeric())?;
    let said: Vec<char> = "answer is ".chars().collect();
    alone(0)
        .or_else(|| alone(end))
        .or_else(|| {
            last(&|at| {
                at >= said.len()
                    && chars[at - said.len()..at].iter().flat_map(|c| c.to_lowercase()).eq(said.iter().copied())
            })
        })
        .or_else(|| last(&|at| at > 0 && chars[at - 1] == '(' && chars.get(at + 1) == Some(&')')))
        .or_else(|| last(&|at| chars.get(at + 1) == Some(&'.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_takes_the_first_letter_in_range() {
        use LetterRule::{Bare, Brackets, BracketsAndCommas};
        let read = |rule, text| read(PromptStyle::Package, rule, text, 4);
        for (text, expected) in [
            ("B", Some(1)),
            ("(B)", Some(1)),
            (" (D) ", Some(3)),
            ("Answer: C", Some(2)),
            ("b. because", None),
            ("The answer is A.", Some(0)),
            ("E", None),
            ("EB", Some(1)),
            ("", None),
            ("(A", Some(0)),
            ("Because", Some(1)),
        ] {
            for rule in [Bare, Brackets, BracketsAndCommas] {
                assert_eq!(read(rule, text), expected, "{rule:?} {text:?}");
            }
        }
        // Odd ones.
        for (text, bare, brackets, commas) in
            [("( A)", 0, 2, 2), ("(A )", 0, 2, 2), ("A, because", 0, 0, 2), ("(A), B", 0, 0, 2), ("B)", 1, 1, 1)]
        {
            let found = [Bare, Brackets, BracketsAndCommas].map(|rule| read(rule, text));
            assert_eq!(found, [Some(bare), Some(brackets), Some(commas)], "{text:?}");
        }
        assert_eq!(super::read(PromptStyle::Package, Brackets, "E", 5), Some(4));
        assert_eq!(super::read(PromptStyle::Package, Brackets, "( A)", 2), None, "C is no option of two");
    }

    #[test]
    fn lmms_eval_goes_by_where_a_letter_stands() {
        let read = |text| read(PromptStyle::LmmsEval, LetterRule::Bare, text, 4);
        for (text, expected) in [
            ("B", Some(1)),
            ("B) A thing", Some(1)),
            ("it must be C", Some(2)),
            ("it must be C.", Some(2)),
            ("the answer is D, for sure", Some(3)),
            ("either (A) or (B), who knows", Some(1)),
            ("first A. then B. then no", Some(1)),
            ("Because", None),
            ("", None),
            ("...", None),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }
}
