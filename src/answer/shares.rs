//! How the videos and images of one prompt share its window.

use crate::{EncodedVideo, Error, LongVu, Result, VisualKind};

/// Tokens that each video and image of a prompt has, or may take.
pub(crate) struct Shares(Vec<usize>);

impl Shares {
    /// Images get what they need, videos share the rest; `text_len` is the prompt's length with each placeholder counted
    /// as one, `text_ids` its length without them.
    ///
    /// # Errors
    /// [`Error::VisualsTooLarge`] when an image, or a frame of each video at low resolution, would find no room.
    pub fn new(model: &LongVu, visuals: &[&EncodedVideo], (text_len, text_ids): (usize, usize)) -> Result<Self> {
        let budget = model.budget();
        let room = budget.room(text_ids);
        let frame = |visual: &EncodedVideo| FrameSizes::new(model, visual);
        let is_image = |visual: &EncodedVideo| visual.kind == VisualKind::Image;
        let images: Vec<usize> =
            visuals.iter().filter(|v| is_image(v)).map(|v| v.frames.len().saturating_mul(frame(v).least)).collect();
        let image_tokens = images.iter().fold(0_usize, |sum, &tokens| sum.saturating_add(tokens));
        let videos: Vec<&&EncodedVideo> = visuals.iter().filter(|v| !is_image(v)).collect();
        let least = videos.iter().fold(image_tokens, |sum, v| sum.saturating_add(frame(v).least));
        if least > room {
            let (images, videos) = (images.len(), videos.len());
            let (window, reserved) = (budget.max_len, budget.inference_max_length);
            return Err(Error::VisualsTooLarge {
                images,
                image_tokens,
                videos,
                video_tokens: least - image_tokens,
                text: text_ids,
                room,
                window,
                reserved,
            });
        }
        let needs: Vec<usize> = videos
            .iter()
            .map(|v| {
                model
                    .rows(v, &budget.beside(image_tokens), text_len.saturating_add(image_tokens))
                    .len()
                    .saturating_mul(frame(v).full)
            })
            .collect();
        let (mut images, mut videos) = (images.into_iter(), divide(room - image_tokens, &needs).into_iter());
        let next = |visual: &&EncodedVideo| if is_image(visual) { images.next() } else { videos.next() };
        Ok(Self(visuals.iter().filter_map(next).collect()))
    }

    /// Tokens of all but the one at `index`.
    pub fn of_others(&self, index: usize) -> usize {
        self.0.iter().enumerate().filter(|(i, _)| *i != index).map(|(_, tokens)| tokens).sum()
    }

    /// Notes what the one at `index` took of its share; what it left is for those that follow.
    pub fn settle(&mut self, index: usize, tokens: usize) {
        self.0[index] = tokens;
    }
}

/// Tokens of one frame.
struct FrameSizes {
    full: usize,
    /// At low resolution, in models that have it.
    least: usize,
}

impl FrameSizes {
    fn new(model: &LongVu, visual: &EncodedVideo) -> Self {
        let (config, size) = (model.config(), visual.size_pair());
        let (side, low) = (config.query_side(), config.lowres_token);
        let full = size.kept_cells(side).tokens_with_newlines();
        let least = if config.highres { size.scaled(side, low).kept_cells(low).tokens_with_newlines() } else { full };
        Self { full, least }
    }
}

/// Divides `room` among those that need so much each: everyone gets what they need, or as much as those who get most.
fn divide(room: usize, needs: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|&i| needs[i]);
    let (mut left, mut shares) = (room, vec![0; needs.len()]);
    for (served, &i) in order.iter().enumerate() {
        shares[i] = needs[i].min(left / (needs.len() - served));
        left -= shares[i];
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::divide;

    #[test]
    fn who_needs_little_leaves_the_rest_to_others() {
        assert_eq!(divide(100, &[10, 500]), [10, 90]);
        assert_eq!(divide(100, &[500, 500]), [50, 50]);
        assert_eq!(divide(100, &[30, 500, 20, 400]), [26, 27, 20, 27]);
        assert_eq!(divide(100, &[]), Vec::<usize>::new());
    }

    proptest! {
        #[test]
        fn nothing_is_given_twice_or_kept_back(room in 0usize..10_000, needs in prop::collection::vec(0usize..5_000, 0..8)) {
            let shares = divide(room, &needs);
            let given: usize = shares.iter().sum();
            prop_assert_eq!(given, room.min(needs.iter().sum()));
            prop_assert!(shares.iter().zip(&needs).all(|(share, need)| share <= need));
            let most = shares.iter().max().copied().unwrap_or(0);
            let cut = shares.iter().zip(&needs).filter(|(share, need)| share < need);
            prop_assert!(cut.clone().all(|(share, _)| share + 1 >= most));
        }
    }
}
