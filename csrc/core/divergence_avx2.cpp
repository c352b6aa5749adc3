// The AVX2 path of the divergence matrices; see token_avx2.cpp for why it is a file of its own.
#include "divergence_lanes.hpp"

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

namespace crystal::divergence {
namespace {

struct Avx4 {
    __m256d v;

    static Avx4 all(double x) { return {_mm256_set1_pd(x)}; }
    static Avx4 load(const double* x) { return {_mm256_loadu_pd(x)}; }
    void store(double* x) const { _mm256_storeu_pd(x, v); }
    Avx4 split(Avx4& n) const {
        const __m256i bits = _mm256_castpd_si256(v);
        // sqrt(1/2) two exponents up, less one: the quotient by 2^52 is rounded up.
        const __m256i top = _mm256_set1_epi64x(0x4006a09e667f3bcc);
        const __m256i steps = _mm256_srli_epi64(_mm256_sub_epi64(top, bits), 52);
        n.v = _mm256_castsi256_pd(_mm256_or_si256(steps, _mm256_set1_epi64x(0x4330000000000000)));
        return {_mm256_castsi256_pd(_mm256_add_epi64(bits, _mm256_slli_epi64(steps, 52)))};
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

constexpr Functions functions = functions_of<Avx4>();

}  // namespace

const Functions* avx2_functions() { return &functions; }

}  // namespace crystal::divergence

#else

namespace crystal::divergence {

const Functions* avx2_functions() { return nullptr; }

}  // namespace crystal::divergence

#endif
