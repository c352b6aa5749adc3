#include "crystal/byte_counts.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace crystal {
namespace {

void count_plainly(const std::uint8_t* bytes, std::size_t count, std::span<const std::uint8_t> last,
                   std::uint32_t* counts) {
    for (std::size_t k = 0; k < last.size(); ++k) {
        std::uint32_t sum = 0;
        for (std::size_t i = 0; i < count; ++i) sum += bytes[i] <= last[k] ? 1U : 0U;
        counts[k] = sum;
    }
}

#if defined(__x86_64__)
static_assert(most_bytes / byte_lanes <= 255, "a lane counts in one byte");

__attribute__((target("avx2"))) void count_avx2(const std::uint8_t* bytes, std::size_t count,
                                                std::span<const std::uint8_t> last, std::uint32_t* counts) {
    const auto* rows = reinterpret_cast<const __m256i*>(bytes);
    const std::size_t used = (count + byte_lanes - 1) / byte_lanes;
    for (std::size_t k = 0; k < last.size(); ++k) {
        const __m256i bound = _mm256_set1_epi8(static_cast<char>(last[k]));
        __m256i lanes = _mm256_setzero_si256();
        for (std::size_t i = 0; i < used; ++i) {
            const __m256i larger = _mm256_max_epu8(_mm256_load_si256(rows + i), bound);
            lanes = _mm256_sub_epi8(lanes, _mm256_cmpeq_epi8(larger, bound));
        }
        const __m256i eights = _mm256_sad_epu8(lanes, _mm256_setzero_si256());
        const __m128i fours =
            _mm_add_epi64(_mm256_castsi256_si128(eights), _mm256_extracti128_si256(eights, 1));
        const __m128i all = _mm_add_epi64(fours, _mm_unpackhi_epi64(fours, fours));
        // Padding is within the bound only where everything is.
        counts[k] = last[k] == 255 ? static_cast<std::uint32_t>(count)
                                   : static_cast<std::uint32_t>(_mm_cvtsi128_si32(all));
    }
}

bool has_avx2() {
    static const bool answer = __builtin_cpu_supports("avx2") != 0;
    return answer;
}
#endif

}  // namespace

void count_at_most(const ByteSamples& samples, std::size_t count, std::span<const std::uint8_t> last,
                   std::uint32_t* counts) {
#if defined(__x86_64__)
    if (has_avx2()) return count_avx2(samples.bytes.data(), count, last, counts);
#endif
    count_plainly(samples.bytes.data(), count, last, counts);
}

}  // namespace crystal
