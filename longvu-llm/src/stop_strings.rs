//! Cutting a growing text at the first stop string.

/// Passes text through until a stop string is complete.
///
/// Text that may be the start of a stop string is held back, so that nothing of a stop string is
/// ever given out. How the text is cut into pieces makes no difference: the text ends before the
/// stop string that is complete first, the longest one where several end together.
#[derive(Debug, Clone, Default)]
pub(crate) struct StopStrings {
    stops: Vec<String>,
    held: String,
    stopped: bool,
}

impl StopStrings {
    /// Empty stop strings are left out: they would match before the first character.
    pub fn new(stops: impl IntoIterator<Item = String>) -> Self {
        let stops = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
        Self { stops, held: String::new(), stopped: false }
    }

    /// Adds text; returns what can be given out now.
    pub fn push(&mut self, text: &str) -> String {
        if self.stopped {
            return String::new();
        }
        self.held.push_str(text);
        if let Some(start) = self.first_match() {
            self.stopped = true;
            self.held.truncate(start);
            return std::mem::take(&mut self.held);
        }
        let keep_from = self.held.len() - self.longest_open_match();
        let tail = self.held.split_off(keep_from);
        std::mem::replace(&mut self.held, tail)
    }

    /// Gives out what was held back: the text is over and no stop string came.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Where the stop string that is complete first begins.
    fn first_match(&self) -> Option<usize> {
        self.stops
            .iter()
            .filter_map(|stop| {
                let start = self.held.find(stop.as_str())?;
                Some((start + stop.len(), start))
            })
            .min()
            .map(|(_, start)| start)
    }

    /// The length of the longest end of the held text that begins a stop string.
    fn longest_open_match(&self) -> usize {
        self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0)
    }
}

/// The length of the longest end of `text` that is a beginning of `stop`, short of all of it.
fn overlap(text: &str, stop: &str) -> usize {
    let beginnings = stop.char_indices().map(|(end, _)| &stop[..end]);
    beginnings.rev().find(|beginning| text.ends_with(beginning)).map_or(0, str::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds the pieces; returns the text given out and whether a stop string came.
    fn run(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let mut filter = StopStrings::new(stops.iter().map(|s| s.to_string()));
        let mut out: String = pieces.iter().map(|piece| filter.push(piece)).collect();
        out.push_str(&filter.finish());
        (out, filter.is_stopped())
    }

    #[test]
    fn text_is_cut_before_the_stop_string() {
        assert_eq!(run(&["END"], &["one E", "N", "D two"]), ("one ".into(), true));
        assert_eq!(run(&["END"], &["one E", "Nd"]), ("one ENd".into(), false));
        assert_eq!(run(&["END"], &["one EN"]), ("one EN".into(), false));
        assert_eq!(run(&["aab"], &["a", "a", "a", "b"]), ("a".into(), true));
        assert_eq!(run(&[""], &["text"]), ("text".into(), false));
    }

    #[test]
    fn only_possible_beginnings_are_held_back() {
        let mut filter = StopStrings::new(["\nUser:".to_owned()]);
        assert_eq!(filter.push("hello\n"), "hello");
        assert_eq!(filter.push("Us"), "");
        assert_eq!(filter.push("ed"), "\nUsed");
        assert_eq!(filter.push("\nUser: hi"), "");
        assert!(filter.is_stopped());
        assert_eq!(filter.push("more"), "");
    }

    #[test]
    fn the_stop_string_complete_first_wins_and_then_the_longest() {
        assert_eq!(run(&["abcd", "bc"], &["xabcd"]), ("xa".into(), true));
        assert_eq!(run(&["bc", "abc"], &["xabc"]), ("x".into(), true));
    }

    proptest! {
        #[test]
        fn cutting_into_pieces_makes_no_difference(
            stops in prop::collection::vec("[abé]{1,4}", 0..4),
            pieces in prop::collection::vec("[abcé]{0,4}", 0..12),
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let whole = pieces.concat();
            prop_assert_eq!(run(&stops, &pieces), run(&stops, &[&whole]));

            let (out, stopped) = run(&stops, &pieces);
            prop_assert!(whole.starts_with(&out));
            prop_assert_eq!(stopped, stops.iter().any(|stop| whole.contains(stop)));
            prop_assert!(stops.iter().all(|stop| !out.contains(stop)));
        }
    }
}
