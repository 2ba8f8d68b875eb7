//! Random streams of a run: those of the batches are numbered from 0, the others from the end.

/// The stream of the initial weights.
pub(crate) const INIT: u64 = u64::MAX;
/// The stream of the probe's documents, far from those of training.
pub(crate) const PROBE: u64 = u64::MAX - 1;
/// The stream of the streams of what is left out, one for each step.
pub(crate) const DROPS: u64 = u64::MAX - 2;

/// A seed of its own for each numbered part of a run (the finaliser of SplitMix64).
pub(crate) fn stream(seed: u64, number: u64) -> u64 {
    let mut z = seed
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .wrapping_add(number.wrapping_add(1).wrapping_mul(0xD1B5_4A32_D192_ED03));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
