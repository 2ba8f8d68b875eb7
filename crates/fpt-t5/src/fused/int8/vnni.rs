//! Products of a tile by AVX-512's instructions for bytes, which multiply 0 to 255 by -128 to 127.
//!
//! Plain loops: what is called with a closure is not compiled for these instructions.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::{
    __m512, __m512i, _mm_cvtsi32_si128, _mm512_add_epi32, _mm512_broadcast_f32x4,
    _mm512_cvtepi32_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_mul_ps, _mm512_set1_epi8,
    _mm512_set1_ps, _mm512_shuffle_i32x4, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64, _mm512_xor_si512, _mm512_zextsi128_si512,
};

use bytemuck::cast;

use super::{STEP, TILE, WTile, XTile};

/// [`super::sums`].
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni")]
pub(super) fn sums(x: &XTile<'_>, w: &WTile<'_>) -> [[f32; TILE]; TILE] {
    if !w.block.is_multiple_of(STEP) {
        return super::sums(x, w);
    }
    let steps = w.block / STEP;
    let count = x.values[0].len();
    let blocks = count / steps;
    let (x_scales, w_scales) = (&x.scales[..blocks], &w.scales[..blocks]);
    let [x0, x1, x2, x3] = x.values;
    let (x0, x1, x2, x3) = (&x0[..count], &x1[..count], &x2[..count], &x3[..count]);
    let [s0, s1, s2, s3] = x.starts;
    let (s0, s1, s2, s3) = (&s0[..blocks], &s1[..blocks], &s2[..blocks], &s3[..blocks]);
    let [w0, w1, w2, w3] = w.values;
    let (w0, w1) = (
        &w0.as_chunks::<STEP>().0[..count],
        &w1.as_chunks::<STEP>().0[..count],
    );
    let (w2, w3) = (
        &w2.as_chunks::<STEP>().0[..count],
        &w3.as_chunks::<STEP>().0[..count],
    );
    let shift = _mm512_set1_epi8(-128);
    let mut sums = _mm512_set1_ps(0.0);
    let mut step = 0;
    for place in 0..blocks {
        let mut a: [__m512i; TILE] = [only(s0[place]); TILE];
        let mut b: [__m512i; TILE] = [only(s1[place]); TILE];
        let mut c: [__m512i; TILE] = [only(s2[place]); TILE];
        let mut d: [__m512i; TILE] = [only(s3[place]); TILE];
        for _ in 0..steps {
            if step >= count {
                break;
            }
            let w = [
                cast(w0[step]),
                cast(w1[step]),
                cast(w2[step]),
                cast(w3[step]),
            ];
            let (x0, x1, x2, x3): (__m512i, __m512i, __m512i, __m512i) = (
                cast(x0[step]),
                cast(x1[step]),
                cast(x2[step]),
                cast(x3[step]),
            );
            for j in 0..TILE {
                let w = _mm512_xor_si512(w[j], shift);
                a[j] = _mm512_dpbusd_epi32(a[j], w, x0);
                b[j] = _mm512_dpbusd_epi32(b[j], w, x1);
                c[j] = _mm512_dpbusd_epi32(c[j], w, x2);
                d[j] = _mm512_dpbusd_epi32(d[j], w, x3);
            }
            step += 1;
        }
        let dots = pair(pair(four(a), four(b)), pair(four(c), four(d)));
        let w_scales = _mm512_broadcast_f32x4(cast(w_scales[place]));
        let scales = _mm512_mul_ps(cast(x_scales[place]), w_scales);
        sums = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots), scales, sums);
    }
    cast::<__m512, _>(sums)
}

/// A sum that has not begun in the other lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni")]
fn only(start: i32) -> __m512i {
    // By way of memory it would have to wait for what was written.
    _mm512_zextsi128_si512(_mm_cvtsi32_si128(start))
}

/// In each 128 bits the four sums of what four vectors have there.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni")]
fn four([a, b, c, d]: [__m512i; TILE]) -> __m512i {
    let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd))
}

#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512vnni")]
fn pair(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi32(
        _mm512_shuffle_i32x4::<0x88>(a, b),
        _mm512_shuffle_i32x4::<0xdd>(a, b),
    )
}
