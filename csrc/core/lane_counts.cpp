#include "crystal/lane_counts.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "crystal/clones.hpp"
#include "crystal/variates.hpp"

namespace crystal {
namespace {

constexpr std::size_t lanes = replicate_lanes;

// Candidates after the first are few: so many of them are looked at together.
constexpr std::size_t tried_at_once = 8;

// Marking samples by random words, at every halving of the groups, costs about one cell for so many of them.
constexpr std::uint64_t samples_a_cell = 220;

// One hypergeometric law in each lane: `taken` of `total` items, of which `good` are good.
struct Urns {
    LaneNumbers good, total, taken;
};

// What the ratio of uniforms needs to know of them (HRUA* of Stadlober 1990, "The ratio of uniforms approach
// for generating discrete random variates", J. Comput. Appl. Math. 31). It holds for laws of any size, those
// of one value too; tests/ops/test_lane_counts.py looks at all of the small ones.
struct Hats {
    LaneNumbers centre, scale, lowest, highest, at_mode;
};

// -ln of the weight of k, but for a constant.
inline double log_parts(const double* log_factorials, double good, double total, double taken, double k) {
    const auto g = static_cast<std::int32_t>(good), m = static_cast<std::int32_t>(taken);
    const auto rest = static_cast<std::int32_t>(total) - g - m, i = static_cast<std::int32_t>(k);
    return log_factorials[i] + log_factorials[g - i] + log_factorials[m - i] + log_factorials[rest + i];
}

CRYSTAL_CLONES void fit_hats(const Urns& urns, const double* log_factorials, Hats& hats) {
    constexpr double slope = 1.7155277699214135;   // 2 sqrt(2 / e)
    constexpr double offset = 0.8989161620588988;  // 3 - 2 sqrt(3 / e)
    LaneNumbers mode;
    for (std::size_t i = 0; i < lanes; ++i) {
        const double n = urns.total.at[i], g = urns.good.at[i], m = urns.taken.at[i];
        const double share = g / (n < 1.0 ? 1.0 : n);
        const double mean = m * share;
        const double others = n - 1.0;
        const double variance = (n - m) * mean * (1.0 - share) / (others < 1.0 ? 1.0 : others);
        hats.centre.at[i] = mean + 0.5;
        hats.scale.at[i] = slope * std::sqrt(variance + 0.5) + offset;
        const double least = m - (n - g);
        hats.lowest.at[i] = least < 0.0 ? 0.0 : least;
        hats.highest.at[i] = m < g ? m : g;
        mode.at[i] = static_cast<double>(static_cast<std::int32_t>((m + 1.0) * (g + 1.0) / (n + 2.0)));
    }
    for (std::size_t i = 0; i < lanes; ++i)
        hats.at_mode.at[i] =
            log_parts(log_factorials, urns.good.at[i], urns.total.at[i], urns.taken.at[i], mode.at[i]);
}

// Uniform on the odd multiples of 2^-53 in (0, 1), from 52 of 64 random bits.
inline double uniform_of(std::uint64_t bits) {
    return std::bit_cast<double>(bits >> 12 | 0x3FF0000000000000) - (1.0 - 0x1p-53);
}

// One candidate for each of some lanes.
template <std::size_t count>
struct Candidates {
    alignas(32) std::array<std::uint64_t, count> first, second;  // random bits
    alignas(32) std::array<std::int32_t, count> value, good, taken, rest;
    alignas(32) std::array<double, count> u, at_mode, height;
    alignas(32) std::array<std::int64_t, count> inside, sure, possible;

    void propose(const Urns& urns, const Hats& hats, const std::array<std::uint8_t, count>& lane,
                 std::size_t used) {
        for (std::size_t i = 0; i < used; ++i) {
            const std::size_t j = count == lanes ? i : lane[i];
            const double low = hats.lowest.at[j], high = hats.highest.at[j];
            const double x =
                hats.centre.at[j] + hats.scale.at[j] * (uniform_of(second[i]) - 0.5) / uniform_of(first[i]);
            u[i] = uniform_of(first[i]);
            inside[i] = x >= low && x < high + 1.0 ? -1 : 0;
            const double above = x < low ? low : x;
            value[i] = static_cast<std::int32_t>(above < high ? above : high);
            good[i] = static_cast<std::int32_t>(urns.good.at[j]);
            taken[i] = static_cast<std::int32_t>(urns.taken.at[j]);
            rest[i] = static_cast<std::int32_t>(urns.total.at[j] - urns.good.at[j] - urns.taken.at[j]);
            at_mode[i] = hats.at_mode.at[j];
        }
    }

    void weigh(const double* log_factorials, std::size_t used) {
        for (std::size_t i = 0; i < used; ++i) {
            const std::int32_t k = value[i];
            height[i] = at_mode[i] - (log_factorials[k] + log_factorials[good[i] - k] +
                                      log_factorials[taken[i] - k] + log_factorials[rest[i] + k]);
        }
        for (std::size_t i = 0; i < used; ++i) {
            sure[i] = u[i] * (4.0 - u[i]) - 3.0 <= height[i] ? inside[i] : 0;
            possible[i] = u[i] * (u[i] - height[i]) < 1.0 ? inside[i] : 0;
        }
    }

    bool accepted(std::size_t i) const {
        if (sure[i] != 0) return true;
        return possible[i] != 0 && 2.0 * std::log(u[i]) <= height[i];
    }
};

CRYSTAL_CLONES void try_all(Candidates<lanes>& tried, const Urns& urns, const Hats& hats,
                            const double* log_factorials) {
    tried.propose(urns, hats, {}, lanes);
    tried.weigh(log_factorials, lanes);
}

CRYSTAL_CLONES void try_some(Candidates<tried_at_once>& tried, const Urns& urns, const Hats& hats,
                             const std::array<std::uint8_t, tried_at_once>& lane, std::size_t used,
                             const double* log_factorials) {
    tried.propose(urns, hats, lane, used);
    tried.weigh(log_factorials, used);
}

std::uint64_t joined(std::uint32_t low, std::uint32_t high) {
    return low | static_cast<std::uint64_t>(high) << 32;
}

// The replicate that a lane belongs to.
std::size_t replicate_of(std::size_t lane) { return lane < lanes / 2 ? 2 * lane : 2 * lane - lanes + 1; }

// Draws from all laws, with the numbers at `position`.
void draw(PhiloxKey key, std::uint64_t position, std::uint64_t first, const Urns& urns, LaneNumbers& drawn) {
    const double* log_factorials = log_factorial_table();
    Hats hats;
    fit_hats(urns, log_factorials, hats);
    alignas(32) std::array<std::uint32_t, 4 * lanes> words;
    lane_words(key, position, first, words.data());
    Candidates<lanes> tried;
    for (std::size_t i = 0; i < lanes; ++i) {
        const std::uint32_t* word = words.data() + 32 * (i / 8) + i % 8;
        tried.first[i] = joined(word[0], word[8]);
        tried.second[i] = joined(word[16], word[24]);
    }
    try_all(tried, urns, hats, log_factorials);
    std::array<std::uint8_t, lanes + tried_at_once> pending{};
    std::size_t missing = 0;
    for (std::size_t i = 0; i < lanes; ++i) {
        drawn.at[i] = tried.value[i];
        pending[missing] = static_cast<std::uint8_t>(i);
        missing += tried.accepted(i) ? 0 : 1;
    }
    const std::uint64_t number = position * LaneTables::steps_a_block;
    Candidates<tried_at_once> again{};
    std::array<std::uint8_t, tried_at_once> lane{};
    for (std::uint32_t attempt = 0; missing > 0; ++attempt) {
        std::size_t still = 0;
        for (std::size_t begin = 0; begin < missing; begin += tried_at_once) {
            const std::size_t count = std::min(tried_at_once, missing - begin);
            for (std::size_t i = 0; i < count; ++i) {
                lane[i] = pending[begin + i];
                const std::uint64_t replicate = first + replicate_of(lane[i]);
                const PhiloxCounter block = philox4x32(
                    {static_cast<std::uint32_t>(number),
                     0x80000000U | (attempt << 16) | static_cast<std::uint32_t>(number >> 32),
                     static_cast<std::uint32_t>(replicate), static_cast<std::uint32_t>(replicate >> 32)},
                    key);
                again.first[i] = joined(block[0], block[1]);
                again.second[i] = joined(block[2], block[3]);
            }
            try_some(again, urns, hats, lane, count, log_factorials);
            for (std::size_t i = 0; i < count; ++i) {
                drawn.at[lane[i]] = again.value[i];
                pending[still] = lane[i];
                still += again.accepted(i) ? 0 : 1;
            }
        }
        missing = still;
    }
}

}  // namespace

bool LaneCounts::suits(std::span<const Cell> group_totals, std::span<const Cell> option_totals) {
    if (group_totals.size() < 2 || option_totals.size() < 2) return false;
    const auto samples = std::accumulate(group_totals.begin(), group_totals.end(), std::uint64_t{0});
    if (samples >= tabulated_log_factorials) return false;
    const auto cells = (group_totals.size() - 1) * (option_totals.size() - 1);
    if (cells == 1) return false;  // whose law fits a table
    const auto halvings = std::bit_width(std::min(group_totals.size(), option_totals.size()) - 1);
    return cells * samples_a_cell <= samples * static_cast<std::uint64_t>(halvings);
}

LaneCounts::LaneCounts(std::span<const Cell> group_totals, std::span<const Cell> option_totals,
                       std::uint64_t position)
    : position_(position),
      group_totals_(group_totals.begin(), group_totals.end()),
      option_totals_(option_totals.begin(), option_totals.end()) {
    for (std::uint32_t option = 0; option < option_totals.size(); ++option) {
        for (std::uint32_t group = 0; group < group_totals.size(); ++group)
            places_.push_back(group * static_cast<std::uint32_t>(option_totals.size()) + option);
    }
}

void LaneCounts::sample(PhiloxKey key, std::uint64_t first, std::vector<LaneNumbers>& left,
                        std::span<Lanes> cells) const {
    const std::size_t groups = group_totals_.size(), options = option_totals_.size();
    left.resize(std::max(left.size(), options));
    for (std::size_t k = 0; k < options; ++k) left[k].at.fill(option_totals_[k]);
    const auto store = [&](std::size_t group, std::size_t option, const LaneNumbers& numbers) {
        Lanes& cell = cells[option * groups + group];
        for (std::size_t i = 0; i < lanes; ++i)
            cell.at[replicate_of(i)] = static_cast<std::uint16_t>(numbers.at[i]);
    };
    double samples = std::accumulate(group_totals_.begin(), group_totals_.end(), 0.0);
    std::uint64_t position = position_;
    Urns urns;
    LaneNumbers drawn;
    for (std::size_t g = 0; g + 1 < groups; ++g) {
        urns.total.at.fill(samples);
        urns.taken.at.fill(group_totals_[g]);
        samples -= group_totals_[g];
        for (std::size_t k = 0; k + 1 < options; ++k) {
            urns.good = left[k];
            draw(key, position++, first, urns, drawn);
            store(g, k, drawn);
            for (std::size_t i = 0; i < lanes; ++i) {
                urns.total.at[i] -= urns.good.at[i];
                urns.taken.at[i] -= drawn.at[i];
                left[k].at[i] -= drawn.at[i];
            }
        }
        store(g, options - 1, urns.taken);
        for (std::size_t i = 0; i < lanes; ++i) left[options - 1].at[i] -= urns.taken.at[i];
    }
    for (std::size_t k = 0; k < options; ++k) store(groups - 1, k, left[k]);
}

}  // namespace crystal
