//! Refusing what does not fit in memory, before anything is loaded.

use anyhow::Result;
use longvu::{LongVuBuilder, MemoryPlan, Residency, Workload, available_memory, plan::Compute};

use super::source::Input;
use crate::flags::{MemoryArgs, ModelArgs};

/// Settles which parts are in memory when, for a `question` about `input`: the bytes of its texts, and the longest answer in
/// tokens; for encoding alone without one. Returns the forecast, too. An encoded video needs no tower.
///
/// # Errors
/// [`longvu::Error::Memory`] when the run would not fit whichever they are.
pub fn settle(
    builder: LongVuBuilder,
    args: &MemoryArgs,
    model: &ModelArgs,
    input: Option<&Input>,
    question: Option<(usize, usize)>,
) -> Result<(LongVuBuilder, MemoryPlan)> {
    let encoded = matches!(input, Some(Input::Encoded(_)));
    let (frames, size) = input.map_or((0, (1, 1)), Input::frames);
    let workload = match question {
        // How many tokens an encoded video will have is not known yet: as many as there is room for.
        Some((_, max_new_tokens)) if encoded => workload(frames, size, WINDOW, max_new_tokens),
        Some((text, max_new_tokens)) => workload(frames, size, text, max_new_tokens),
        None => Workload::encoding(frames, size),
    };
    let builder = if encoded { builder.residency(Residency::OnDemand) } else { builder };
    settle_for(builder, args, model, workload)
}

/// The same for work of this size, whatever it is on.
///
/// # Errors
/// As [`settle`].
pub fn settle_for(
    builder: LongVuBuilder,
    args: &MemoryArgs,
    model: &ModelArgs,
    workload: Workload,
) -> Result<(LongVuBuilder, MemoryPlan)> {
    let builder = if args.low_memory { builder.residency(Residency::OnDemand) } else { builder };
    let available = available(args.device_memory, compute(model.compute.device.as_deref()));
    let builder = match available {
        Some(available) if !args.no_memory_check => builder.fit_memory(workload, available)?,
        _ => builder,
    };
    let plan = builder.plan(workload, available)?;
    Ok((builder, plan))
}

/// More tokens than any model's window holds.
const WINDOW: usize = 1 << 20;

/// Bytes to stay within: those given, else what this machine has left; unknown for a GPU.
pub fn available(given: Option<u64>, compute: Compute) -> Option<u64> {
    given.or_else(|| available_memory().filter(|_| compute == Compute::Cpu))
}

/// What a device string stands for, whether or not this build and machine have it; without one, the device that is taken
/// then.
pub fn compute(device: Option<&str>) -> Compute {
    match device.map(|name| name.trim().to_ascii_lowercase()).as_deref() {
        None => Compute::of(&longvu::default_device()),
        Some("cpu" | "cpu:0" | "flex" | "flex:0" | "ndarray" | "ndarray:0") => Compute::Cpu,
        Some(_) => Compute::Gpu,
    }
}

/// A run's frames and texts, as far as memory depends on them.
pub fn workload(frames: usize, size: (u32, u32), text: usize, max_new_tokens: usize) -> Workload {
    /// The template around a question, with room to spare.
    const TEMPLATE: usize = 64;
    // No tokenizer makes more tokens of a text than it has bytes.
    Workload::default()
        .with_frames(frames)
        .with_size(size)
        .with_text_tokens(text.saturating_add(TEMPLATE))
        .with_max_new_tokens(max_new_tokens)
}
