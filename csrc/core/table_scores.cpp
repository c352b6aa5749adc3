#include "crystal/table_scores.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <numeric>

#include "crystal/clones.hpp"
#include "crystal/retention.hpp"

namespace crystal {
namespace {

constexpr int grid_bits = 40;
constexpr std::size_t largest_mixture_table = std::size_t{1} << 14;

// n ln n in multiples of 2^-bits. The logarithms of primes are rounded and all others are their sums, so
// products that are equal stay equal: two tables with the same G have the same whole number, not nearly the
// same one.
std::vector<std::uint64_t> whole_n_log_n(std::size_t largest, int bits) {
    std::vector<std::uint64_t> logs(std::max<std::size_t>(largest + 1, 2), 0);
    std::vector<std::size_t> primes;
    for (std::size_t n = 2; n <= largest; ++n) {
        if (logs[n] == 0) {
            logs[n] =
                static_cast<std::uint64_t>(std::llround(std::ldexp(std::log(static_cast<double>(n)), bits)));
            primes.push_back(n);
        }
        for (const std::size_t prime : primes) {
            if (prime * n > largest) break;
            logs[prime * n] = logs[prime] + logs[n];
            if (n % prime == 0) break;
        }
    }
    for (std::size_t n = 0; n < logs.size(); ++n) logs[n] *= n;
    return logs;
}

// The finest grid, at most 2^-40, on which a difference of two sums of n ln n fits 63 bits: it is at most
// N ln(groups).
int bits_that_fit(const std::vector<Block>& blocks) {
    double most = 1.0;
    for (const Block& block : blocks) {
        const double total = std::accumulate(block.group_totals.begin(), block.group_totals.end(), 0.0);
        most += total * std::log(static_cast<double>(std::max<std::size_t>(block.groups, 2)));
    }
    return std::min(grid_bits, 62 - static_cast<int>(std::ceil(std::log2(most))));
}

std::size_t largest_total(const std::vector<Block>& blocks, bool whole_blocks) {
    std::size_t largest = 0;
    for (const Block& block : blocks) {
        if (whole_blocks) {
            largest = std::max<std::size_t>(
                largest, std::accumulate(block.group_totals.begin(), block.group_totals.end(), Cell{0}));
        } else {
            for (const Cell total : block.option_totals) largest = std::max<std::size_t>(largest, total);
        }
    }
    return largest;
}

CRYSTAL_CLONES std::uint64_t look_up(std::span<const Cell> table, const std::uint64_t* values) {
    std::uint64_t sum = 0;
    for (const Cell cell : table) sum += values[cell];
    return sum;
}

// G = 2 (sum n ln n over cells, less what the margins fix). Also js where all groups are equally large: the
// mixture's part is fixed too.
class CellScore final : public Score {
  public:
    CellScore(const std::vector<Block>& blocks, double nats_to_statistic) {
        const int bits = bits_that_fit(blocks);
        values_ = whole_n_log_n(largest_total(blocks, false), bits);
        unit = std::ldexp(nats_to_statistic, -bits);
    }
    void add(std::size_t, std::span<const Cell> table, ScoreScratch& scratch) const override {
        scratch.sums[0] += look_up(table, values_.data());
    }
    bool additive() const override { return true; }
    std::uint64_t option_value(std::size_t, Cell first, Cell second) const override {
        return values_[first] + values_[second];
    }

  private:
    std::vector<std::uint64_t> values_;
};

// js with groups of different sizes: cells and the mixture on a finer grid, their sum rounded to the common
// one.
class MixtureScore final : public Score {
  public:
    explicit MixtureScore(const std::vector<Block>& blocks) {
        const double block_weight = 1.0 / static_cast<double>(blocks.size());
        for (const Block& block : blocks) blocks_.push_back(prepare(block, block_weight));
        unit = std::ldexp(1.0, -grid_bits);
    }
    void add(std::size_t index, std::span<const Cell> table, ScoreScratch& scratch) const override {
        const Prepared& block = blocks_[index];
        std::uint64_t sum = 0;
        scratch.sorted.assign(block.options, 0);
        for (std::size_t g = 0; g < block.cells.size(); ++g) {
            const std::uint64_t* values = block.cells[g]->data();
            for (std::size_t k = 0; k < block.options; ++k) {
                const Cell count = table[g * block.options + k];
                sum += values[count];
                scratch.sorted[k] += count * block.weights[g];
            }
        }
        for (const std::uint64_t pooled : scratch.sorted) sum -= block.mixture_term(pooled);
        scratch.sums[0] += sum;
    }
    bool additive() const override { return true; }
    std::uint64_t option_value(std::size_t index, Cell first, Cell second) const override {
        const Prepared& block = blocks_[index];
        return (*block.cells[0])[first] + (*block.cells[1])[second] -
               block.mixture_term(first * block.weights[0] + second * block.weights[1]);
    }
    std::int64_t total(std::span<const std::uint64_t> sums) const override {
        return (static_cast<std::int64_t>(sums[0]) + (std::int64_t{1} << (extra_bits - 1))) >> extra_bits;
    }

  private:
    static constexpr int extra_bits = 16;
    using Values = std::vector<std::uint64_t>;

    struct Prepared {
        std::size_t options = 0;
        std::vector<std::uint64_t> weights;                // of one sample of a group in the mixture
        std::vector<std::shared_ptr<const Values>> cells;  // by group and count
        std::shared_ptr<const Values> mixture;             // by weighted count, where these are few
        double denominator = 1.0, scale = 1.0;

        std::uint64_t mixture_term(std::uint64_t pooled) const {
            return mixture ? (*mixture)[pooled]
                           : share_term(static_cast<double>(pooled) / denominator, scale);
        }
    };

    static std::uint64_t share_term(double share, double scale) {
        const double bits = share > 0.0 ? share * std::log2(share) * scale : 0.0;
        return static_cast<std::uint64_t>(std::llround(std::ldexp(bits, grid_bits + extra_bits)));
    }

    static std::shared_ptr<const Values> share_terms(std::size_t entries, double denominator, double scale) {
        auto values = std::make_shared<Values>(entries);
        for (std::size_t n = 0; n < entries; ++n) {
            (*values)[n] = share_term(static_cast<double>(n) / denominator, scale);
        }
        return values;
    }

    Prepared prepare(const Block& block, double block_weight) {
        Prepared result;
        result.options = block.options;
        result.scale = block_weight;
        const Cell largest = *std::max_element(block.option_totals.begin(), block.option_totals.end());
        // A common multiple keeps mixtures exact; past 2^30 the weights are rounded, which changes no ties
        // that anybody could see.
        std::uint64_t common = 1;
        for (const Cell total : block.group_totals) {
            common = std::lcm(common, std::uint64_t{total});
            if (common > (std::uint64_t{1} << 30)) {
                common = std::uint64_t{1} << 30;
                break;
            }
        }
        result.denominator = 0.0;
        for (const Cell total : block.group_totals) {
            result.weights.push_back((common + total / 2) / total);
            const auto key = std::pair{total, block_weight / static_cast<double>(block.groups)};
            auto& values = cell_values_[key];
            const std::size_t entries = std::min<std::size_t>(total, largest) + 1;
            if (!values || values->size() < entries) values = share_terms(entries, total, key.second);
            result.cells.push_back(values);
            result.denominator += static_cast<double>(common);
        }
        if (result.denominator <= static_cast<double>(largest_mixture_table)) {
            auto& values = mixture_values_[result.denominator];
            if (!values) {
                values = share_terms(static_cast<std::size_t>(result.denominator) + 1, result.denominator,
                                     block_weight);
            }
            result.mixture = values;
        }
        return result;
    }

    std::vector<Prepared> blocks_;
    std::map<std::pair<Cell, double>, std::shared_ptr<const Values>> cell_values_;
    std::map<double, std::shared_ptr<const Values>> mixture_values_;
};

// max over cuts t of the G of groups before t, pooled, against groups from t on, pooled; every cut of every
// block has its own constant, since cuts are compared with one another.
class CutScore final : public Score {
  public:
    explicit CutScore(const std::vector<Block>& blocks) {
        const int bits = bits_that_fit(blocks);
        values_ = whole_n_log_n(largest_total(blocks, true), bits);
        unit = std::ldexp(2.0, -bits);
        accumulators = blocks.front().groups - 1;
        constants_.assign(accumulators, 0);
        for (const Block& block : blocks) {
            option_totals_.push_back(block.option_totals);
            if (block.constant()) continue;  // never drawn, and 0 at every cut
            const Cell total = std::accumulate(block.group_totals.begin(), block.group_totals.end(), Cell{0});
            const std::uint64_t options = look_up(block.option_totals, values_.data());
            Cell before = 0;
            for (std::size_t cut = 0; cut < accumulators; ++cut) {
                before += block.group_totals[cut];
                constants_[cut] += values_[total] - values_[before] - values_[total - before] - options;
            }
        }
    }
    void add(std::size_t index, std::span<const Cell> table, ScoreScratch& scratch) const override {
        const std::vector<Cell>& totals = option_totals_[index];
        const std::size_t options = totals.size();
        scratch.pooled.assign(options, 0);
        for (std::size_t cut = 0; cut < accumulators; ++cut) {
            std::uint64_t sum = 0;
            for (std::size_t k = 0; k < options; ++k) {
                const Cell pooled = scratch.pooled[k] += table[cut * options + k];
                sum += values_[pooled] + values_[totals[k] - pooled];
            }
            scratch.sums[cut] += sum;
        }
    }
    std::int64_t total(std::span<const std::uint64_t> replicate) const override {
        std::int64_t best = 0;  // no cut has a negative G
        for (std::size_t cut = 0; cut < accumulators; ++cut) {
            best = std::max(best, static_cast<std::int64_t>(replicate[cut] + constants_[cut]));
        }
        return best;
    }

  private:
    std::vector<std::uint64_t> values_, constants_;
    std::vector<std::vector<Cell>> option_totals_;
};

// - dR, averaged over blocks: whole numbers over a common multiple of n_before * n_after.
class RetentionScore final : public Score {
  public:
    RetentionScore(const std::vector<Block>& blocks, double mass) {
        std::uint64_t common = 1;
        const auto limit = (std::uint64_t{1} << 62) / blocks.size();
        for (const Block& block : blocks) {
            const std::uint64_t product = std::uint64_t{block.group_totals[0]} * block.group_totals[1];
            const std::uint64_t step = product / std::gcd(common, product);
            if (common > limit / step) {
                common = limit;  // no common multiple fits: the finest grid that does
                break;
            }
            common *= step;
        }
        for (const Block& block : blocks) {
            const std::uint64_t product = std::uint64_t{block.group_totals[0]} * block.group_totals[1];
            weights_.push_back(common / product);
            needs_.push_back(retention_need(block.group_totals[0], mass));
        }
        unit = 1.0 / static_cast<double>(common) / static_cast<double>(blocks.size());
    }
    void add(std::size_t index, std::span<const Cell> table, ScoreScratch& scratch) const override {
        const std::size_t options = table.size() / 2;
        const std::int64_t score =
            retention_score(table.first(options), table.subspan(options), needs_[index], scratch.sorted);
        scratch.sums[0] -= weights_[index] * static_cast<std::uint64_t>(score);
    }

  private:
    std::vector<std::uint64_t> weights_;
    std::vector<std::int64_t> needs_;
};

}  // namespace

std::unique_ptr<Score> make_score(const std::vector<Block>& blocks, Statistic statistic, double mass) {
    if (statistic == Statistic::g || blocks.empty() || blocks.front().groups < 2) {
        return std::make_unique<CellScore>(blocks, 2.0);
    }
    if (statistic == Statistic::max_cut_g) return std::make_unique<CutScore>(blocks);
    if (statistic == Statistic::retention) return std::make_unique<RetentionScore>(blocks, mass);
    const Cell size = blocks.front().group_totals.front();
    bool equal = true;
    for (const Block& block : blocks) {
        for (const Cell total : block.group_totals) equal = equal && total == size;
    }
    if (!equal) return std::make_unique<MixtureScore>(blocks);
    const double samples = static_cast<double>(size) * static_cast<double>(blocks.front().groups);
    return std::make_unique<CellScore>(
        blocks, 1.0 / (samples * std::numbers::ln2 * static_cast<double>(blocks.size())));
}

}  // namespace crystal
