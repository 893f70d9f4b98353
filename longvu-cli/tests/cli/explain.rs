//! `longvu explain`: the page and the data.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use html5gum::{Token, Tokenizer};
use serde_json::Value;

use crate::support::{ffmpeg, longvu, model, run, video};

/// `longvu explain FILE QUESTION` on the small model, with a short answer.
fn explain(file: impl AsRef<Path>, question: &str) -> Command {
    let mut command = longvu();
    command.arg("explain").arg(file.as_ref()).arg(question).arg("--model").arg(model()).args(["--max-new-tokens", "4"]);
    command
}

/// An element: its name, attributes, and all text in it.
struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
    text: String,
}

/// A page taken to pieces.
struct Page {
    source: String,
    elements: Vec<Element>,
}

impl Page {
    /// Reads a page, which must be sound: no parse error, every element closed in turn.
    #[track_caller]
    fn read(path: &Path) -> Self {
        let source = fs::read_to_string(path).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let (mut elements, mut open): (Vec<Element>, Vec<usize>) = (Vec::new(), Vec::new());
        for token in Tokenizer::new(&source) {
            match token.unwrap() {
                Token::StartTag(tag) => {
                    let attributes = tag.attributes.iter().map(|(name, value)| (text(name), text(value))).collect();
                    let name = text(&tag.name);
                    if !tag.self_closing && !["meta", "br"].contains(&name.as_str()) {
                        open.push(elements.len());
                    }
                    elements.push(Element { name, attributes, text: String::new() });
                }
                Token::EndTag(tag) => {
                    let last = open.pop().expect("nothing is open");
                    assert_eq!(elements[last].name, text(&tag.name));
                }
                Token::String(string) => open.iter().for_each(|&i| elements[i].text += &text(&string)),
                Token::Error(error) => panic!("{error:?}"),
                Token::Doctype(_) | Token::Comment(_) => {}
            }
        }
        assert!(open.is_empty(), "not all elements are closed");
        Self { source, elements }
    }

    fn with(&self, attribute: &str, value: &str) -> Vec<&Element> {
        let has = |element: &&Element| element.attributes.get(attribute).is_some_and(|found| found == value);
        self.elements.iter().filter(has).collect()
    }

    fn of_name(&self, name: &str) -> Vec<&Element> {
        self.elements.iter().filter(|element| element.name == name).collect()
    }

    fn section(&self, id: &str) -> &Element {
        let [section] = self.with("id", id)[..] else { panic!("no section {id}") };
        section
    }

    /// Checks that nothing in it points out of it: there are pictures as data, and places within the page.
    fn is_self_contained(&self) {
        let texts = [("xmlns", "http://www.w3.org/2000/svg")];
        for element in &self.elements {
            assert!(
                !["script", "link", "iframe", "object", "base"].contains(&element.name.as_str()),
                "{}",
                element.name
            );
            for (name, value) in &element.attributes {
                assert!(!name.starts_with("on"), "{name}={value}");
                if ["href", "src", "xlink:href", "action", "srcset"].contains(&name.as_str()) {
                    assert!(value.starts_with('#') || value.starts_with("data:image/jpeg;base64,"), "{name}={value}");
                } else if !texts.contains(&(name.as_str(), value.as_str())) {
                    assert!(!value.contains("://"), "{name}={value}");
                }
            }
        }
        let style = &self.of_name("style")[0].text;
        assert!(!style.contains("@import") && style.matches("url(").count() == style.matches("url(#").count());
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn places() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (page, data) = (folder.path().join("out.html"), folder.path().join("out.json"));
    (folder, page, data)
}

#[test]
fn the_page_shows_what_the_data_say() {
    let (folder, page, data) = places();
    let mut command = explain(video("video1.mp4"), "Describe this video in detail");
    let answer =
        run(command.args(["--dino-threshold", "0.79511", "-q", "--out"]).arg(&page).arg("--json").arg(&data)).ok();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
    let (page, data) = (Page::read(&page), json(&data));
    page.is_self_contained();
    let shown = &data["runs"][0];
    assert_eq!(format!("{}\n", shown["answer"].as_str().unwrap()), answer);
    let header = &page.of_name("header")[0].text;
    for part in ["video1.mp4", "Describe this video in detail", "longvu_qwen", "--dino-threshold 0.79511", "longvu 0."]
    {
        assert!(header.contains(part), "{part}: {header}");
    }
    assert!(!header.contains("--quiet") && !header.contains("--out"), "{header}");

    // Every sampled frame, with its fate and numbers.
    let visual = &shown["explanation"]["visuals"][0];
    let frames = visual["frames"].as_array().unwrap();
    assert_eq!((frames.len(), page.of_name("image").len()), (21, 21));
    for frame in frames {
        let [row, ..] = page.with("data-sample", &frame["sample"].to_string())[..] else { panic!("{frame}") };
        assert_eq!(row.name, "tr");
        let similarity = format!("{:.3}", frame["temporal_score"].as_f64().unwrap());
        assert!(row.text.contains(&similarity) && row.text.contains(&frame["tokens"].to_string()), "{}", row.text);
    }
    let strip = page.section("frames");
    assert!(strip.text.contains("11 at full resolution, 1 at low resolution, 9 dropped"), "{}", strip.text);
    assert_eq!(page.with("class", "gone").len(), 9);

    // Both windows, and the threshold.
    let windows = visual["temporal"]["windows"].as_array().unwrap();
    assert_eq!((windows.len(), page.with("class", "matrix").len()), (2, 2));
    assert_eq!(windows[1]["first"], 16);
    assert_eq!(visual["temporal"]["threshold"], 0.79511);
    assert!(page.section("temporal").text.contains("0.79511 or more"));
    assert!(page.section("query").text.contains("11 of 12 scored frames were picked"));

    // Where the window's tokens went.
    let window = &shown["explanation"]["window"];
    for (part, name) in [
        ("text", "text"),
        ("low", "frames at low resolution"),
        ("full", "frames at full resolution"),
        ("newlines", "newlines of frames"),
        ("reserved", "reserved for the answer"),
        ("spare", "spare"),
    ] {
        let [row] = page.with("data-part", name)[..] else { panic!("{name}") };
        assert!(row.text.contains(&window[part].to_string()), "{part}: {}", row.text);
    }
    assert_eq!(shown["visual_tokens"], 964);
    let costs = &page.section("costs").text;
    for step in shown["steps"].as_array().unwrap() {
        assert!(costs.contains(step["step"].as_str().unwrap()), "{step}: {costs}");
    }
    // What is drawn is also told.
    for drawn in page.with("role", "img") {
        assert!(drawn.attributes["aria-label"].len() > 20, "{}", drawn.name);
    }
}

#[test]
fn tokens_are_drawn_cell_by_cell() {
    let (_folder, page, data) = places();
    let mut command = explain(video("video1.mp4"), "What?");
    command.args(["-q", "--spatial", "evs:q=fit", "--budget", "500", "--out"]).arg(&page).arg("--json").arg(&data);
    run(&mut command).ok();
    let (page, data) = (Page::read(&page), json(&data));
    let visual = &data["runs"][0]["explanation"]["visuals"][0];
    let kept = visual["fusion"]["spatial"]["kept"].as_array().unwrap();
    let grids = page.with("class", "grid full");
    assert!(!grids.is_empty());
    for grid in grids {
        let sample: usize = grid.attributes["data-sample"].parse().unwrap();
        let place = visual["frames"][sample]["place"].as_u64().unwrap() as usize;
        assert_eq!(grid.attributes["data-kept"], kept[place].as_array().unwrap().len().to_string());
    }
    // Frames of 16:9 have 6 of 12 columns; each frame's dropped cells and cut ones are outlined.
    let cells = |class: &str| -> Vec<usize> {
        page.with("class", class).iter().map(|path| path.attributes["d"].matches('z').count()).collect()
    };
    assert!(cells("cut").iter().all(|&count| count == 72), "{:?}", cells("cut"));
    let drawn = cells("dropped").iter().chain(&cells("newline-gone")).sum::<usize>();
    let all: usize =
        kept.iter().map(|kept| kept.as_array().unwrap().len()).filter(|&count| count > 0).map(|count| 84 - count).sum();
    assert_eq!(drawn, all);
}

#[test]
fn two_settings_stand_side_by_side() {
    let (_folder, page, data) = places();
    let compare = ["--compare", "preset=paper,spatial=divprune:retained=0.2,chunk=4,budget=500"];
    let answers = run(explain(video("video3.mp4"), "What?")
        .args(["--uniform", "6", "-q"])
        .args(compare)
        .arg("--out")
        .arg(&page)
        .arg("--json")
        .arg(&data))
    .ok();
    let (page, data) = (Page::read(&page), json(&data));
    page.is_self_contained();
    let told: Vec<String> =
        data["runs"].as_array().unwrap().iter().map(|run| format!("{}\n", run["answer"].as_str().unwrap())).collect();
    assert_eq!((told.len(), told.concat()), (2, answers));
    assert_eq!(data["runs"][1]["model"]["spatial"], "divprune:retained=0.2,chunk=4");
    assert_eq!(data["runs"][1]["model"]["budget"]["visual_tokens"], 500);
    assert_eq!(
        (&data["runs"][0]["model"]["preset"], &data["runs"][1]["model"]["preset"]),
        (&"package".into(), &"paper".into())
    );
    assert_eq!(page.with("class", "pair").len(), 7, "the header and each section");
    let header = &page.of_name("header")[0].text;
    assert!(header.contains("Run A") && header.contains("Run B") && header.contains("--preset paper"), "{header}");
    // Both runs have the same frames, whose pictures are there once.
    assert_eq!(page.of_name("image").len(), 6);
}

#[test]
fn texts_stay_texts() {
    let (_folder, page, _) = places();
    let question = "</title>\u{1b}[2J<script>alert(1)</script><img src=x onerror='x'> \"&amp;\"";
    run(explain(video("video3.mp4"), question).args(["-q", "--uniform", "2", "--out"]).arg(&page)).ok();
    let page = Page::read(&page);
    page.is_self_contained();
    assert!(page.of_name("img").is_empty() && !page.source.contains("<script"));
    let [heading] = page.of_name("h1")[..] else { panic!("one heading") };
    let question = question.replace('\u{1b}', "\u{fffd}");
    assert_eq!(heading.text, question);
    assert!(page.of_name("title")[0].text.ends_with(&question));
}

#[test]
fn images_and_encoded_videos_have_pages_too() {
    let (folder, page, _) = places();
    let (picture, encoded) = (folder.path().join("picture.png"), folder.path().join("clip.longvu"));
    ffmpeg("-f lavfi -i testsrc=size=200x80 -frames:v 1", &picture);
    run(explain(&picture, "What?").args(["-q", "--out"]).arg(&page)).ok();
    let image = Page::read(&page);
    image.is_self_contained();
    assert_eq!(image.of_name("image").len(), 1);
    assert!(image.section("temporal").text.contains("An image goes by this stage"));

    run(longvu().arg("encode").arg(video("video3.mp4")).arg("-q").arg("--model").arg(model()).arg("-o").arg(&encoded))
        .ok();
    run(explain(&encoded, "What?").args(["-q", "--out"]).arg(&page)).ok();
    let clip = Page::read(&page);
    assert_eq!((clip.of_name("image").len(), clip.with("class", "thumb").len()), (0, 6));
    assert!(clip.section("frames").text.contains("no pictures"));
    run(explain(&encoded, "What?").args(["--fps", "2", "--out"]).arg(&page)).fails(2, &["--fps cannot change"]);
}

/// Of a long video a bounded number of frames, windows and grids, and said so.
#[test]
fn long_videos_have_short_pages() {
    let (folder, page, data) = places();
    let (clip, caches) = (folder.path().join("long.mp4"), folder.path().join("caches"));
    ffmpeg("-f lavfi -i testsrc=size=96x96:rate=2 -t 400 -c:v mpeg4 -q:v 20", &clip);
    let mut command = longvu();
    command.env("XDG_CACHE_HOME", caches).arg("explain").arg(&clip).args(["What?", "-q", "--out"]).arg(&page);
    run(command.arg("--json").arg(&data)).ok();
    let bytes = fs::metadata(&page).unwrap().len();
    assert!(bytes < 4_000_000, "{bytes}");
    let (page, data) = (Page::read(&page), json(&data));
    let visual = &data["runs"][0]["explanation"]["visuals"][0];
    assert_eq!(visual["frames"].as_array().unwrap().len(), 400);
    assert_eq!((page.with("class", "thumb").len(), page.of_name("image").len()), (120, 120));
    assert!(page.section("frames").text.contains("120 of 400 frames are shown"));
    assert_eq!(page.with("class", "matrix").len(), 12);
    assert!(page.section("temporal").text.contains("12 of 25 windows shown"));
}

#[test]
fn wrong_calls_and_places_are_refused_before_the_work() {
    let (folder, page, _) = places();
    let fails = |arguments: &[&str], code, parts: &[&str]| {
        run(explain(video("video3.mp4"), "What?").args(arguments)).fails(code, parts);
    };
    fails(&[], 2, &["--out"]);
    let out = page.to_str().unwrap();
    fails(&["--out", out, "--json", out], 2, &["same file"]);
    fails(&["--out", out, "--compare", "colour=red"], 2, &["`colour=red` is no setting", "budget"]);
    fails(&["--out", out, "--compare", "spatial=nonsense"], 2, &["divprune"]);
    let nowhere = folder.path().join("none/out.html");
    fails(&["--out", nowhere.to_str().unwrap()], 1, &["the page cannot be written to"]);
    fails(&["--out", folder.path().to_str().unwrap()], 1, &["it is a folder"]);
    let copy = folder.path().join("clip.mp4");
    fs::copy(video("video3.mp4"), &copy).unwrap();
    run(explain(&copy, "What?").arg("--out").arg(&copy)).fails(2, &["would overwrite it"]);
    run(explain(&copy, " ").arg("--out").arg(&page)).fails(2, &["question"]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left");
}

/// A limit on the size of files stands for a disk that is full after some bytes.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_leaves_the_page_before() {
    let (folder, page, _) = places();
    fs::write(&page, "the page before").unwrap();
    let run = run(Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_longvu"), "explain"])
        .arg(video("video3.mp4"))
        .args(["What?", "--max-new-tokens", "4", "--model"])
        .arg(model())
        .arg("--out")
        .arg(&page));
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("error: the page could not be written"), "{}", run.stderr);
    assert_eq!(fs::read_to_string(&page).unwrap(), "the page before");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}
