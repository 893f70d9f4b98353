//! Keys and values of the positions seen so far.

use burn::tensor::{DType, Device, Tensor};
use longvu_checkpoint::config::DecoderConfig;

/// Positions by which a cache grows beyond what was asked for, so that growth stays rare.
const GROWTH: usize = 256;

/// A key/value cache of fixed storage: new positions are written in place.
///
/// Burn's slice assignment writes in place only while a tensor has a single owner, so a layer's storage is taken
/// out of the cache, written, and put back, and views of it are dropped before the next step.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    len: usize,
    /// Positions that later layers do not hold, ascending.
    dropped: Vec<usize>,
    /// The first layer that does not hold them.
    dropped_from: usize,
}

/// One layer's share of a [`KvCache`].
#[derive(Debug)]
pub(crate) struct LayerCache {
    /// `[1, kv_heads, capacity, head_dim]`, taken out while it is written.
    keys: Option<Tensor<4>>,
    values: Option<Tensor<4>>,
    /// Positions that storage gets at least when it grows.
    reserved: usize,
}

impl KvCache {
    /// An empty cache with room for `capacity` positions; it grows when more are pushed.
    pub fn new(config: &DecoderConfig, capacity: usize, device: &Device, dtype: DType) -> Self {
        let shape = [1, config.kv_heads(), capacity.max(1), config.head_size()];
        let empty = || Some(Tensor::zeros(shape, (device, dtype)));
        let layer = |_| LayerCache { keys: empty(), values: empty(), reserved: 0 };
        let layers = (0..config.num_hidden_layers).map(layer).collect();
        Self { layers, len: 0, dropped: Vec::new(), dropped_from: 0 }
    }

    /// Positions held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no position is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets every position from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
        self.dropped.retain(|&position| position < len);
    }

    /// Makes the next growth reach `capacity` positions at once. Nothing is allocated before it is needed.
    pub fn reserve(&mut self, capacity: usize) {
        let (from, less) = (self.dropped_from, self.dropped.len());
        self.reserve_pruned(capacity, from, less);
    }

    /// The same where layers from `from` on are to hold `less` positions fewer.
    pub(crate) fn reserve_pruned(&mut self, capacity: usize, from: usize, less: usize) {
        for (index, layer) in self.layers.iter_mut().enumerate() {
            layer.reserved = if index < from { capacity } else { capacity.saturating_sub(less) };
        }
    }

    /// Positions that later layers do not hold, and the first of those layers; `None` where all layers hold all.
    pub fn dropped(&self) -> Option<(&[usize], usize)> {
        (!self.dropped.is_empty()).then_some((&self.dropped, self.dropped_from))
    }

    /// Bytes of the keys and values held, without room for more; and what they would be if every layer held every position.
    pub fn bytes(&self) -> (u64, u64) {
        let each = self.layers.iter().enumerate().map(|(index, layer)| {
            let position = layer.keys.as_ref().map_or(0, |keys| {
                let [_, heads, _, head_dim] = keys.dims();
                2 * heads * head_dim * keys.dtype().size()
            });
            (self.stored(index) * position, self.len * position)
        });
        each.fold((0, 0), |(held, whole), (a, b)| (held + a as u64, whole + b as u64))
    }

    /// Positions that a layer holds.
    pub(crate) fn stored(&self, index: usize) -> usize {
        if index < self.dropped_from { self.len } else { self.len - self.dropped.len() }
    }

    /// Notes that layers from `from` on were not given `positions`, which come after all that were dropped before.
    pub(crate) fn note_dropped(&mut self, from: usize, positions: impl IntoIterator<Item = usize>) {
        self.dropped_from = from;
        self.dropped.extend(positions);
    }

    pub(crate) fn layer(&mut self, index: usize) -> &mut LayerCache {
        &mut self.layers[index]
    }

    pub(crate) fn advance(&mut self, positions: usize) {
        self.len += positions;
    }
}

impl LayerCache {
    /// Keys of the first `len` positions, `[1, kv_heads, len, head_dim]`.
    pub fn keys(&self, len: usize) -> Option<Tensor<4>> {
        self.keys.clone().map(|keys| keys.narrow(2, 0, len))
    }

    /// Writes keys and values of new positions at `start`; returns those of all positions so far.
    ///
    /// # Shapes
    /// - `key`, `value`: `[1, kv_heads, new, head_dim]`
    /// - output: `[1, kv_heads, start + new, head_dim]` each
    pub fn push(&mut self, start: usize, key: Tensor<4>, value: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        (write(&mut self.keys, start, key, self.reserved), write(&mut self.values, start, value, self.reserved))
    }
}

fn write(slot: &mut Option<Tensor<4>>, start: usize, new: Tensor<4>, reserved: usize) -> Tensor<4> {
    let [batch, heads, count, head_dim] = new.dims();
    let end = start + count;
    let storage = match slot.take() {
        Some(storage) if storage.dims()[2] >= end => storage,
        old => {
            let capacity = reserved.max(end + GROWTH);
            let grown = Tensor::zeros([batch, heads, capacity, head_dim], (&new.device(), new.dtype()));
            match old {
                Some(old) if start > 0 => {
                    grown.slice_assign([0..batch, 0..heads, 0..start, 0..head_dim], old.narrow(2, 0, start))
                }
                _ => grown,
            }
        }
    };
    let storage = storage.slice_assign([0..batch, 0..heads, start..end, 0..head_dim], new);
    let seen = storage.clone().narrow(2, 0, end);
    *slot = Some(storage);
    seen
}
