#pragma once
// Four doubles in an AVX2 register. Only for files that are compiled with AVX2 and FMA and entered after the
// processor was asked; private to each, because code of other flags must never be linked in its place.
#include <immintrin.h>

namespace crystal {
namespace {

struct Avx4 {
    __m256d v;

    static Avx4 all(double x) { return {_mm256_set1_pd(x)}; }
    static Avx4 load(const double* x) { return {_mm256_loadu_pd(x)}; }
    void store(double* x) const { _mm256_storeu_pd(x, v); }
    // 2^n x with n such that the result is in [sqrt 2, 2 sqrt 2); n comes as 2^52 + n.
    Avx4 split(Avx4& n) const {
        const __m256i bits = _mm256_castpd_si256(v);
        // sqrt(1/2) two exponents up, less one: the quotient by 2^52 is rounded up.
        const __m256i top = _mm256_set1_epi64x(0x4006a09e667f3bcc);
        const __m256i steps = _mm256_srli_epi64(_mm256_sub_epi64(top, bits), 52);
        n.v = _mm256_castsi256_pd(_mm256_or_si256(steps, _mm256_set1_epi64x(0x4330000000000000)));
        return {_mm256_castsi256_pd(_mm256_add_epi64(bits, _mm256_slli_epi64(steps, 52)))};
    }
    static void transpose(Avx4* rows) {
        const __m256d a = _mm256_unpacklo_pd(rows[0].v, rows[1].v),
                      b = _mm256_unpackhi_pd(rows[0].v, rows[1].v);
        const __m256d c = _mm256_unpacklo_pd(rows[2].v, rows[3].v),
                      d = _mm256_unpackhi_pd(rows[2].v, rows[3].v);
        rows[0].v = _mm256_permute2f128_pd(a, c, 0x20);
        rows[1].v = _mm256_permute2f128_pd(b, d, 0x20);
        rows[2].v = _mm256_permute2f128_pd(a, c, 0x31);
        rows[3].v = _mm256_permute2f128_pd(b, d, 0x31);
    }
};

inline Avx4 operator+(Avx4 a, Avx4 b) { return {_mm256_add_pd(a.v, b.v)}; }
inline Avx4 operator-(Avx4 a, Avx4 b) { return {_mm256_sub_pd(a.v, b.v)}; }
inline Avx4 operator*(Avx4 a, Avx4 b) { return {_mm256_mul_pd(a.v, b.v)}; }
inline Avx4 operator/(Avx4 a, Avx4 b) { return {_mm256_div_pd(a.v, b.v)}; }
inline Avx4 fma(Avx4 a, Avx4 b, Avx4 c) { return {_mm256_fmadd_pd(a.v, b.v, c.v)}; }
inline Avx4 min(Avx4 a, Avx4 b) { return {_mm256_min_pd(a.v, b.v)}; }
inline Avx4 max(Avx4 a, Avx4 b) { return {_mm256_max_pd(a.v, b.v)}; }
inline Avx4 root(Avx4 a) { return {_mm256_sqrt_pd(a.v)}; }
inline Avx4 magnitude(Avx4 a) { return {_mm256_andnot_pd(_mm256_set1_pd(-0.0), a.v)}; }
inline Avx4 greater_mask(Avx4 a, Avx4 b) { return {_mm256_cmp_pd(a.v, b.v, _CMP_GT_OQ)}; }
inline Avx4 select(Avx4 mask, Avx4 a, Avx4 b) { return {_mm256_blendv_pd(b.v, a.v, mask.v)}; }
inline bool any(Avx4 mask) { return _mm256_movemask_pd(mask.v) != 0; }

}  // namespace
}  // namespace crystal
