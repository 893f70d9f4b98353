//! The codes of one block of a JPEG scan.

use super::jpeg_bits::{Bits, Huffman};
use super::jpeg_scan::{Fault, Scan};

/// Reads the codes of one block.
pub(super) fn read_block(
    bits: &mut Bits<'_>,
    (dc, ac): (Option<&Huffman>, Option<&Huffman>),
    scan: &Scan,
    history: &mut u64,
    end_of_band_run: &mut u32,
) -> Result<(), Fault> {
    let (mut first, last) = scan.band;
    if first == 0 {
        if scan.refines {
            bits.take(1)?;
        } else {
            let size = bits.symbol(dc.ok_or(Fault::Segment)?)?;
            bits.take(Some(u32::from(size)).filter(|size| *size <= 11).ok_or(Fault::Code)?)?;
        }
        first = 1;
    }
    if last == 0 {
        return Ok(());
    }
    let ac = ac.ok_or(Fault::Segment)?;
    if scan.refines {
        refine(bits, ac, (first, last), history, end_of_band_run)
    } else {
        coefficients(bits, ac, (first, last), scan.progressive, history, end_of_band_run)
    }
}

/// The coefficients of a band, for the first time.
fn coefficients(
    bits: &mut Bits<'_>,
    ac: &Huffman,
    (mut place, last): (u32, u32),
    progressive: bool,
    history: &mut u64,
    end_of_band_run: &mut u32,
) -> Result<(), Fault> {
    if *end_of_band_run > 0 {
        *end_of_band_run -= 1;
        return Ok(());
    }
    while place <= last {
        let symbol = bits.symbol(ac)?;
        let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 && run < 15 {
            if run > 0 && !progressive {
                return Err(Fault::Code);
            }
            *end_of_band_run = (1 << run) + bits.take(run)? - 1;
            return Ok(());
        }
        place += run;
        if place > last {
            return Err(Fault::Code);
        }
        if size > 0 {
            bits.take(size)?;
            *history |= 1 << place;
        }
        place += 1;
    }
    Ok(())
}

/// One more bit of a band's coefficients, and those that were zero without it.
fn refine(
    bits: &mut Bits<'_>,
    ac: &Huffman,
    (mut place, last): (u32, u32),
    history: &mut u64,
    end_of_band_run: &mut u32,
) -> Result<(), Fault> {
    while *end_of_band_run == 0 && place <= last {
        let symbol = bits.symbol(ac)?;
        let (mut run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
        match size {
            0 if run < 15 => {
                *end_of_band_run = (1 << run) + bits.take(run)?;
                break;
            }
            0 => {}
            1 => {
                bits.take(1)?;
            }
            _ => return Err(Fault::Code),
        }
        // Coefficients that are known have a bit each; zeros are counted off.
        loop {
            if place > last {
                if size == 1 {
                    return Err(Fault::Code);
                }
                break;
            }
            if *history >> place & 1 == 1 {
                bits.take(1)?;
            } else if run == 0 {
                if size == 1 {
                    *history |= 1 << place;
                }
                place += 1;
                break;
            } else {
                run -= 1;
            }
            place += 1;
        }
    }
    if *end_of_band_run > 0 {
        *end_of_band_run -= 1;
        if place <= last {
            let rest = (u64::MAX << place) & (u64::MAX >> (63 - last));
            bits.skip((*history & rest).count_ones())?;
        }
    }
    Ok(())
}
