//! Several videos and images in one prompt, and what does not fit into one.

use longvu::{Clip, EncodedVideo, Error, GenerationConfig, LongVu, PreparedPrompt, Result, llm::Conversation};

use crate::support::{builder, features, frames, model};

/// The golden models' window.
const WINDOW: usize = 1024;

fn image(model: &LongVu) -> EncodedVideo {
    model.encode(Clip::from_image(frames(1, 64, 64).remove(0))).unwrap()
}

fn prepare(model: &LongVu, visuals: &[&EncodedVideo]) -> Result<PreparedPrompt> {
    let mut conversation = Conversation::new(visuals.len());
    conversation.push_user("What happens here, and why?");
    let prompt = model.prompt_ids(&conversation)?;
    model.prepare(&prompt, visuals)
}

/// Checks that the prompt ends as it should: with the question and the opening of the answer, to the bit.
fn check_end(model: &LongVu, visuals: &[&EncodedVideo]) -> PreparedPrompt {
    let mut conversation = Conversation::new(visuals.len());
    conversation.push_user("What happens here, and why?");
    let prompt = model.prompt_ids(&conversation).unwrap();
    let prepared = model.prepare(&prompt, visuals).unwrap();
    let last = prompt.text_segments()[visuals.len()].to_vec();
    let positions = prepared.inputs_embeds.dims()[0];
    assert!(positions <= WINDOW, "{positions}");
    let end = prepared.inputs_embeds.clone().narrow(0, positions - last.len(), last.len());
    let expected = model.decoder().unwrap().embed(&last);
    assert_eq!(end.into_data().as_bytes(), expected.into_data().as_bytes());
    prepared
}

#[test]
fn a_long_video_leaves_room_for_the_image_and_the_question() {
    let model = model();
    let (long, image) = (features(&model, 60), image(&model));
    let image_tokens = prepare(&model, &[&image]).unwrap().visual_tokens();
    for visuals in [&[&long, &image][..], &[&image, &long], &[&image, &long, &image]] {
        let prepared = check_end(&model, visuals);
        for (visual, report) in visuals.iter().zip(&prepared.reports) {
            let is_image = visual.sampled_frames() == 1;
            assert!(report.tokens_after == image_tokens || (!is_image && report.tokens_after > 200), "{report:?}");
        }
    }
}

#[test]
fn videos_share_the_window() {
    let model = model();
    let (long, short) = (features(&model, 60), features(&model, 2));
    let together = check_end(&model, &[&long, &long]);
    let tokens: Vec<usize> = together.reports.iter().map(|report| report.tokens_after).collect();
    assert!(tokens.iter().all(|&tokens| tokens > WINDOW / 3), "{tokens:?}");
    // One that needs little has all it needs, before a long one and after it.
    let needed = prepare(&model, &[&short]).unwrap().visual_tokens();
    for (visuals, place) in [([&short, &long], 0), ([&long, &short], 1)] {
        let prepared = check_end(&model, &visuals);
        assert_eq!(prepared.reports[place].tokens_after, needed);
        assert!(prepared.visual_tokens() > WINDOW / 2);
    }
}

#[test]
fn more_images_than_fit_are_refused_with_numbers() {
    let model = model();
    let image = image(&model);
    let each = prepare(&model, &[&image]).unwrap().visual_tokens();
    let most = (1..).find(|&count| prepare(&model, &vec![&image; count]).is_err()).unwrap() - 1;
    assert!(most >= WINDOW / each - 3, "{most} images of {each} tokens");
    check_end(&model, &vec![&image; most]);
    let error = prepare(&model, &vec![&image; 60]).err().unwrap();
    assert!(matches!(error, Error::VisualsTooLarge { images: 60, .. }), "{error}");
    let message = error.to_string();
    for part in ["60 image(s)", &(60 * each).to_string(), "1024", "fewer at a time"] {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
    // A video needs a frame's worth of room, too.
    let long = features(&model, 60);
    let crowd: Vec<&EncodedVideo> = std::iter::repeat_n(&image, most).chain([&long, &long]).collect();
    let config = GenerationConfig::default().with_max_new_tokens(1);
    assert!(matches!(model.stream(&crowd, "Why?", &config), Err(Error::VisualsTooLarge { videos: 2, .. })));
}

/// Two models of the same sizes: what one encoded is not for the other.
#[test]
fn what_another_model_encoded_is_refused() {
    let (qwen, llama) = (model(), builder("llama").load().unwrap());
    let video = features(&qwen, 3);
    assert_eq!(video.features().dims(), features(&llama, 3).features().dims());
    let error = prepare(&llama, &[&video]).err().unwrap().to_string();
    assert!(error.contains("checkpoint") && error.contains("encode it again"), "{error}");
    // The same weights with another temporal stage.
    let other = builder("qwen").dino_threshold(0.3).load().unwrap();
    let error = prepare(&other, &[&video]).err().unwrap().to_string();
    assert!(error.contains("temporal stage") && error.contains("0.83"), "{error}");
    prepare(&model(), &[&video]).unwrap();
}
