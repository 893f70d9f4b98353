//! `dinov2*` and `siglip*`: pixel values to features.

use longvu::{
    checkpoint::config::{Dinov2Config, SiglipConfig},
    vision::{Dinov2, Siglip},
};

use super::{assert_close, cases, checkpoint_file, device, load};

/// Side of the resampled grid of the golden checkpoints.
fn side(features: usize) -> usize {
    features.isqrt()
}

#[test]
fn dinov2() {
    let config = Dinov2Config::read(&checkpoint_file("dinov2", "config.json")).unwrap();
    let tower = load("dinov2", |w| Dinov2::new(&config, w));
    for case in cases("dinov2") {
        let pixel_values = case.tensor::<4>("pixel_values", &device());
        let last = tower.forward(pixel_values.clone());
        let grid = (last.dims()[1] - 1).isqrt();
        assert_close("position_embeddings", tower.positions(grid), &case.floats("position_embeddings"), 1e-4);
        assert_close("last_hidden_state", last, &case.floats("last_hidden_state"), 1e-4);
        let features = tower.features(pixel_values, side(case.shape("features")[1]));
        assert_close("features", features, &case.floats("features"), 1e-4);
    }
}

#[test]
fn siglip() {
    let config = SiglipConfig::read(&checkpoint_file("siglip", "config.json")).unwrap();
    let tower = load("siglip", |w| Siglip::new(&config, w));
    for case in cases("siglip") {
        let pixel_values = case.tensor::<4>("pixel_values", &device());
        let first = tower.embeddings(pixel_values.clone());
        assert_close("hidden_state_first", first, &case.floats("hidden_state_first"), 1e-4);
        let last = tower.forward(pixel_values.clone());
        assert_close("hidden_state_last", last, &case.floats("hidden_state_last"), 1e-4);
        let features = tower.features(pixel_values, side(case.shape("features")[1]));
        assert_close("features", features, &case.floats("features"), 1e-4);
    }
}
