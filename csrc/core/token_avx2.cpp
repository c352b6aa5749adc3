// The AVX2 path. CMake compiles this file alone with -mavx2 -mfma -mf16c where the compiler has them; it is
// entered only after the processor was asked. Nothing here is visible outside but one function, and nothing
// of the standard library is instantiated: a copy compiled with these flags could otherwise serve the whole
// program.
#include "token_curve_row.hpp"
#include "token_divergence_row.hpp"
#include "token_row.hpp"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>

namespace crystal::tokens {
namespace {

struct Avx8 {
    static constexpr int lanes = 8, abreast = 2;
    __m256 v;

    using Counter = __m256i;
    static Counter no_count() { return _mm256_setzero_si256(); }
    static std::int64_t total(Counter count) {
        alignas(32) std::int32_t counts[8];
        _mm256_store_si256(reinterpret_cast<__m256i*>(counts), count);
        std::int64_t result = 0;
        for (const std::int32_t lane : counts) result += lane;
        return result;
    }

    using Bits = __m256i;
    static Bits no_bits() { return _mm256_setzero_si256(); }
    static bool any(Bits seen) { return _mm256_testz_si256(seen, _mm256_set1_epi32(-2048)) == 0; }
    struct Table {
        __m256i low, high;
    };
    static Table table(const std::uint32_t* entries) {
        const auto* halves = reinterpret_cast<const __m256i*>(entries);
        return {_mm256_load_si256(halves), _mm256_load_si256(halves + 1)};
    }

    static Avx8 all(float x) { return {_mm256_set1_ps(x)}; }
    static Avx8 load(const float* x) { return {_mm256_loadu_ps(x)}; }
    void store(float* x) const { _mm256_storeu_ps(x, v); }
    static Avx8 load_float16(const std::uint16_t* x) {
        return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)))};
    }
    // Thirty-two logits: the even ones, then the odd ones, as they lie in 32-bit words.
    static void load_bfloat16(const std::uint16_t* x, Avx8* z) {
        for (int half = 0; half < 2; ++half) {
            const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 16 * half));
            z[half].v = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
            z[half + 2].v = _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(-65536)));
        }
    }
};

inline Avx8 operator+(Avx8 a, Avx8 b) { return {_mm256_add_ps(a.v, b.v)}; }
inline Avx8 operator-(Avx8 a, Avx8 b) { return {_mm256_sub_ps(a.v, b.v)}; }
inline Avx8 operator*(Avx8 a, Avx8 b) { return {_mm256_mul_ps(a.v, b.v)}; }
inline Avx8 operator&(Avx8 a, Avx8 b) { return {_mm256_and_ps(a.v, b.v)}; }
inline Avx8 fma(Avx8 a, Avx8 b, Avx8 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline Avx8 fms(Avx8 a, Avx8 b, Avx8 c) { return {_mm256_fmsub_ps(a.v, b.v, c.v)}; }
inline Avx8 min(Avx8 a, Avx8 b) { return {_mm256_min_ps(a.v, b.v)}; }
inline Avx8 max(Avx8 a, Avx8 b) { return {_mm256_max_ps(a.v, b.v)}; }
// The instruction returns its second operand where either is NaN.
inline Avx8 max_second_nan(Avx8 a, Avx8 b) { return {_mm256_max_ps(a.v, b.v)}; }
inline Avx8 greater_mask(Avx8 a, Avx8 b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)}; }
inline Avx8 equal_mask(Avx8 a, Avx8 b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }
inline Avx8 select(Avx8 mask, Avx8 a, Avx8 b) { return {_mm256_blendv_ps(b.v, a.v, mask.v)}; }
inline Avx8 bits_of(Avx8 a, int bits) {
    return {_mm256_and_ps(a.v, _mm256_castsi256_ps(_mm256_set1_epi32(bits)))};
}
inline Avx8 magnitude(Avx8 a) { return bits_of(a, 0x7FFFFFFF); }
// The largest power of two that |a| reaches.
inline Avx8 power_below(Avx8 a) { return bits_of(a, 0x7F800000); }
// A mask lane that holds is the integer -1.
inline __m256i count_up(__m256i count, Avx8 mask) {
    return _mm256_sub_epi32(count, _mm256_castps_si256(mask.v));
}
inline bool any_greater(Avx8 a, Avx8 b) { return _mm256_movemask_ps(greater_mask(a, b).v) != 0; }
inline float largest(Avx8 a) {
    float lanes[8];
    _mm256_storeu_ps(lanes, a.v);
    float result = lanes[0];
    for (const float x : lanes) result = x > result || result != result ? x : result;
    return result;
}
inline double sum(Avx8 a) {
    const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(a.v));
    const __m256d four = _mm256_add_pd(low, _mm256_cvtps_pd(_mm256_extractf128_ps(a.v, 1)));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}
// Adds the integer in the low bits of `shifted` to the exponent of p.
inline Avx8 add_exponent(Avx8 p, Avx8 shifted) {
    const __m256i steps = _mm256_slli_epi32(_mm256_castps_si256(shifted.v), 23);
    return {_mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p.v), steps))};
}

inline __m256i bits(Avx8 a) { return _mm256_castps_si256(a.v); }
// A permutation looks at no more than the last three bits of an index; the fourth takes the table's other
// half.
inline Avx8 power(const Avx8::Table& table, Avx8 grid) {
    const __m256 low = _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(table.low, bits(grid)));
    const __m256 high = _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(table.high, bits(grid)));
    const __m256 half = _mm256_castsi256_ps(_mm256_slli_epi32(bits(grid), 28));
    const __m256i start = _mm256_castps_si256(_mm256_blendv_ps(low, high, half));
    return {_mm256_castsi256_ps(_mm256_add_epi32(start, _mm256_slli_epi32(bits(grid), 19)))};
}
inline __m256i collect(__m256i seen, Avx8 a, std::uint32_t expected) {
    return _mm256_or_si256(seen, _mm256_xor_si256(bits(a), _mm256_set1_epi32(static_cast<int>(expected))));
}

}  // namespace

RowFunction avx2_row(LogitType type, TokenLevel level) { return row_function<Avx8>(type, level); }

CurveFunction avx2_curve(LogitType type) { return curve_function<Avx8>(type); }

PairFunction avx2_pair(LogitType type) { return pair_function<Avx8>(type); }

}  // namespace crystal::tokens

#else

namespace crystal::tokens {

RowFunction avx2_row(LogitType, TokenLevel) { return nullptr; }

CurveFunction avx2_curve(LogitType) { return nullptr; }

PairFunction avx2_pair(LogitType) { return nullptr; }

}  // namespace crystal::tokens

#endif
