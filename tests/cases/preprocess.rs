//! `preprocess_*`: frames to pixels.

use longvu::{
    Dtype,
    checkpoint::config::{PreprocessorConfig, TowerRef},
    vision::Preprocessor,
};

use super::{Case, cases, checkpoint_file, device};

fn check(case: &Case, tower: &str, entry: &str) {
    let tower_ref: TowerRef = entry.parse().unwrap();
    let config = PreprocessorConfig::read(&checkpoint_file(tower, "preprocessor_config.json"), &tower_ref).unwrap();
    let preprocessor = Preprocessor::new(config);
    let [height, width, _] = case.shape("rgb")[..] else { panic!("rgb is no image") };
    let resized = preprocessor.resize(&case.bytes("rgb"), width as u32, height as u32).unwrap();

    let size = preprocessor.size();
    let expected = case.bytes(&format!("{tower}_resized_u8"));
    assert_eq!(expected.len(), size * size * 3);
    // The golden bytes are channel by channel.
    let found: Vec<u8> = (0..3).flat_map(|c| resized.iter().skip(c).step_by(3).copied()).collect();
    let off: Vec<u8> = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).filter(|&d| d > 0).collect();
    println!("{} {tower}: {} of {} bytes differ", case.name, off.len(), found.len());
    assert!(off.iter().all(|&d| d <= 1), "{} {tower}: a byte is off by {:?}", case.name, off.iter().max());
    assert!(off.len() * 1000 <= found.len(), "{} {tower}: {} bytes differ", case.name, off.len());

    let rows = preprocessor.pixel_values(&[resized], &device(), Dtype::F32).narrow(2, 180, 16);
    let rows: Vec<f32> = rows.into_data().iter::<f32>().collect();
    let expected = case.floats(&format!("{tower}_rows_180_196"));
    let level = 1.0 / 255.0 / 0.224;
    let worst = rows.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= level + 1e-5, "{} {tower}: a pixel value is off by {worst}", case.name);
}

#[test]
fn frames_to_pixels() {
    for case in cases("preprocess_") {
        check(&case, "siglip", "siglip/CLIP-ViT-SO400M-14-384");
        check(&case, "dinov2", "facebook/dinov2-giant-res378");
    }
}
