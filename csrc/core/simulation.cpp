#include <algorithm>
#include <numeric>
#include <vector>

#include "crystal/multinomial.hpp"
#include "crystal/plain_statistics.hpp"
#include "crystal/resampling.hpp"

namespace crystal {
namespace {

constexpr std::size_t cells_per_range = std::size_t{1} << 14;

// The samplers of one block, and what its statistic needs; groups without samples are left out.
struct SimulatedBlock {
    std::vector<Multinomial> groups;
    std::vector<Cell> sizes;
};

std::vector<SimulatedBlock> prepare(std::span<const double> probabilities,
                                    std::span<const std::int64_t> sizes, std::size_t blocks,
                                    std::size_t groups, std::size_t options, Simulated statistic) {
    std::vector<SimulatedBlock> result;
    for (std::size_t b = 0; b < blocks; ++b) {
        SimulatedBlock block;
        for (std::size_t g = 0; g < groups; ++g) {
            const auto size = static_cast<Cell>(sizes[b * groups + g]);
            if (size == 0) continue;
            block.groups.emplace_back(probabilities.subspan((b * groups + g) * options, options), size);
            block.sizes.push_back(size);
        }
        const std::size_t needed = statistic == Simulated::js ? groups : 1;
        if (!block.groups.empty() && block.groups.size() >= needed) result.push_back(std::move(block));
    }
    return result;
}

double evaluate(const SimulatedBlock& block, std::span<const Cell> table, Simulated statistic,
                const NLogN& n_log_n) {
    if (statistic == Simulated::g) return g_nats(table, block.sizes, n_log_n);
    if (statistic == Simulated::js) return js_bits(table, block.sizes, n_log_n);
    const std::size_t options = table.size() / block.sizes.size();
    double sum = 0.0;
    for (std::size_t g = 0; g < block.sizes.size(); ++g) {
        sum += entropy_bits(table.subspan(g * options, options), block.sizes[g], n_log_n);
    }
    return sum;
}

}  // namespace

void simulate(std::span<const double> probabilities, std::span<const std::int64_t> sizes, std::size_t points,
              std::size_t blocks, std::size_t groups, std::size_t options, Simulated statistic,
              std::size_t draws, const Randomness& randomness, StopFlag stop, std::span<double> values) {
    const std::size_t cells = blocks * groups * options;
    const auto all = static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}));
    const NLogN n_log_n(all / std::max<std::size_t>(blocks, 1));
    const PhiloxKey key = derive_key(randomness.seed, randomness.key);
    for (std::size_t point = 0; point < points; ++point) {
        const std::vector<SimulatedBlock> prepared =
            prepare(probabilities.subspan(point * cells, cells), sizes, blocks, groups, options, statistic);
        std::size_t parts = prepared.size();
        if (statistic == Simulated::entropy) {
            parts = 0;
            for (const SimulatedBlock& block : prepared) parts += block.groups.size();
        }
        const double weight =
            statistic == Simulated::g || parts == 0 ? 1.0 : 1.0 / static_cast<double>(parts);
        parallel_for(draws, 1 + cells_per_range / (cells + all + 1), thread_count(randomness.threads), stop,
                     [&](std::size_t begin, std::size_t end) {
                         std::vector<Cell> table(groups * options);
                         for (std::size_t draw = begin; draw < end; ++draw) {
                             Stream stream(key, draw);
                             double sum = 0.0;
                             for (const SimulatedBlock& block : prepared) {
                                 const auto used = std::span(table).first(block.groups.size() * options);
                                 for (std::size_t g = 0; g < block.groups.size(); ++g) {
                                     block.groups[g].sample(stream, used.subspan(g * options, options));
                                 }
                                 sum += evaluate(block, used, statistic, n_log_n);
                             }
                             values[point * draws + draw] = sum * weight;
                         }
                     });
    }
}

void simulate_counts(std::span<const double> probabilities, std::span<const std::int64_t> sizes,
                     std::size_t options, std::size_t draws, const Randomness& randomness, StopFlag stop,
                     std::span<std::int64_t> values) {
    std::vector<Multinomial> samplers;
    std::vector<std::size_t> rows;
    for (std::size_t g = 0; g < sizes.size(); ++g) {
        if (sizes[g] == 0) continue;
        samplers.emplace_back(probabilities.subspan(g * options, options),
                              static_cast<std::uint32_t>(sizes[g]));
        rows.push_back(g);
    }
    std::fill(values.begin(), values.end(), std::int64_t{0});
    const auto all = static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}));
    const PhiloxKey key = derive_key(randomness.seed, randomness.key);
    parallel_for(draws, 1 + cells_per_range / (sizes.size() * options + all + 1),
                 thread_count(randomness.threads), stop, [&](std::size_t begin, std::size_t end) {
                     std::vector<Cell> counts(options);
                     for (std::size_t draw = begin; draw < end; ++draw) {
                         Stream stream(key, draw);
                         for (std::size_t i = 0; i < samplers.size(); ++i) {
                             samplers[i].sample(stream, counts);
                             std::copy(counts.begin(), counts.end(),
                                       values.begin() + static_cast<std::ptrdiff_t>(
                                                            (draw * sizes.size() + rows[i]) * options));
                         }
                     }
                 });
}

}  // namespace crystal
