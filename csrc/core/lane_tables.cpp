#include "crystal/lane_tables.hpp"

#include <algorithm>
#include <numeric>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace crystal {
namespace {

using Step = LaneTables::Step;

// Beyond these, marking many samples by a random word is faster; with many labels that takes many divisions.
constexpr std::uint64_t most_samples = 1024;
constexpr std::uint64_t most_samples_a_label = 160;

// Where a block's numbers are: those of step s are in position + s / 8.
struct Source {
    PhiloxKey key;
    std::uint64_t position, first;
};

// A number that replaces a rejected one.
std::uint16_t drawn_anew(const Source& source, std::uint64_t step, std::size_t lane, Step bounds) {
    const std::uint64_t number = source.position * LaneTables::steps_a_block + step;
    const std::uint64_t replicate = source.first + lane;
    for (std::uint32_t attempt = 0;; ++attempt) {
        const PhiloxCounter block =
            philox4x32({static_cast<std::uint32_t>(number),
                        0x80000000U | (attempt << 16) | static_cast<std::uint32_t>(number >> 32),
                        static_cast<std::uint32_t>(replicate), static_cast<std::uint32_t>(replicate >> 32)},
                       source.key);
        for (const std::uint32_t word : block) {
            const std::uint32_t product = (word >> 16) * bounds.below;
            if ((product & 0xFFFFU) >= bounds.reject) return static_cast<std::uint16_t>(product >> 16);
        }
    }
}

void draw_anew(const Source& source, std::uint64_t step, Step bounds, const Lanes& low, Lanes& below) {
    for (std::size_t lane = 0; lane < replicate_lanes; ++lane) {
        if (low.at[lane] < bounds.reject) below.at[lane] = drawn_anew(source, step, lane, bounds);
    }
}

void draw_plainly(const Source& source, std::span<const Step> steps, Lanes* below) {
    alignas(32) std::array<std::uint32_t, 4 * replicate_lanes> words;
    for (std::size_t s = 0; s < steps.size(); ++s) {
        const std::size_t t = s % LaneTables::steps_a_block;
        if (t == 0)
            lane_words(source.key, source.position + s / LaneTables::steps_a_block, source.first,
                       words.data());
        Lanes low;
        for (std::size_t lane = 0; lane < replicate_lanes; ++lane) {
            const std::uint32_t word = words[32 * (lane % 2) + 8 * (t / 2) + lane / 2];
            const std::uint32_t product = (t % 2 == 0 ? word & 0xFFFFU : word >> 16) * steps[s].below;
            below[s].at[lane] = static_cast<std::uint16_t>(product >> 16);
            low.at[lane] = static_cast<std::uint16_t>(product);
        }
        draw_anew(source, s, steps[s], low, below[s]);
    }
}

void label_plainly(const Lanes* below, std::span<const std::uint16_t> runs,
                   std::span<const std::uint16_t> bounds, Lanes* cells) {
    for (std::size_t lane = 0; lane < replicate_lanes; ++lane) {
        std::array<std::uint16_t, LaneTables::most_labels> left{};
        std::copy(bounds.begin(), bounds.end(), left.begin());
        const Lanes* number = below;
        Lanes* cell = cells;
        for (std::size_t run = 0; run < runs.size(); ++run) {
            auto before = left;
            if (run + 1 == runs.size()) {
                left.fill(0);
            } else {
                for (std::uint16_t i = 0; i < runs[run]; ++i, ++number) {
                    for (std::size_t j = 0; j < bounds.size(); ++j)
                        left[j] = static_cast<std::uint16_t>(left[j] - (number->at[lane] < left[j] ? 1 : 0));
                }
            }
            std::uint16_t sum = 0;
            for (std::size_t j = 0; j < bounds.size(); ++j, ++cell) {
                const auto lower = static_cast<std::uint16_t>(before[j] - left[j]);
                cell->at[lane] = static_cast<std::uint16_t>(lower - sum);
                sum = lower;
            }
            (cell++)->at[lane] = static_cast<std::uint16_t>(runs[run] - sum);
        }
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2"), always_inline)) inline __m256i load(const Lanes& lanes) {
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(lanes.at.data()));
}

__attribute__((target("avx2"), always_inline)) inline void store(Lanes& lanes, __m256i value) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(lanes.at.data()), value);
}

__attribute__((target("avx2"), always_inline)) inline __m256i everywhere(std::uint16_t value) {
    return _mm256_set1_epi16(static_cast<std::int16_t>(value));
}

__attribute__((target("avx2"))) void draw_avx2(const Source& source, std::span<const Step> steps,
                                               Lanes* below) {
    alignas(32) std::array<std::uint32_t, 4 * replicate_lanes> words;
    const auto* even = reinterpret_cast<const __m256i*>(words.data());
    const auto* odd = even + 4;
    const auto bounded = [&](std::size_t s, __m256i bits) __attribute__((target("avx2"), always_inline)) {
        const __m256i bound = everywhere(steps[s].below);
        const __m256i low = _mm256_mullo_epi16(bits, bound);
        store(below[s], _mm256_mulhi_epu16(bits, bound));
        const __m256i rejected = _mm256_subs_epu16(everywhere(steps[s].reject), low);
        if (_mm256_testz_si256(rejected, rejected) == 0) [[unlikely]] {
            Lanes kept;
            store(kept, low);
            draw_anew(source, s, steps[s], kept, below[s]);
        }
    };
    for (std::size_t s = 0; s < steps.size(); ++s) {
        const std::size_t t = s % LaneTables::steps_a_block;
        if (t == 0)
            lane_words(source.key, source.position + s / LaneTables::steps_a_block, source.first,
                       words.data());
        const __m256i a = _mm256_load_si256(even + t / 2), b = _mm256_load_si256(odd + t / 2);
        bounded(s, _mm256_blend_epi16(a, _mm256_slli_epi32(b, 16), 0xAA));
        if (++s == steps.size()) break;
        bounded(s, _mm256_blend_epi16(_mm256_srli_epi32(a, 16), b, 0xAA));
    }
}

// With their number known the bounds stay in registers.
template <std::size_t known>
__attribute__((target("avx2"))) void label_avx2(const Lanes* below, std::span<const std::uint16_t> runs,
                                                std::span<const std::uint16_t> bounds, Lanes* cells) {
    const std::size_t count = known > 0 ? known : bounds.size();
    __m256i left[known > 0 ? known : LaneTables::most_labels];
    __m256i before[known > 0 ? known : LaneTables::most_labels];
    for (std::size_t j = 0; j < count; ++j) left[j] = everywhere(bounds[j]);
    for (std::size_t run = 0; run < runs.size(); ++run) {
        for (std::size_t j = 0; j < count; ++j) before[j] = left[j];
        if (run + 1 == runs.size()) {
            for (std::size_t j = 0; j < count; ++j) left[j] = _mm256_setzero_si256();
        } else {
            for (std::uint16_t i = 0; i < runs[run]; ++i, ++below) {
                const __m256i number = load(*below);
                for (std::size_t j = 0; j < count; ++j)
                    left[j] = _mm256_add_epi16(left[j], _mm256_cmpgt_epi16(left[j], number));
            }
        }
        __m256i sum = _mm256_setzero_si256();
        for (std::size_t j = 0; j < count; ++j, ++cells) {
            const __m256i lower = _mm256_sub_epi16(before[j], left[j]);
            store(*cells, _mm256_sub_epi16(lower, sum));
            sum = lower;
        }
        store(*cells++, _mm256_sub_epi16(everywhere(runs[run]), sum));
    }
}

void label_with_avx2(const Lanes* below, std::span<const std::uint16_t> runs,
                     std::span<const std::uint16_t> bounds, Lanes* cells) {
    switch (bounds.size()) {
        case 1:
            return label_avx2<1>(below, runs, bounds, cells);
        case 2:
            return label_avx2<2>(below, runs, bounds, cells);
        case 3:
            return label_avx2<3>(below, runs, bounds, cells);
        case 7:
            return label_avx2<7>(below, runs, bounds, cells);
        default:
            return label_avx2<0>(below, runs, bounds, cells);
    }
}

bool has_avx2() {
    static const bool answer = __builtin_cpu_supports("avx2") != 0;
    return answer;
}
#endif

}  // namespace

bool LaneTables::suits(std::span<const Cell> group_totals, std::span<const Cell> option_totals) {
    if (group_totals.empty() || option_totals.empty()) return false;
    const auto samples = std::accumulate(group_totals.begin(), group_totals.end(), std::uint64_t{0});
    const std::size_t labels = std::min(group_totals.size(), option_totals.size());
    return samples <= std::min(most_samples, most_samples_a_label * labels) && labels <= most_labels;
}

LaneTables::LaneTables(std::span<const Cell> group_totals, std::span<const Cell> option_totals,
                       std::uint64_t position)
    : position_(position) {
    const bool turned = option_totals.size() < group_totals.size();
    const auto labels = turned ? option_totals : group_totals;
    const auto totals = turned ? group_totals : option_totals;
    std::vector<std::uint32_t> order(totals.size());
    std::iota(order.begin(), order.end(), 0U);
    // What comes last needs no numbers: the largest.
    std::swap(order.back(),
              *std::max_element(order.begin(), order.end(),
                                [&](std::uint32_t a, std::uint32_t b) { return totals[a] < totals[b]; }));
    for (const std::uint32_t run : order) {
        runs_.push_back(static_cast<std::uint16_t>(totals[run]));
        for (std::uint32_t label = 0; label < labels.size(); ++label) {
            const std::size_t group = turned ? run : label, option = turned ? label : run;
            places_.push_back(static_cast<std::uint32_t>(group * option_totals.size() + option));
        }
    }
    std::uint32_t below = 0;
    for (std::size_t label = 0; label + 1 < labels.size(); ++label)
        bounds_.push_back(static_cast<std::uint16_t>(below += labels[label]));
    const std::uint32_t samples = std::accumulate(totals.begin(), totals.end(), 0U);
    for (std::uint32_t m = samples; m > runs_.back(); --m)
        steps_.push_back({static_cast<std::uint16_t>(m), static_cast<std::uint16_t>(65536U % m)});
}

void LaneTables::sample(PhiloxKey key, std::uint64_t first, std::vector<Lanes>& below,
                        std::span<Lanes> cells) const {
    if (below.size() < steps_.size()) below.resize(steps_.size());
    const Source source{key, position_, first};
#if defined(__x86_64__)
    if (has_avx2()) {
        draw_avx2(source, steps_, below.data());
        label_with_avx2(below.data(), runs_, bounds_, cells.data());
        return;
    }
#endif
    draw_plainly(source, steps_, below.data());
    label_plainly(below.data(), runs_, bounds_, cells.data());
}

}  // namespace crystal
