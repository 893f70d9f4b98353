//! `longvu ask --sheet`.

use std::{fs, path::Path};

use image::{Rgb, RgbImage};
use serde_json::Value;

use crate::support::{ask, longvu, model, run, video};

const GREY: Rgb<u8> = Rgb([165, 165, 165]);
const AMBER: Rgb<u8> = Rgb([235, 150, 0]);
const GREEN: Rgb<u8> = Rgb([0, 140, 70]);

fn picture(path: &Path) -> RgbImage {
    let bytes = fs::read(path).unwrap();
    assert!(bytes.starts_with(b"\x89PNG"));
    image::load_from_memory(&bytes).unwrap().to_rgb8()
}

/// Frames outlined in `colour`: rows of the upper edges of their outlines, each as wide as a picture and the outline.
fn outlined(sheet: &RgbImage, colour: Rgb<u8>) -> usize {
    let (width, height) = sheet.dimensions();
    let is = |x: u32, y: u32| *sheet.get_pixel(x, y) == colour;
    let edge = |x: u32, y: u32| {
        let whole = x + 112 <= width && (x..x + 112).all(|x| is(x, y)) && (x == 0 || !is(x - 1, y));
        whole && (y == 0 || !is(x + 56, y - 1)) && y + 3 < height && is(x + 56, y + 3)
    };
    // An outline has an upper and a lower edge.
    (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).filter(|&(x, y)| edge(x, y)).count() / 2
}

#[test]
fn every_frame_is_outlined_by_its_fate() {
    let folder = tempfile::tempdir().unwrap();
    let (sheet, report) = (folder.path().join("out.png"), folder.path().join("out.json"));
    let mut command = ask(video("video1.mp4"), "Describe this video in detail");
    let plain = run(command.args(["--dino-threshold", "0.79511"])).ok();
    assert_eq!(run(command.arg("--report").arg(&report).arg("--sheet").arg(&sheet)).ok(), plain);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");

    let report: Value = serde_json::from_slice(&fs::read(&report).unwrap()).unwrap();
    let count = |field: &str| report["frames"][field].as_u64().unwrap() as usize;
    let (sampled, kept, full) = (count("sampled"), count("kept"), count("full_resolution"));
    assert!(full > 0 && kept > full && sampled > kept, "{sampled}, {kept}, {full}");
    let sheet = picture(&sheet);
    let drawn = [GREEN, AMBER, GREY].map(|colour| outlined(&sheet, colour));
    assert_eq!(drawn, [full, kept - full, sampled - kept]);
}

#[test]
fn an_image_is_a_sheet_of_one_frame() {
    let folder = tempfile::tempdir().unwrap();
    let (image, sheet) = (folder.path().join("in.png"), folder.path().join("out.PNG"));
    RgbImage::from_fn(60, 40, |x, y| Rgb([x as u8 * 4, y as u8 * 6, 90])).save(&image).unwrap();
    run(ask(&image, "What?").arg("--sheet").arg(&sheet)).ok();
    let sheet = picture(&sheet);
    // This model looks at single images at its lower resolution.
    assert_eq!([GREEN, AMBER, GREY].map(|colour| outlined(&sheet, colour)), [0, 1, 0]);
}

#[test]
fn what_cannot_be_drawn_is_refused_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    let copy = place("video.mp4");
    fs::copy(video("video3.mp4"), &copy).unwrap();
    run(ask(&copy, "What?").arg("--sheet").arg(&copy)).fails(2, &["--sheet names the FILE", "name another"]);
    assert_eq!(fs::read(&copy).unwrap(), fs::read(video("video3.mp4")).unwrap());
    run(ask(&copy, "What?").arg("--sheet").arg(place("none/out.png")))
        .fails(1, &["contact sheet", "name another place"]);
    run(ask(&copy, "What?").arg("--sheet").arg(place("out.jpg"))).fails(2, &["PNG", "out.jpg"]);
    let both = place("out.png");
    run(ask(&copy, "What?").arg("--sheet").arg(&both).arg("--report").arg(&both)).fails(2, &["the same file"]);
    run(longvu().args(["ask", "--no-video", "What?", "--sheet"]).arg(&both)).fails(2, &["--sheet"]);

    let encoded = place("video.longvu");
    run(longvu().arg("encode").arg(&copy).arg("--out").arg(&encoded).arg("--model").arg(model())).ok();
    run(ask(&encoded, "What?").arg("--sheet").arg(&both)).fails(2, &["--sheet", "encoded video", "give the video"]);
    assert!(!both.exists());
}
