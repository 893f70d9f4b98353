//! Dialogues about one video as one sequence for the decoder.

use longvu_llm::IMAGE_TOKEN_INDEX;

use super::Dialogue;

/// What dialogues begin with in common, once, and the rest of each as a branch of its own; a single one has no branches.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    /// Ids before the video, and after it: the rest of what is in common, and then branch by branch.
    pub text: [Vec<u32>; 2],
    /// Positions that the dialogues have in common, with the video's.
    pub prefix: usize,
    /// Positions of each branch.
    pub branches: Vec<usize>,
    /// Where the positions are that predict the answers' tokens.
    pub rows: Vec<usize>,
    /// The answers' tokens.
    pub targets: Vec<u32>,
}

impl Sequence {
    /// Lays out dialogues of which the video takes `visual_tokens` positions; it comes before all that differs.
    pub fn new(dialogues: &[Dialogue], visual_tokens: usize) -> Self {
        let shared = shared_ids(dialogues);
        let first = dialogues.first().map_or(&[][..], |dialogue| &dialogue.ids.as_slice()[..shared]);
        let placeholder = first.iter().position(|&id| id == IMAGE_TOKEN_INDEX);
        let position = |i: usize| match placeholder {
            Some(place) if i > place => i + visual_tokens - 1,
            _ => i,
        };
        let token = |id: &i64| *id as u32;
        let (before, after) = first.split_at(placeholder.unwrap_or(shared));
        let mut sequence = Self {
            text: [before.iter().map(token).collect(), after.iter().skip(1).map(token).collect()],
            prefix: position(shared),
            branches: Vec::new(),
            rows: Vec::new(),
            targets: Vec::new(),
        };
        let mut start = sequence.prefix;
        for dialogue in dialogues {
            let ids = dialogue.ids.as_slice();
            for i in (1..ids.len()).filter(|&i| dialogue.is_answer[i]) {
                // The position before an answer's token predicts it.
                sequence.rows.push(if i <= shared { position(i - 1) } else { start + i - 1 - shared });
                sequence.targets.push(token(&ids[i]));
            }
            if dialogues.len() > 1 {
                sequence.text[1].extend(ids[shared..].iter().map(token));
                sequence.branches.push(ids.len() - shared);
                start += ids.len() - shared;
            }
        }
        sequence
    }
}

/// How many ids all dialogues begin with, short of the one that the first answer follows on; all of a single one.
fn shared_ids(dialogues: &[Dialogue]) -> usize {
    let Some((first, rest)) = dialogues.split_first() else { return 0 };
    let ids = first.ids.as_slice();
    if rest.is_empty() {
        return ids.len();
    }
    let before_answer =
        |dialogue: &Dialogue| dialogue.is_answer.iter().take_while(|is| !**is).count().saturating_sub(1);
    let alike = |dialogue: &Dialogue| ids.iter().zip(dialogue.ids.as_slice()).take_while(|(a, b)| a == b).count();
    dialogues.iter().map(|dialogue| alike(dialogue).min(before_answer(dialogue))).min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use longvu_llm::PromptIds;

    use super::*;

    /// A dialogue of ids, of which those from 100 on are answers.
    fn dialogue(ids: &[i64]) -> Dialogue {
        let is_answer = ids.iter().map(|id| *id >= 100).collect();
        let ids = PromptIds::from_raw(ids.to_vec()).unwrap();
        Dialogue { first_prompt: ids.clone(), ids, is_answer }
    }

    #[test]
    fn one_dialogue_is_a_sequence_without_branches() {
        let sequence = Sequence::new(&[dialogue(&[1, 2, -200, 3, 4, 100, 101, 5, 102])], 10);
        let expected = Sequence {
            text: [vec![1, 2], vec![3, 4, 100, 101, 5, 102]],
            prefix: 18,
            branches: vec![],
            rows: vec![13, 14, 16],
            targets: vec![100, 101, 102],
        };
        assert_eq!(sequence, expected);
    }

    #[test]
    fn dialogues_branch_where_they_differ_and_before_an_answer() {
        let dialogues = [&[1, -200, 3, 4, 100, 101][..], &[1, -200, 3, 5, 6, 102], &[1, -200, 3, 4, 103]].map(dialogue);
        let expected = Sequence {
            text: [vec![1], vec![3, 4, 100, 101, 5, 6, 102, 4, 103]],
            prefix: 12,
            branches: vec![3, 3, 2],
            rows: vec![12, 13, 16, 18],
            targets: vec![100, 101, 102, 103],
        };
        assert_eq!(Sequence::new(&dialogues, 10), expected);
        let sequence = Sequence::new(&[dialogues[0].clone(), dialogues[0].clone()], 10);
        assert_eq!((sequence.prefix, sequence.rows), (12, vec![12, 13, 15, 16]));
    }

    #[test]
    fn dialogues_about_nothing_branch_too() {
        let sequence = Sequence::new(&[&[1, 3, 4, 100][..], &[1, 3, 5, 101]].map(dialogue), 0);
        assert_eq!((sequence.prefix, sequence.branches, sequence.rows), (2, vec![2, 2], vec![2, 4]));
    }
}
