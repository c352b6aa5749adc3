#include <algorithm>
#include <numeric>

#include "crystal/plain_statistics.hpp"
#include "crystal/retention.hpp"
#include "crystal/table_scores.hpp"

namespace crystal {
namespace {

std::size_t groups_with_samples(const std::vector<Cell>& totals) {
    return static_cast<std::size_t>(
        std::count_if(totals.begin(), totals.end(), [](Cell n) { return n > 0; }));
}

double best_cut(const std::vector<Block>& blocks, const NLogN& n_log_n, std::int64_t& position) {
    double best = 0.0;
    position = 1;
    for (std::size_t cut = 1; cut < blocks.front().groups; ++cut) {
        double sum = 0.0;
        for (const Block& block : blocks) {
            std::vector<Cell> pooled(2 * block.options, 0);
            std::vector<Cell> totals(2, 0);
            for (std::size_t g = 0; g < block.groups; ++g) {
                const std::size_t side = g < cut ? 0 : 1;
                totals[side] += block.group_totals[g];
                for (std::size_t k = 0; k < block.options; ++k) {
                    pooled[side * block.options + k] += block.table[g * block.options + k];
                }
            }
            sum += g_nats(pooled, totals, n_log_n);
        }
        if (sum > best * (1.0 + 1e-12)) {
            best = sum;
            position = static_cast<std::int64_t>(cut);
        }
    }
    return best;
}

}  // namespace

std::size_t Block::samples() const {
    return std::accumulate(group_totals.begin(), group_totals.end(), std::size_t{0});
}

std::size_t Block::largest_cell() const {
    if (table.empty()) return 0;
    return std::min(*std::max_element(group_totals.begin(), group_totals.end()),
                    *std::max_element(option_totals.begin(), option_totals.end()));
}

Block read_block(std::span<const std::int64_t> counts, std::size_t groups, std::size_t options) {
    Block block;
    block.groups = groups;
    block.group_totals.assign(groups, 0);
    for (std::size_t k = 0; k < options; ++k) {
        Cell column = 0;
        for (std::size_t g = 0; g < groups; ++g) {
            const auto cell = static_cast<Cell>(counts[g * options + k]);
            column += cell;
            block.group_totals[g] += cell;
        }
        if (column == 0) continue;
        block.kept.push_back(static_cast<std::uint32_t>(k));
        block.option_totals.push_back(column);
    }
    block.options = block.kept.size();
    for (std::size_t g = 0; g < groups; ++g) {
        for (const std::uint32_t k : block.kept)
            block.table.push_back(static_cast<Cell>(counts[g * options + k]));
    }
    return block;
}

bool Block::constant() const { return options < 2 || groups_with_samples(group_totals) < 2; }

std::vector<Block> seen_blocks(const Tables& tables, Statistic statistic) {
    const bool every_group = statistic == Statistic::js || statistic == Statistic::retention;
    std::vector<Block> blocks;
    for (std::size_t b = 0; b < tables.blocks; ++b) {
        Block block = read_block(tables.block(b), tables.groups, tables.options);
        const std::size_t needed = every_group ? block.groups : 1;
        if (block.groups > 0 && groups_with_samples(block.group_totals) >= needed)
            blocks.push_back(std::move(block));
    }
    return blocks;
}

double observed_statistic(const std::vector<Block>& blocks, Statistic statistic, double mass,
                          std::int64_t& position) {
    position = -1;
    if (blocks.empty() || blocks.front().groups < 2) return 0.0;
    // A logarithm is tabulated where it may be looked up more than once.
    std::size_t largest = 0, cells = 0;
    for (const Block& block : blocks) {
        largest = std::max(largest, block.samples());
        cells += block.table.size();
    }
    const NLogN n_log_n(std::min(largest, cells));
    if (statistic == Statistic::max_cut_g) return best_cut(blocks, n_log_n, position);
    double sum = 0.0;
    std::vector<std::uint64_t> scratch;
    for (const Block& block : blocks) {
        if (statistic == Statistic::g) {
            sum += g_nats(block.table, block.group_totals, n_log_n);
        } else if (statistic == Statistic::js) {
            sum += js_bits(block.table, block.group_totals, n_log_n);
        } else {
            const std::span<const Cell> table(block.table);
            const std::int64_t score =
                retention_score(table.first(block.options), table.subspan(block.options),
                                retention_need(block.group_totals[0], mass), scratch);
            sum -= static_cast<double>(score) / block.group_totals[0] / block.group_totals[1];
        }
    }
    return statistic == Statistic::g ? sum : sum / static_cast<double>(blocks.size());
}

}  // namespace crystal
