//! Frames that whoever receives them can make again: `content` of `support/content.ts` is the same function.

use bytes::Bytes;

/// Frame `frame` of group `group`, in the broadcast that was published as number `seed`.
pub fn content(seed: u32, group: u64, frame: u64, bytes: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b1)
        ^ (group as u32).wrapping_mul(0x85eb_ca6b)
        ^ (frame as u32).wrapping_mul(0xc2b2_ae35)
        | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}
