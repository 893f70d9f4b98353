//! Products on tiles against plain loops, and what becomes of processes whose instructions fail.

mod guarded;

use super::detect::Absence;
use super::emulator::{self, Counts, with_amx};
use super::{Amx, BLOCK_OUTPUTS, Bf16, Dot, Int8, Lhs, MAX_OUTPUTS, MAX_ROWS, Out, Tiles, detect, probe};
use crate::tests::{assert_close, noise};
use guarded::Guarded;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What is multiplied.
#[derive(Clone, Copy, Debug)]
struct Shape {
    rows: usize,
    outputs: usize,
    steps: usize,
    /// Elements between one row and the next, of `a` and of the sums.
    gap: usize,
    by_step: bool,
    add: bool,
}

impl Shape {
    /// Edges and whole tiles, short and long.
    fn all() -> Vec<Self> {
        let mut shapes = Vec::new();
        for rows in [1, 5, 15, 16, 17, 31, 32] {
            for outputs in [1, 15, 16, 17, 31, 32] {
                for (steps, gap, by_step, add) in [(1, 0, false, false), (2, 7, false, true), (5, 3, true, true)] {
                    shapes.push(Self { rows, outputs, steps, gap, by_step, add });
                }
            }
        }
        shapes
    }
}

/// Multiplies `a`, as `[rows][inputs]`, and `b`, as `[outputs][inputs]`, into sums that begin as `start`. Every operand ends
/// where memory does.
fn multiply<D: Dot>(amx: Amx, shape: Shape, a: &[D::A], b: &[D::B], start: D::C) -> Vec<D::C>
where
    D::A: Default,
    D::B: Default,
    D::C: PartialEq + Debug,
{
    let Shape { rows, outputs, steps, gap, by_step, add } = shape;
    let (inputs, group) = (steps * D::DEPTH, 4 / size_of::<D::B>());
    let padded = rows.next_multiple_of(16);
    let stride = if by_step { D::DEPTH } else { inputs + gap };
    let step = if by_step { padded * stride } else { D::DEPTH };
    let mut lhs = vec![D::A::default(); (padded - 1) * stride + (steps - 1) * step + D::DEPTH];
    for r in 0..rows {
        for i in 0..inputs {
            lhs[r * stride + i / D::DEPTH * step + i % D::DEPTH] = a[r * inputs + i];
        }
    }
    let blocks: Vec<_> = (0..outputs.div_ceil(BLOCK_OUTPUTS))
        .map(|block| {
            let mut packed = vec![D::B::default(); BLOCK_OUTPUTS * inputs];
            for o in 0..BLOCK_OUTPUTS.min(outputs - BLOCK_OUTPUTS * block) {
                for i in 0..inputs {
                    packed[(i / group * BLOCK_OUTPUTS + o) * group + i % group] =
                        b[(BLOCK_OUTPUTS * block + o) * inputs + i];
                }
            }
            Guarded::new(&packed)
        })
        .collect();
    let blocks: Vec<&[D::B]> = blocks.iter().map(|block| &**block).collect();
    let lhs = Guarded::new(&lhs);
    let lhs = if by_step { Lhs::by_step(&lhs, padded) } else { Lhs::by_row(&lhs, stride) };
    let width = outputs + gap;
    let mut sums = Guarded::new(&vec![start; (rows - 1) * width + outputs]);
    Tiles::new(amx).multiply::<D>(lhs, &blocks, Out::new(&mut sums, width, rows, outputs), add);
    for row in sums.chunks(width) {
        assert!(row[outputs..].iter().all(|&between| between == start), "{shape:?}");
    }
    sums.chunks(width).flat_map(|row| &row[..outputs]).copied().collect()
}

/// Sums of products in `f64`, from `start` on.
fn plain(shape: Shape, a: &[f64], b: &[f64], start: f64) -> Vec<f64> {
    let inputs = a.len() / shape.rows;
    let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let start = if shape.add { start } else { 0.0 };
    a.chunks(inputs).flat_map(|a| b.chunks(inputs).map(move |b| start + sum(a, b))).collect()
}

fn to_bf16(x: f32) -> u16 {
    half::bf16::from_f32(x).to_bits()
}

fn wide(x: &[u16]) -> Vec<f64> {
    x.iter().map(|&x| half::bf16::from_bits(x).to_f64()).collect()
}

#[test]
fn products_of_bf16_are_those_of_plain_loops() {
    with_amx("amx::tests::products_of_bf16_are_those_of_plain_loops", |amx| {
        for shape in Shape::all() {
            let inputs = shape.steps * Bf16::DEPTH;
            let draw = |seed, len| noise(seed, len, 2.0).into_iter().map(to_bf16).collect::<Vec<_>>();
            let (a, b) = (draw(1, shape.rows * inputs), draw(2, shape.outputs * inputs));
            let sums = multiply::<Bf16>(amx, shape, &a, &b, 0.5);
            assert_close(&sums, &plain(shape, &wide(&a), &wide(&b), 0.5), 1e-4, 1e-5);
        }
    });
}

#[test]
fn products_of_int8_are_those_of_plain_loops() {
    with_amx("amx::tests::products_of_int8_are_those_of_plain_loops", |amx| {
        for shape in Shape::all() {
            let inputs = shape.steps * Int8::DEPTH;
            let a: Vec<u8> = noise(3, shape.rows * inputs, 128.0).into_iter().map(|x| (x + 128.0) as u8).collect();
            let b: Vec<i8> = noise(4, shape.outputs * inputs, 128.0).into_iter().map(|x| x as i8).collect();
            let sums = multiply::<Int8>(amx, shape, &a, &b, -7);
            let (a, b): (Vec<_>, Vec<_>) =
                (a.into_iter().map(f64::from).collect(), b.into_iter().map(f64::from).collect());
            let sums: Vec<_> = sums.into_iter().map(f64::from).collect();
            assert_eq!(sums, plain(shape, &a, &b, -7.0), "{shape:?}");
        }
    });
}

/// What a tile has of one product must not come into the next, nor what is not a number into other rows and outputs.
#[test]
fn what_is_not_a_number_stays_in_its_row_and_output() {
    with_amx("amx::tests::what_is_not_a_number_stays_in_its_row_and_output", |amx| {
        let shape = Shape { rows: 20, outputs: 32, steps: 1, gap: 0, by_step: false, add: false };
        let (mut a, mut b) = (vec![to_bf16(1.0); 20 * 32], vec![to_bf16(1.0); 32 * 32]);
        a[3 * 32 + 5] = to_bf16(f32::NAN);
        b[17 * 32 + 9] = to_bf16(f32::INFINITY);
        let sums = multiply::<Bf16>(amx, shape, &a, &b, f32::NAN);
        for (i, sum) in sums.into_iter().enumerate() {
            match (i / 32, i % 32) {
                (3, _) => assert!(sum.is_nan()),
                (_, 17) => assert_eq!(sum, f32::INFINITY),
                _ => assert_eq!(sum, 32.0),
            }
        }
        let shape = Shape { rows: 32, ..shape };
        let ones = vec![to_bf16(1.0); 32 * 32];
        assert_eq!(multiply::<Bf16>(amx, shape, &ones, &ones, f32::NAN), [32.0; 32 * 32]);
    });
}

#[test]
fn threads_share_rows_and_have_tiles_of_their_own() {
    with_amx("amx::tests::threads_share_rows_and_have_tiles_of_their_own", |amx| {
        struct Shared(*mut f32);
        // SAFETY: the threads write to different outputs.
        unsafe impl Sync for Shared {}
        let (a, b) = (vec![to_bf16(0.5); 32 * 64], vec![to_bf16(2.0); 16 * 64]);
        let mut sums = vec![0.0; 32 * 64];
        let shared = &Shared(sums.as_mut_ptr());
        let (a, b) = (&a, &b);
        std::thread::scope(|scope| {
            for part in 0..2 {
                scope.spawn(move || {
                    let tiles = Tiles::new(amx);
                    // SAFETY: 32 of the 64 outputs of each row, which no other thread has.
                    let out = unsafe { Out::from_raw(shared.0.add(32 * part), 64, 32, 32) };
                    tiles.multiply::<Bf16>(Lhs::by_row(a, 64), &[b, b], out, false);
                });
            }
        });
        assert_eq!(sums, [64.0; 32 * 64]);
    });
}

/// A whole product is four tiles of sums, and a step of it four loads and four products.
#[test]
fn tiles_are_configured_once_and_read_no_more_than_they_must() {
    const NAME: &str = "amx::tests::tiles_are_configured_once_and_read_no_more_than_they_must";
    with_amx(NAME, |amx| {
        let (a, b) = (vec![0; 32 * 7 * 64], vec![0; 7 * 64 * 16]);
        let mut sums = vec![0; 32 * 32];
        let before = emulator::counts();
        let tiles = Tiles::new(amx);
        let mut whole =
            |add| tiles.multiply::<Int8>(Lhs::by_row(&a, 7 * 64), &[&b, &b], Out::new(&mut sums, 32, 32, 32), add);
        whole(false);
        whole(true);
        tiles.multiply::<Int8>(Lhs::by_row(&a, 7 * 64), &[&b], Out::new(&mut sums, 16, 16, 16), false);
        drop(tiles);
        let counts = Counts {
            configured: 1,
            released: 1,
            zeroed: 4 + 1,
            loaded: 2 * 7 * 4 + 4 + 7 * 2,
            stored: 2 * 4 + 1,
            multiplied: 2 * 7 * 4 + 7,
        };
        // The processor does not count.
        if Amx::detect().is_none() {
            assert_eq!((before, emulator::counts()), (Counts::default(), counts));
        }
    });
}

#[test]
fn a_task_may_run_within_another() {
    with_amx("amx::tests::a_task_may_run_within_another", |amx| {
        let ones = vec![to_bf16(1.0); 32 * 32];
        let product = |tiles: &Tiles| {
            let mut sums = vec![0.0; 32 * 32];
            let (left, right) = ones.split_at(16 * 32);
            tiles.multiply::<Bf16>(Lhs::by_row(&ones, 32), &[left, right], Out::new(&mut sums, 32, 32, 32), false);
            assert_eq!(sums, [32.0; 32 * 32]);
        };
        let outer = Tiles::new(amx);
        product(&outer);
        product(&Tiles::new(amx));
        product(&outer);
    });
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    with_amx("amx::tests::operands_that_do_not_fit_are_refused", |amx| {
        std::panic::set_hook(Box::new(|_| ()));
        let tiles = Tiles::new(amx);
        let (a, b, mut c) = (vec![0; 32 * 64], vec![0; 64 * 16], vec![0.0; 32 * 32]);
        let mut refused = |a: Lhs<u16>, b: &[&[u16]], size: usize, stride, rows, outputs| {
            let c = &mut c[..size];
            let product = || tiles.multiply::<Bf16>(a, b, Out::new(c, stride, rows, outputs), false);
            catch_unwind(AssertUnwindSafe(product)).is_err()
        };
        let whole = Lhs::by_row(&a, 64);
        let all = MAX_ROWS * MAX_OUTPUTS;
        assert!(!refused(whole, &[&b, &b], all, 32, 32, 32));
        // Sums: none, too many, overlapping, beyond the end, beyond all memory.
        assert!(refused(whole, &[&b, &b], all, 32, 0, 32));
        assert!(refused(whole, &[], all, 32, 32, 0));
        assert!(refused(whole, &[&b, &b], all, 16, 33, 16));
        assert!(refused(whole, &[&b, &b, &b], all, 33, 10, 33));
        assert!(refused(whole, &[&b, &b], all, 31, 32, 32));
        assert!(refused(whole, &[&b, &b], all - 1, 32, 32, 32));
        assert!(refused(whole, &[&b, &b], all, usize::MAX / 2, 32, 32));
        // Weights: too few blocks, too many, of different sizes, parts of a step, none.
        assert!(refused(whole, &[&b], all, 32, 32, 32));
        assert!(refused(whole, &[&b, &b], all, 32, 32, 16));
        assert!(refused(whole, &[&b, &b[..512]], all, 32, 32, 32));
        assert!(refused(whole, &[&b[..500], &b[..500]], all, 32, 32, 32));
        assert!(refused(whole, &[&b[..0], &b[..0]], all, 32, 32, 32));
        // Activations: one too few, also where they only fill a tile, and beyond all memory.
        assert!(refused(Lhs::by_row(&a[1..], 64), &[&b, &b], all, 32, 32, 32));
        assert!(refused(Lhs::by_row(&a[16 * 64 + 1..], 64), &[&b, &b], all, 32, 1, 32));
        assert!(refused(Lhs { step: usize::MAX, ..whole }, &[&b, &b], all, 32, 32, 32));
        assert!(refused(Lhs { stride: usize::MAX / 8, ..whole }, &[&b, &b], all, 32, 32, 32));
        // Distances that nothing uses.
        assert!(!refused(Lhs { step: usize::MAX, ..whole }, &[&b[..512], &b[..512]], all, usize::MAX, 1, 32));
        drop(std::panic::take_hook());
    });
}

/// A token of which nothing is known.
fn untried() -> Amx {
    // SAFETY: it goes to a process that may die of it.
    unsafe { Amx::assume() }
}

#[test]
fn trying_what_the_processor_lacks_ends_only_the_process_that_tries() {
    if Amx::detect().is_some() {
        return;
    }
    // Twice, since the first could have left something behind.
    for _ in 0..2 {
        assert_eq!(probe::run(untried(), || ()), Err(Absence::Died(libc::SIGILL)));
    }
}

#[test]
fn trying_finds_what_works_and_what_does_not() {
    if Amx::detect().is_some() {
        assert_eq!(probe::run(untried(), || ()), Ok(()));
        return;
    }
    assert_eq!(probe::run(untried(), emulator::install), Ok(()));
    assert_eq!(probe::run(untried(), emulator::install_wrong), Err(Absence::Wrong));
    // An instruction that never ends.
    let endless = || loop {
        std::hint::spin_loop();
    };
    assert_eq!(probe::run(untried(), endless), Err(Absence::Died(libc::SIGKILL)));
}

#[test]
fn trying_leaves_the_signals_of_this_thread_as_they_were() {
    let blocked = || {
        // SAFETY: the set is written before it is read.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut set);
            (1..32).filter(|&signal| libc::sigismember(&set, signal) == 1).collect::<Vec<_>>()
        }
    };
    let before = blocked();
    // SAFETY: the process has nothing to leave in order.
    let done = || unsafe { libc::_exit(0) };
    assert_eq!(probe::run(untried(), done), Ok(()));
    assert_eq!(blocked(), before);
}

/// The kernel does not permit what the processor lacks.
#[test]
fn a_refused_permission_is_said() {
    match detect::permission() {
        Ok(()) => assert!(std::fs::read_to_string("/proc/cpuinfo").unwrap().contains("amx_tile")),
        Err(Absence::Refused(errno)) => {
            assert!([libc::EOPNOTSUPP, libc::EINVAL, libc::ENOSPC].contains(&errno), "{errno}")
        }
        Err(absence) => panic!("{absence}"),
    }
}
