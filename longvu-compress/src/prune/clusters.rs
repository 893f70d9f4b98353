//! Tokens that stand for those around them: density peaks, and the means of what is nearest to each.

use burn::tensor::{Tensor, TensorData};

use super::values;

/// Distances between any two of `count` tokens, row by row, divided by the root of the number of channels.
pub(super) fn distances(tokens: Tensor<2>) -> Vec<f64> {
    let [count, hidden] = tokens.dims();
    let squares = tokens.clone().powi_scalar(2).sum_dim(1);
    let products = tokens.clone().matmul(tokens.transpose());
    let squared = squares.clone() + squares.transpose() - products * 2.0;
    let mut distances: Vec<f64> =
        values(squared).into_iter().map(|squared| (squared.max(0.0) / hidden as f64).sqrt()).collect();
    for i in 0..count {
        // Rounding leaves a token at some distance from itself, and two of them at two distances: ties would depend on it.
        distances[i * count + i] = 0.0;
        (0..i).for_each(|j| distances[i * count + j] = distances[j * count + i]);
    }
    distances
}

/// How much each of `count` tokens is a density peak (DPC-kNN): its density `exp(-mean of d^2)` over the `k` nearest tokens, itself
/// one of them, times its distance to the nearest token of higher density. Of equally dense ones the earlier counts as denser; the
/// densest of all has the greatest distance that there is.
pub(super) fn peaks(distances: &[f64], count: usize, k: usize) -> Vec<f64> {
    let k = k.clamp(1, count.max(1));
    let density: Vec<f64> = distances
        .chunks(count.max(1))
        .map(|row| {
            let mut row = row.to_vec();
            row.select_nth_unstable_by(k - 1, f64::total_cmp);
            (-row[..k].iter().map(|d| d * d).sum::<f64>() / k as f64).exp()
        })
        .collect();
    let farthest = distances.iter().copied().fold(0.0, f64::max);
    (0..count)
        .map(|i| {
            let denser = |&j: &usize| density[j] > density[i] || (density[j] == density[i] && j < i);
            let nearest = (0..count).filter(denser).map(|j| distances[i * count + j]).fold(farthest, f64::min);
            nearest * density[i]
        })
        .collect()
}

/// For each row of `likeness` the column of the largest value, the first of equal ones; rows of `columns` values.
pub(super) fn most_alike(likeness: &[f64], columns: usize) -> Vec<usize> {
    let best = |row: &[f64]| (1..row.len()).fold(0, |best, column| if row[column] > row[best] { column } else { best });
    likeness.chunks(columns).map(best).collect()
}

/// The mean of the tokens of each of `groups`, zeros where there are none, and how many there are.
///
/// # Shapes
/// - `tokens`: `[tokens, hidden_size]`, of which the i-th belongs to the group `of[i]`
/// - output: `[groups, hidden_size]`
pub(super) fn means(tokens: Tensor<2>, of: &[usize], groups: usize) -> (Tensor<2>, Vec<usize>) {
    let mut counts = vec![0; groups];
    of.iter().for_each(|&group| counts[group] += 1);
    if of.is_empty() {
        let hidden = tokens.dims()[1];
        return (Tensor::zeros([groups, hidden], (&tokens.device(), tokens.dtype())), counts);
    }
    let mut weights = vec![0f32; groups * of.len()];
    of.iter().enumerate().for_each(|(i, &group)| weights[group * of.len() + i] = 1.0 / counts[group] as f32);
    let weights = Tensor::<2>::from_data(TensorData::new(weights, [groups, of.len()]), &tokens.device());
    (weights.matmul(tokens), counts)
}

/// `weight * own + (1 - weight) * mean`, with a weight for each row.
pub(super) fn mix(own: Tensor<2>, mean: Tensor<2>, weights: Vec<f64>) -> Tensor<2> {
    let count = weights.len();
    let weights: Vec<f32> = weights.into_iter().map(|weight| weight as f32).collect();
    let weights = Tensor::<2>::from_data(TensorData::new(weights, [count, 1]), &own.device());
    own * weights.clone() + mean * (weights * -1.0 + 1.0)
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn column(values: &[f32]) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values.to_vec(), [values.len(), 1]), &Device::default())
    }

    #[test]
    fn peaks_are_dense_and_far_from_denser_ones() {
        // Two heaps, the first the denser, and a token between them.
        let tokens = column(&[0.0, 0.1, -0.1, 2.5, 5.0, 5.3, 4.7]);
        let scores = peaks(&distances(tokens), 7, 3);
        let mut order: Vec<usize> = (0..7).collect();
        order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
        assert_eq!(order[..2], [0, 4], "{scores:?}");
    }

    #[test]
    fn equal_tokens_have_one_peak_and_empty_groups_are_zeros() {
        let scores = peaks(&distances(column(&[1.0; 4])), 4, 2);
        assert_eq!(scores, [0.0; 4]);
        assert!(peaks(&[], 0, 4).is_empty());
        let (mean, counts) = means(column(&[1.0, 2.0, 6.0]), &[2, 2, 0], 3);
        assert_eq!(values(mean), [6.0, 0.0, 1.5]);
        assert_eq!(counts, [1, 0, 2]);
        assert_eq!(most_alike(&[0.5, 0.5, -1.0, 0.0], 2), [0, 1]);
    }
}
