//! Keys and values in the order in which the tiles read them.

use super::Heads;
use super::arithmetic::{Arithmetic, Line};
use crate::simd::{Kernel, LANES, Level, Simd, with_chunk};
use crate::threads::for_each_if;

/// `R` rows of the left operand of a tile, next to each other: of each key head.
pub(super) struct Packed<A: Arithmetic, const R: usize>(Vec<PackedHead<A, R>>);

/// Keys and values of a head.
struct PackedHead<A: Arithmetic, const R: usize> {
    /// `[keys / R, words of head_dim]` of `R` keys; keys beyond the last are 0.
    keys: Vec<[A::Word; R]>,
    /// `[head_dim / R, words of keys]` of `R` elements; elements beyond the last are 0.
    values: Vec<[A::Word; R]>,
}

impl<A: Arithmetic, const R: usize> Packed<A, R> {
    pub(super) fn new(arithmetic: A, level: Level, [key, value]: [Heads<'_>; 2], enough: bool) -> Self {
        let [kv_heads, key_count, head_dim] = key.shape();
        let groups = [key_count.div_ceil(R), head_dim.div_ceil(R)];
        let words = [head_dim.div_ceil(A::STEP), key_count.div_ceil(A::STEP)];
        let empty = || PackedHead { keys: Vec::new(), values: Vec::new() };
        let mut heads: Vec<_> = (0..kv_heads).map(|_| empty()).collect();
        for_each_if(enough, heads.iter_mut().enumerate().collect::<Vec<_>>(), |(head, packed)| {
            // Filled with zeros by the threads, not before them.
            let [keys, values] = [0, 1].map(|i| vec![[A::Word::default(); R]; groups[i] * words[i]]);
            *packed = PackedHead { keys, values };
            let (keys, values) = (&mut packed.keys[..], &mut packed.values[..]);
            arithmetic.run(level, PackHead::<A, R> { key, value, head, keys, values });
        });
        Self(heads)
    }

    /// The groups of keys of a head, each as long as the words of a key.
    #[inline(always)]
    pub(super) fn keys(&self, head: usize) -> &[[A::Word; R]] {
        &self.0[head].keys
    }

    /// The groups of elements of a head's values, each as long as the words of all keys.
    #[inline(always)]
    pub(super) fn values(&self, head: usize) -> &[[A::Word; R]] {
        &self.0[head].values
    }
}

/// Packs a head.
struct PackHead<'a, A: Arithmetic, const R: usize> {
    key: Heads<'a>,
    value: Heads<'a>,
    head: usize,
    /// `[keys / R, words of head_dim]`
    keys: &'a mut [[A::Word; R]],
    /// `[head_dim / R, words of keys]`
    values: &'a mut [[A::Word; R]],
}

impl<A: Arithmetic, const R: usize> Kernel for PackHead<'_, A, R> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        let [_, key_count, head_dim] = self.key.shape();
        for (group, out) in self.keys.chunks_exact_mut(head_dim.div_ceil(A::STEP)).enumerate() {
            let (first, count) = (group * R, R.min(key_count - group * R));
            lines_of::<A, S>(
                s,
                head_dim,
                count,
                |row| self.key.row(self.head, first + row),
                1.0,
                |word, block| {
                    for (out, line) in out[word..].iter_mut().zip(block) {
                        out.copy_from_slice(&line[..R]);
                    }
                },
            );
        }
        let mut line = vec![A::Word::default(); head_dim.next_multiple_of(R).next_multiple_of(LANES)];
        for word in 0..key_count.div_ceil(A::STEP) {
            self.pack_values(s, word, &mut line);
        }
    }
}

impl<A: Arithmetic, const R: usize> PackHead<'_, A, R> {
    /// A word of each element of the values; `line` has room for them, 0 beyond the last.
    #[inline(always)]
    fn pack_values<S: Simd>(&mut self, s: S, word: usize, line: &mut [A::Word]) {
        let [_, key_count, head_dim] = self.value.shape();
        let first = word * A::STEP;
        let row = |row: usize| if row < key_count { self.value.row(self.head, row) } else { &[] };
        let rows = [row(first), row(first + A::STEP - 1)];
        for (i, out) in line.as_chunks_mut::<LANES>().0.iter_mut().enumerate().take(head_dim.div_ceil(LANES)) {
            let [low, high] = rows.map(|row| part::<LANES>(row, i * LANES));
            *out = A::across(s, [&low, &high]);
        }
        let words = key_count.div_ceil(A::STEP);
        for (out, line) in self.values[word..].iter_mut().step_by(words).zip(line.as_chunks().0) {
            *out = *line;
        }
    }
}

/// Elements from `first` on, 0 beyond the last.
#[inline(always)]
fn part<const N: usize>(row: &[f32], first: usize) -> [f32; N] {
    with_chunk(&row[row.len().min(first)..], |elements| *elements)
}

/// Gives `write` the words of up to sixteen rows times `scale`, sixteen at a time from a word on: `[words, rows]`.
#[inline(always)]
pub(super) fn lines_of<'a, A: Arithmetic, S: Simd>(
    s: S,
    head_dim: usize,
    count: usize,
    row: impl Fn(usize) -> &'a [f32],
    scale: f32,
    mut write: impl FnMut(usize, &[Line<A>; LANES]),
) {
    let mut block = [[A::Word::default(); LANES]; LANES];
    for word in (0..head_dim.div_ceil(A::STEP)).step_by(LANES) {
        for (i, line) in block[..count].iter_mut().enumerate() {
            let mut elements = part(row(i), word * A::STEP);
            for x in &mut elements {
                *x *= scale;
            }
            *line = A::line(s, &elements);
        }
        block[count..].fill([A::Word::default(); LANES]);
        A::transpose(s, &mut block);
        write(word, &block);
    }
}
