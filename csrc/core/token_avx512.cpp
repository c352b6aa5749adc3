// The AVX-512 path of token statistics: sixteen lanes, and twice the registers of AVX2. Compiled alone with
// its own flags and entered only after the processor was asked; as private as token_avx2.cpp, for its reason.
#include "token_row.hpp"

#if defined(__AVX512F__) && defined(__F16C__)
#if defined(__clang__)
#include <immintrin.h>
#else  // GCC warns of values that its own header leaves open on purpose.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

namespace crystal::tokens {
namespace {

struct Avx16 {
    static constexpr int lanes = 16, abreast = 4;
    __m512 v;

    using Counter = __m512i;
    static Counter no_count() { return _mm512_setzero_si512(); }
    static std::int64_t total(Counter count) {
        std::int32_t values[16];
        _mm512_storeu_si512(values, count);
        std::int64_t result = 0;
        for (const std::int32_t value : values) result += value;
        return result;
    }

    using Bits = __m512i;
    static Bits no_bits() { return _mm512_setzero_si512(); }
    static bool any(Bits seen) { return _mm512_test_epi32_mask(seen, _mm512_set1_epi32(-2048)) != 0; }
    using Table = __m512i;
    static Table table(const std::uint32_t* entries) { return _mm512_load_si512(entries); }

    static Avx16 all(float x) { return {_mm512_set1_ps(x)}; }
    static Avx16 load(const float* x) { return {_mm512_loadu_ps(x)}; }
    static Avx16 load_float16(const std::uint16_t* x) {
        return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)))};
    }
    // Thirty-two logits: the even ones, then the odd ones, as they lie in 32-bit words.
    static void load_bfloat16(const std::uint16_t* x, Avx16* z) {
        const __m512i pairs = _mm512_loadu_si512(x);
        z[0].v = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
        z[1].v = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(-65536)));
    }
};

struct Mask16 {
    __mmask16 v;
};

inline Avx16 operator+(Avx16 a, Avx16 b) { return {_mm512_add_ps(a.v, b.v)}; }
inline Avx16 operator-(Avx16 a, Avx16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
inline Avx16 operator*(Avx16 a, Avx16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
inline Avx16 operator&(Avx16 a, Mask16 mask) { return {_mm512_maskz_mov_ps(mask.v, a.v)}; }
inline Avx16 fma(Avx16 a, Avx16 b, Avx16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Avx16 fms(Avx16 a, Avx16 b, Avx16 c) { return {_mm512_fmsub_ps(a.v, b.v, c.v)}; }
inline Avx16 max(Avx16 a, Avx16 b) { return {_mm512_max_ps(a.v, b.v)}; }
// The instruction returns its second operand where either is NaN.
inline Avx16 max_second_nan(Avx16 a, Avx16 b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Mask16 greater_mask(Avx16 a, Avx16 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
inline Mask16 equal_mask(Avx16 a, Avx16 b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ)}; }
inline __m512i count_up(__m512i count, Mask16 mask) {
    return _mm512_mask_sub_epi32(count, mask.v, count, _mm512_set1_epi32(-1));
}
inline bool any_greater(Avx16 a, Avx16 b) { return greater_mask(a, b).v != 0; }
inline float largest(Avx16 a) {
    float values[16];
    _mm512_storeu_ps(values, a.v);
    float result = values[0];
    for (const float x : values) result = x > result || result != result ? x : result;
    return result;
}
// Columns i and i + 8 meet in float32, as the two vectors of eight lanes do, and go on as those.
inline double sum(Avx16 a) {
    const __m512 halves = _mm512_add_ps(a.v, _mm512_shuffle_f32x4(a.v, a.v, 0x4E));
    const __m512d wide = _mm512_cvtps_pd(_mm512_castps512_ps256(halves));
    const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(wide), _mm512_extractf64x4_pd(wide, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}
inline __m512i bits(Avx16 a) { return _mm512_castps_si512(a.v); }
// A permutation looks at no more than the last four bits of an index.
inline Avx16 power(__m512i table, Avx16 grid) {
    const __m512i start = _mm512_permutexvar_epi32(bits(grid), table);
    return {_mm512_castsi512_ps(_mm512_add_epi32(start, _mm512_slli_epi32(bits(grid), 19)))};
}
inline __m512i collect(__m512i seen, Avx16 a, std::uint32_t expected) {
    constexpr int or_xor = 0xF6;
    return _mm512_ternarylogic_epi32(seen, bits(a), _mm512_set1_epi32(static_cast<int>(expected)), or_xor);
}

}  // namespace

RowFunction avx512_row(LogitType type, TokenLevel level) { return row_function<Avx16>(type, level); }

}  // namespace crystal::tokens

#else

namespace crystal::tokens {

RowFunction avx512_row(LogitType, TokenLevel) { return nullptr; }

}  // namespace crystal::tokens

#endif
