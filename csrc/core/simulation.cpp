#include <algorithm>
#include <numeric>
#include <vector>

#include "crystal/multinomial.hpp"
#include "crystal/plain_statistics.hpp"
#include "crystal/resampling.hpp"
#include "crystal/row_samplers.hpp"

namespace crystal {
namespace {

// A range takes some tenths of a millisecond, so that starting a thread costs little beside it.
constexpr std::size_t cells_per_range = std::size_t{1} << 18;
constexpr std::size_t cells_of_samplers = std::size_t{1} << 20;

std::size_t range_of(std::size_t cells, std::size_t samples) {
    return 1 + cells_per_range / (2 * cells + samples + 8);
}

// The samplers of one block, and what its statistic needs; groups without samples are left out.
struct SimulatedBlock {
    std::vector<Multinomial> groups;
    std::vector<Cell> sizes;
};

struct SimulatedPoint {
    std::vector<SimulatedBlock> blocks;
    double weight = 1.0;  // of a block's value in the mean
};

SimulatedPoint prepare(std::span<const double> probabilities, std::span<const std::int64_t> sizes,
                       std::size_t blocks, std::size_t groups, std::size_t options, Simulated statistic) {
    SimulatedPoint result;
    std::size_t parts = 0;
    for (std::size_t b = 0; b < blocks; ++b) {
        SimulatedBlock block;
        for (std::size_t g = 0; g < groups; ++g) {
            const auto size = static_cast<Cell>(sizes[b * groups + g]);
            if (size == 0) continue;
            block.groups.emplace_back(probabilities.subspan((b * groups + g) * options, options), size);
            block.sizes.push_back(size);
        }
        const std::size_t needed = statistic == Simulated::js ? groups : 1;
        if (block.groups.empty() || block.groups.size() < needed) continue;
        parts += statistic == Simulated::entropy ? block.groups.size() : 1;
        result.blocks.push_back(std::move(block));
    }
    if (statistic != Simulated::g && parts > 0) result.weight = 1.0 / static_cast<double>(parts);
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
    // As many points at once as there is room for their samplers.
    const std::size_t together = std::max<std::size_t>(cells_of_samplers / (cells + 1), 1);
    for (std::size_t first = 0; first < points; first += together) {
        std::vector<SimulatedPoint> prepared;
        for (std::size_t point = first; point < std::min(first + together, points); ++point) {
            prepared.push_back(prepare(probabilities.subspan(point * cells, cells), sizes, blocks, groups,
                                       options, statistic));
        }
        // All points of a replicate are made of the same bytes, block by block.
        const auto work = [&](std::size_t begin, std::size_t end) {
            MultinomialReplicates replicates(randomness.seed, randomness.key, begin);
            std::vector<std::vector<ByteSamples>> bytes(groups);
            std::vector<Cell> table(groups * options);
            std::vector<double> sums(prepared.size());
            for (std::size_t draw = begin; draw < end; ++draw) {
                MultinomialStreams streams = replicates.next();
                std::vector<Stream> uneven(prepared.size(), streams.uneven);
                std::fill(sums.begin(), sums.end(), 0.0);
                for (std::size_t b = 0; b < prepared.front().blocks.size(); ++b) {
                    const std::vector<Cell>& drawn = prepared.front().blocks[b].sizes;
                    const auto used = std::span(table).first(drawn.size() * options);
                    for (std::size_t g = 0; g < drawn.size(); ++g)
                        Multinomial::draw_bytes(streams.even, drawn[g], options, bytes[g]);
                    for (std::size_t point = 0; point < prepared.size(); ++point) {
                        const SimulatedBlock& block = prepared[point].blocks[b];
                        for (std::size_t g = 0; g < drawn.size(); ++g)
                            block.groups[g].sample(bytes[g], uneven[point],
                                                   used.subspan(g * options, options));
                        sums[point] += evaluate(block, used, statistic, n_log_n);
                    }
                }
                for (std::size_t point = 0; point < prepared.size(); ++point)
                    values[(first + point) * draws + draw] = sums[point] * prepared[point].weight;
            }
        };
        const std::size_t range = range_of(prepared.size() * cells, prepared.size() * all);
        parallel_for(draws, range, thread_count(randomness.threads), stop, work);
    }
}

void simulate_counts(std::span<const double> probabilities, std::span<const std::int64_t> sizes,
                     std::size_t options, std::size_t draws, const Randomness& randomness, StopFlag stop,
                     std::span<std::int64_t> values) {
    const RowSamplers samplers(probabilities, sizes, options);
    const auto all = static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}));
    parallel_for(draws, range_of(sizes.size() * options, all), thread_count(randomness.threads), stop,
                 [&](std::size_t begin, std::size_t end) {
                     MultinomialReplicates replicates(randomness.seed, randomness.key, begin);
                     std::vector<Cell> counts(options);
                     std::vector<ByteSamples> bytes;
                     for (std::size_t draw = begin; draw < end; ++draw) {
                         MultinomialStreams streams = replicates.next();
                         for (std::size_t row = 0; row < sizes.size(); ++row) {
                             samplers.draw(row, streams, bytes, counts);
                             std::copy(counts.begin(), counts.end(),
                                       values.begin() + static_cast<std::ptrdiff_t>(
                                                            (draw * sizes.size() + row) * options));
                         }
                     }
                 });
}

}  // namespace crystal
