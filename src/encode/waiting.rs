//! Frames that have been looked at and wait for SigLIP and the aggregator: in memory, or in a temporary file.

use std::{collections::VecDeque, sync::Arc};

use burn::tensor::{DType, Device, Tensor, TensorData};
use longvu_core::ops::select_rows;

use crate::{
    FrameInfo, Result,
    encode::spill::{SpillFile, SpillSettings},
};

/// A frame of a window.
#[derive(Debug, Clone)]
pub(crate) struct Looked {
    pub info: FrameInfo,
    /// The sampled frame whose pixels it has, and what DINOv2 made of them: its own, or one that it repeats.
    pub source: usize,
    /// `[size, size, 3]` bytes for SigLIP.
    pub siglip: Arc<Vec<u8>>,
}

/// Frames of one window of the temporal stage.
pub(crate) struct Window {
    pub frames: Vec<Looked>,
    /// `[frames, cells, channels]` of DINOv2, as the aggregator takes them.
    pub dinov2: Tensor<3>,
}

impl Window {
    /// Keeps the frames at the given ascending positions and lets go of the rest.
    pub fn keep(&mut self, kept: &[usize]) {
        if kept.len() == self.frames.len() {
            return;
        }
        retain(&mut self.frames, kept);
        if kept.is_empty() {
            return;
        }
        // A selection is a copy: the window's storage is freed.
        self.dinov2 = select_rows(self.dinov2.clone(), kept);
    }
}

fn retain<T>(items: &mut Vec<T>, kept: &[usize]) {
    let mut position = 0;
    items.retain(|_| {
        position += 1;
        kept.binary_search(&(position - 1)).is_ok()
    });
}

/// A frame with the place of its record.
struct Record {
    info: FrameInfo,
    source: usize,
    offset: u64,
}

/// A window whose frames are in the file, each as its pixels and then its DINOv2 features.
struct Spilled {
    frames: Vec<Record>,
    pixels: usize,
    /// `[cells, channels]` of a frame's features.
    cells: [usize; 2],
    dtype: DType,
    device: Device,
}

enum Place {
    Memory(Window),
    File(Spilled),
}

impl Place {
    fn infos(&self) -> Box<dyn Iterator<Item = &FrameInfo> + '_> {
        match self {
            Self::Memory(window) => Box::new(window.frames.iter().map(|frame| &frame.info)),
            Self::File(spilled) => Box::new(spilled.frames.iter().map(|record| &record.info)),
        }
    }
}

/// Windows in the order they came.
pub(crate) struct Waiting {
    settings: SpillSettings,
    windows: VecDeque<Place>,
    /// Frames in memory.
    held: usize,
    file: Option<SpillFile>,
}

impl Waiting {
    pub fn new(settings: SpillSettings) -> Self {
        Self { settings, windows: VecDeque::new(), held: 0, file: None }
    }

    /// Adds a window, to the file if it has more frames than may still wait in memory.
    ///
    /// # Errors
    /// A file that cannot be made or written.
    pub fn push(&mut self, window: Window) -> Result<()> {
        let frames = window.frames.len();
        if self.held + frames <= self.settings.in_memory {
            self.held += frames;
            self.windows.push_back(Place::Memory(window));
        } else if frames > 0 {
            let spilled = self.spill(window)?;
            self.windows.push_back(Place::File(spilled));
        }
        Ok(())
    }

    /// Keeps, of the last `selections.len()` windows, the frames at the given positions.
    pub fn keep_last(&mut self, selections: &[Vec<usize>]) {
        let first = self.windows.len() - selections.len();
        for (place, kept) in self.windows.iter_mut().skip(first).zip(selections) {
            match place {
                Place::Memory(window) => {
                    self.held -= window.frames.len();
                    window.keep(kept);
                    self.held += window.frames.len();
                }
                Place::File(spilled) => retain(&mut spilled.frames, kept),
            }
        }
        self.windows.retain(|place| place.infos().next().is_some());
    }

    /// The number of waiting frames that satisfy `wanted`.
    pub fn count(&self, wanted: impl Fn(&FrameInfo) -> bool) -> usize {
        self.windows.iter().flat_map(Place::infos).filter(|info| wanted(info)).count()
    }

    /// Takes out the first window that has wanted frames, without its other frames.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn pop(&mut self, wanted: impl Fn(&FrameInfo) -> bool) -> Result<Option<Window>> {
        while let Some(place) = self.windows.pop_front() {
            let kept: Vec<usize> = place.infos().enumerate().filter(|(_, info)| wanted(info)).map(|(i, _)| i).collect();
            let window = match place {
                Place::Memory(mut window) => {
                    self.held -= window.frames.len();
                    window.keep(&kept);
                    window
                }
                Place::File(mut spilled) => {
                    retain(&mut spilled.frames, &kept);
                    if kept.is_empty() {
                        continue;
                    }
                    self.read(spilled)?
                }
            };
            if !kept.is_empty() {
                return Ok(Some(window));
            }
        }
        Ok(None)
    }

    fn spill(&mut self, window: Window) -> Result<Spilled> {
        let [_, cells, channels] = window.dinov2.dims();
        let device = window.dinov2.device();
        let data = window.dinov2.into_data();
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                tracing::info!(in_memory = self.settings.in_memory, "waiting frames go to a temporary file");
                self.file.insert(SpillFile::create(self.settings.folder.as_deref())?)
            }
        };
        let features = data.as_bytes().chunks(data.as_bytes().len() / window.frames.len());
        let pixels = window.frames[0].siglip.len();
        let mut frames = Vec::with_capacity(window.frames.len());
        for (Looked { info, source, siglip }, features) in window.frames.into_iter().zip(features) {
            frames.push(Record { info, source, offset: file.append([&siglip[..], features])? });
        }
        Ok(Spilled { frames, pixels, cells: [cells, channels], dtype: data.dtype(), device })
    }

    fn read(&mut self, spilled: Spilled) -> Result<Window> {
        let Spilled { frames: records, pixels, cells: [cells, channels], dtype, device } = spilled;
        let row = cells * channels * dtype.size();
        let mut features = vec![0; records.len() * row];
        let mut frames = Vec::with_capacity(records.len());
        for (Record { info, source, offset }, features) in records.into_iter().zip(features.chunks_mut(row)) {
            let mut siglip = vec![0; pixels];
            if let Some(file) = &mut self.file {
                file.read(offset, &mut siglip)?;
                file.read(offset + pixels as u64, features)?;
            }
            frames.push(Looked { info, source, siglip: Arc::new(siglip) });
        }
        let data = TensorData::from_bytes_vec(features, [frames.len(), cells, channels], dtype);
        Ok(Window { frames, dinov2: Tensor::from_data(data, (&device, dtype)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(first: usize, count: usize) -> Window {
        let looked = |i: usize| Looked {
            info: FrameInfo { sample: i, index: i * 10, timestamp: i as f64 },
            source: i / 2 * 2,
            siglip: Arc::new(vec![i as u8; 5]),
        };
        let values: Vec<f32> = (0..count * 6).map(|i| (first * 6 + i) as f32 / 7.0).collect();
        Window {
            frames: (first..first + count).map(looked).collect(),
            dinov2: Tensor::from_data(TensorData::new(values, [count, 2, 3]), &crate::default_device()),
        }
    }

    type Contents = Vec<(usize, usize, Vec<u8>, Vec<u32>)>;

    fn drain(waiting: &mut Waiting, wanted: impl Fn(&FrameInfo) -> bool) -> Contents {
        let mut contents = Vec::new();
        while let Some(window) = waiting.pop(&wanted).unwrap() {
            let features: Vec<u32> = window.dinov2.into_data().iter::<f32>().map(f32::to_bits).collect();
            let frames = window.frames.into_iter().zip(features.chunks(6));
            contents.extend(
                frames.map(|(frame, row)| (frame.info.sample, frame.source, frame.siglip.to_vec(), row.to_vec())),
            );
        }
        contents
    }

    fn run(in_memory: usize) -> (Contents, bool) {
        let mut waiting = Waiting::new(SpillSettings { in_memory, folder: None });
        for first in [0, 4, 8] {
            waiting.push(window(first, 4)).unwrap();
        }
        waiting.keep_last(&[vec![0, 3], vec![], vec![1, 2, 3]]);
        waiting.push(window(12, 4)).unwrap();
        let wanted = |info: &FrameInfo| info.sample != 9 && info.sample != 14;
        assert_eq!(waiting.count(wanted), 7);
        let contents = drain(&mut waiting, wanted);
        (contents, waiting.file.is_some())
    }

    #[test]
    fn the_file_changes_nothing() {
        let (in_memory, spilled) = run(usize::MAX);
        assert!(!spilled);
        assert_eq!(in_memory.iter().map(|(sample, ..)| *sample).collect::<Vec<_>>(), [0, 3, 10, 11, 12, 13, 15]);
        // None, one, two windows fit.
        for frames in [0, 4, 11] {
            assert_eq!(run(frames), (in_memory.clone(), true), "{frames}");
        }
    }

    #[test]
    fn half_precision_keeps_its_bits() {
        let mut half = window(0, 3);
        half.dinov2 = half.dinov2.cast(DType::F16);
        let before = half.dinov2.clone().into_data();
        let mut waiting = Waiting::new(SpillSettings { in_memory: 0, folder: None });
        waiting.push(half).unwrap();
        let after = waiting.pop(|_| true).unwrap().unwrap().dinov2.into_data();
        assert_eq!((after.dtype(), after.as_bytes()), (DType::F16, before.as_bytes()));
    }
}
