//! The text of a question, byte for byte as other harnesses ask it.

use crate::{DataSet, PromptStyle, Question};

/// The user's turn, without the placeholder of the video and the line end after it, which the conversation puts before.
///
/// `subtitles` are the lines of the frames that are looked at, `None` where the video has no subtitles or they are not wanted. A video
/// with subtitles of which no frame has any gets the heading and an empty line, as the package has it.
pub fn prompt(data_set: &dyn DataSet, style: PromptStyle, question: &Question, subtitles: Option<&[String]>) -> String {
    let lines = subtitles.map(|lines| lines.join("\n"));
    match style {
        PromptStyle::Package => {
            let heading = "This video's subtitles are listed below:";
            let block = lines.map(|lines| format!("{heading}\n{lines}\n")).unwrap_or_default();
            let (options, instruction) = (data_set.options(question), data_set.instruction(question));
            format!("{block}Question: {}\nOptions:\n{options}\n{instruction}", question.text)
        }
        PromptStyle::LmmsEval => {
            let heading = "This video's subtitles are listed below: ";
            let block = lines.map(|lines| format!("{heading}\n{lines}\n")).unwrap_or_default();
            block + &data_set.lmms_eval_prompt(question)
        }
    }
}
