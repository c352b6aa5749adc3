#include "crystal/lane_sums.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace crystal {
namespace {

// Up to here, counting how often each value comes takes less time than looking every cell up.
constexpr std::size_t largest_counted = 20;

void add_counted(std::span<const Lanes> cells, const std::uint64_t* values, std::size_t largest,
                 std::uint64_t* sums) {
    for (std::size_t value = 2; value <= largest; ++value) {
        std::array<std::uint16_t, replicate_lanes> seen{};
        for (const Lanes& cell : cells) {
            for (std::size_t lane = 0; lane < replicate_lanes; ++lane)
                seen[lane] = static_cast<std::uint16_t>(seen[lane] + (cell.at[lane] == value ? 1 : 0));
        }
        for (std::size_t lane = 0; lane < replicate_lanes; ++lane) sums[lane] += values[value] * seen[lane];
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) void add_counted_avx2(std::span<const Lanes> cells,
                                                      const std::uint64_t* values, std::size_t largest,
                                                      std::uint64_t* sums) {
    auto* out = reinterpret_cast<__m256i*>(sums);
    __m256i sum[4];
    for (int part = 0; part < 4; ++part) sum[part] = _mm256_loadu_si256(out + part);
    for (std::size_t value = 2; value <= largest; ++value) {
        const __m256i wanted = _mm256_set1_epi16(static_cast<std::int16_t>(value));
        __m256i seen = _mm256_setzero_si256();
        for (const Lanes& cell : cells) {
            const __m256i at = _mm256_load_si256(reinterpret_cast<const __m256i*>(cell.at.data()));
            seen = _mm256_sub_epi16(seen, _mm256_cmpeq_epi16(at, wanted));
        }
        // A count is short, so its product with 64 bits is that with either half.
        const __m256i low = _mm256_set1_epi64x(static_cast<std::int64_t>(values[value]));
        const __m256i high = _mm256_srli_epi64(low, 32);
        const __m128i first = _mm256_castsi256_si128(seen), last = _mm256_extracti128_si256(seen, 1);
        const __m128i quarters[4] = {first, _mm_srli_si128(first, 8), last, _mm_srli_si128(last, 8)};
        for (int part = 0; part < 4; ++part) {
            const __m256i times = _mm256_cvtepu16_epi64(quarters[part]);
            const __m256i upper = _mm256_slli_epi64(_mm256_mul_epu32(times, high), 32);
            sum[part] = _mm256_add_epi64(sum[part], _mm256_add_epi64(_mm256_mul_epu32(times, low), upper));
        }
    }
    for (int part = 0; part < 4; ++part) _mm256_storeu_si256(out + part, sum[part]);
}

bool has_avx2() {
    static const bool answer = __builtin_cpu_supports("avx2") != 0;
    return answer;
}
#endif

void add_looked_up(std::span<const Lanes> cells, const std::uint64_t* values, std::uint64_t* sums) {
    for (std::size_t lane = 0; lane < replicate_lanes; ++lane) {
        std::uint64_t sum = 0;
        for (const Lanes& cell : cells) sum += values[cell.at[lane]];
        sums[lane] += sum;
    }
}

}  // namespace

void add_values(std::span<const Lanes> cells, const std::uint64_t* values, std::size_t largest,
                std::span<std::uint64_t, replicate_lanes> sums) {
    if (largest > largest_counted) return add_looked_up(cells, values, sums.data());
#if defined(__x86_64__)
    if (has_avx2()) return add_counted_avx2(cells, values, largest, sums.data());
#endif
    add_counted(cells, values, largest, sums.data());
}

}  // namespace crystal
