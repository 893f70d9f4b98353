//! Small folders in the layouts of the published data sets, with made-up questions about drawn videos.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{ArrayRef, RecordBatch, StringArray, builder::ListBuilder, builder::StringBuilder};
use longvu_world::{Script, ScriptOptions, Split};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

/// A folder with a data set in it, and what is right.
pub struct Made {
    pub folder: tempfile::TempDir,
    /// The right option of each question that has one.
    pub answers: BTreeMap<String, usize>,
    /// The group of each question by which the score is made.
    pub groups: BTreeMap<String, String>,
}

/// Makes one of the data sets.
pub type Make = fn() -> Made;

/// The five data sets.
pub const ALL: [(&str, Make); 5] =
    [("videomme", videomme), ("mlvu", mlvu), ("mvbench", mvbench), ("egoschema", egoschema), ("json", json_list)];

impl Made {
    fn new() -> Self {
        let made = Self { folder: tempfile::tempdir().unwrap(), answers: BTreeMap::new(), groups: BTreeMap::new() };
        for seed in 0..DRAWN {
            let options = ScriptOptions::default().with_duration(4.0).with_size(64);
            let script = Script::draw(Split::Test.seed(seed), &options).unwrap();
            script.write_mp4(made.folder.path().join(format!("drawn{seed}.mp4"))).unwrap();
        }
        made
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of the drawn videos at a place in the data set.
    fn video(&self, place: impl AsRef<Path>, number: usize) {
        let place = self.root().join(place);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        if !place.exists() {
            fs::hard_link(self.folder.path().join(format!("drawn{}.mp4", number as u64 % DRAWN)), place).unwrap();
        }
    }

    fn json(&self, place: &str, value: &Value) {
        let place = self.root().join(place);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, value.to_string()).unwrap();
    }

    fn right(&mut self, id: String, answer: usize, group: &str) {
        self.answers.insert(id.clone(), answer);
        self.groups.insert(id, group.to_owned());
    }
}

/// Videos that are drawn, and stand at many places.
const DRAWN: u64 = 3;

/// Four options, told apart by the number of their question.
fn options(number: usize) -> [String; 4] {
    ["red", "blue", "green", "yellow"].map(|colour| format!("{colour} {number}"))
}

fn videomme() -> Made {
    let mut made = Made::new();
    let mut columns: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut lists = ListBuilder::new(StringBuilder::new());
    for number in 0..33 {
        let video = number / 3;
        let (id, name) = (format!("{:03}-{}", video + 1, number % 3 + 1), format!("vid-{video}"));
        let (answer, duration) = ((number * 7) % 4, ["short", "medium", "long"][video % 3]);
        made.video(format!("data/{name}.{}", if video == 4 { "mkv" } else { "mp4" }), video);
        let mut push = |column, value: &str| columns.entry(column).or_default().push(value.to_owned());
        push("video_id", &format!("{:03}", video + 1));
        push("duration", duration);
        push("domain", ["Knowledge", "Life Record"][video % 2]);
        push("sub_category", "Animation");
        push("url", "https://example.org/watch");
        push("videoID", &name);
        push("question_id", &id);
        push("task_type", ["Counting Problem", "Object Recognition"][number % 2]);
        push("question", &format!("Which colour is thing {number}?"));
        push("answer", ["A", "B", "C", "D"][answer]);
        for (letter, text) in ["A", "B", "C", "D"].iter().zip(options(number)) {
            lists.values().append_value(format!("{letter}. {text}."));
        }
        lists.append(true);
        if video < 8 {
            let cues =
                "1\n00:00:00,000 --> 00:00:01,500\nhello there\n\n2\n00:00:01,600 --> 00:00:03,500\nhow are you\n\n";
            fs::create_dir_all(made.root().join("subtitle")).unwrap();
            fs::write(made.root().join(format!("subtitle/{name}.srt")), cues).unwrap();
        }
        made.right(id, answer, duration);
    }
    let column = |name: &str| Arc::new(StringArray::from(columns[name].clone())) as ArrayRef;
    // In the order in which the Hub's file has them.
    let names =
        ["video_id", "duration", "domain", "sub_category", "url", "videoID", "question_id", "task_type", "question"];
    let mut all: Vec<(&str, ArrayRef)> = names.map(|name| (name, column(name))).to_vec();
    all.push(("options", Arc::new(lists.finish()) as ArrayRef));
    all.push(("answer", column("answer")));
    let path = made.root().join("videomme/test-00000-of-00001.parquet");
    write_parquet(&path, &RecordBatch::try_from_iter(all).unwrap());
    made
}

pub fn write_parquet(path: &Path, batch: &RecordBatch) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn mlvu() -> Made {
    let mut made = Made::new();
    let tasks = ["1_plotQA", "2_needle", "3_ego", "4_count", "5_order", "6_anomaly_reco", "7_topic_reasoning"];
    for (task_number, task) in tasks.iter().enumerate() {
        let mut items = Vec::new();
        // Tasks of unlike sizes, so that the mean of tasks is not the pool.
        for place in 0..4 + task_number % 3 {
            let number = task_number * 10 + place;
            let (options, answer) = (options(number), (number * 3) % 4);
            let video = format!("clip_{}.mp4", place % 2);
            made.video(format!("video/{task}/{video}"), task_number + place % 2);
            items.push(json!({
                "video": video, "duration": 4.0, "question": format!("Which colour is thing {number}?"),
                "candidates": options, "answer": options[answer], "question_type": task
            }));
            made.right(format!("{task}_{place}"), answer, task.split_once('_').unwrap().1);
        }
        made.json(&format!("json/{task}.json"), &json!(items));
    }
    made
}

fn mvbench() -> Made {
    let mut made = Made::new();
    let tasks = [
        ("action_sequence", "star/Charades_v1_480", true),
        ("action_prediction", "star/Charades_v1_480", true),
        ("action_antonym", "ssv2_video", false),
        ("fine_grained_action", "Moments_in_Time_Raw/videos", false),
        ("unexpected_action", "FunQA_test/test", false),
        ("object_existence", "clevrer/video_validation", false),
        ("object_interaction", "star/Charades_v1_480", true),
        ("object_shuffle", "perception/videos", false),
        ("moving_direction", "clevrer/video_validation", false),
        ("action_localization", "sta/sta_video", true),
        ("scene_transition", "scene_qa/video", false),
        ("action_count", "perception/videos", false),
        ("moving_count", "clevrer/video_validation", false),
        ("moving_attribute", "clevrer/video_validation", false),
        ("state_change", "perception/videos", false),
        ("fine_grained_pose", "nturgbd", false),
        ("character_order", "perception/videos", false),
        ("egocentric_navigation", "vlnqa", false),
        ("episodic_reasoning", "tvqa/frames_fps3_hq", true),
        ("counterfactual_inference", "clevrer/video_validation", false),
    ];
    for (task_number, (task, folder, bounded)) in tasks.into_iter().enumerate() {
        let mut items = Vec::new();
        for place in 0..2 {
            let number = task_number * 2 + place;
            let (options, answer) = (options(number), number % 4);
            let video = if task == "episodic_reasoning" {
                pictures(&made.root().join("video").join(folder).join("scene_1"));
                "scene_1".to_owned()
            } else {
                made.video(format!("video/{folder}/clip.mp4"), task_number);
                "clip.mp4".to_owned()
            };
            let mut item = json!({
                "video": video, "question": format!("Which colour is thing {number}?"), "candidates": options,
                "answer": options[answer]
            });
            if bounded {
                (item["start"], item["end"]) = (json!(0.5), json!(2.5));
            }
            items.push(item);
            made.right(format!("{task}_{place}"), answer, task);
        }
        made.json(&format!("json/{task}.json"), &json!(items));
    }
    made
}

/// A folder of JPEGs, three a second, as TVQA's frames are published.
fn pictures(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for number in 1..=9_u8 {
        let picture = image::RgbImage::from_fn(48, 36, |x, _| image::Rgb([number * 25, x as u8, 0]));
        picture.save(folder.join(format!("{number:05}.jpg"))).unwrap();
    }
}

fn egoschema() -> Made {
    let mut made = Made::new();
    let (mut items, mut labels) = (Vec::new(), serde_json::Map::new());
    for number in 0..32 {
        let (id, options) = (format!("00ff{number:02x}-uid"), options(number));
        made.video(format!("good_clips_git/{id}.mp4"), number);
        items.push(json!({
            "q_uid": id, "google_drive_id": "x", "question": format!("Which colour is thing {number}?"),
            "option 0": options[0], "option 1": options[1], "option 2": options[2], "option 3": options[3],
            "option 4": "none of them"
        }));
        if number % 3 != 0 {
            labels.insert(id.clone(), json!(number % 5));
            made.right(id, number % 5, "");
        }
    }
    made.json("questions.json", &json!(items));
    made.json("subset_answers.json", &Value::Object(labels));
    made
}

fn json_list() -> Made {
    let mut made = Made::new();
    let mut items = Vec::new();
    for number in 0..30 {
        let (options, answer, category) = (options(number), number % 4, ["near", "far"][number % 2]);
        made.video(format!("clips/{}.mp4", number / 6), number / 6);
        items.push(json!({
            "video": format!("clips/{}.mp4", number / 6), "question": format!("Which colour is thing {number}?"),
            "options": options, "answer": options[answer], "category": category
        }));
        made.right(number.to_string(), answer, category);
    }
    made.json("questions.json", &json!(items));
    made
}
