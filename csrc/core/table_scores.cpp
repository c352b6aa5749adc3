#include "crystal/table_scores.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "crystal/clones.hpp"
#include "crystal/lane_sums.hpp"
#include "crystal/retention.hpp"

namespace crystal {
namespace {

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

std::size_t most_samples(const std::vector<Block>& blocks) {
    std::size_t most = 0;
    for (const Block& block : blocks) most = std::max(most, block.samples());
    return most;
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
        unit = std::ldexp(nats_to_statistic, -bits);
        std::size_t largest = 0;
        for (const Block& block : blocks)
            largest = std::max(largest, largest_.emplace_back(block.largest_cell()));
        values_ = whole_n_log_n(largest, bits);
    }
    void add(std::size_t, std::span<const Cell> table, Sums sums, ScoreScratch&) const override {
        sums[0] += look_up(table, values_.data());
    }
    void add_lanes(std::size_t block, std::span<const std::uint32_t>, std::span<const Lanes> cells, Sums sums,
                   ScoreScratch&) const override {
        add_values(cells, values_.data(), largest_[block], sums.first<replicate_lanes>());
    }

  private:
    std::vector<std::uint64_t> values_;
    std::vector<std::size_t> largest_;  // that a cell of a block can be
};

// max over cuts t of the G of groups before t, pooled, against groups from t on, pooled; every cut of every
// block has its own constant, since cuts are compared with one another.
class CutScore final : public Score {
  public:
    explicit CutScore(const std::vector<Block>& blocks) {
        const int bits = bits_that_fit(blocks);
        values_ = whole_n_log_n(most_samples(blocks), bits);
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
    void add(std::size_t index, std::span<const Cell> table, Sums sums,
             ScoreScratch& scratch) const override {
        const std::vector<Cell>& totals = option_totals_[index];
        const std::size_t options = totals.size();
        scratch.pooled.assign(options, 0);
        for (std::size_t cut = 0; cut < accumulators; ++cut) {
            std::uint64_t sum = 0;
            for (std::size_t k = 0; k < options; ++k) {
                const Cell pooled = scratch.pooled[k] += table[cut * options + k];
                sum += values_[pooled] + values_[totals[k] - pooled];
            }
            sums[cut] += sum;
        }
    }
    void totals(std::span<const std::uint64_t> sums, std::span<std::int64_t> scores) const override {
        for (std::size_t i = 0; i < scores.size(); ++i) {
            scores[i] = 0;  // no cut has a negative G
            for (std::size_t cut = 0; cut < accumulators; ++cut) {
                const std::uint64_t g = sums[i * accumulators + cut] + constants_[cut];
                scores[i] = std::max(scores[i], static_cast<std::int64_t>(g));
            }
        }
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
    void add(std::size_t index, std::span<const Cell> table, Sums sums,
             ScoreScratch& scratch) const override {
        const std::size_t options = table.size() / 2;
        const std::int64_t score =
            retention_score(table.first(options), table.subspan(options), needs_[index], scratch.sorted);
        sums[0] -= weights_[index] * static_cast<std::uint64_t>(score);
    }

  private:
    std::vector<std::uint64_t> weights_;
    std::vector<std::int64_t> needs_;
};

}  // namespace

void Score::add_lanes(std::size_t block, std::span<const std::uint32_t> places, std::span<const Lanes> cells,
                      Sums sums, ScoreScratch& scratch) const {
    scratch.table.resize(std::max(scratch.table.size(), places.size()));
    const auto table = std::span(scratch.table).first(places.size());
    for (std::size_t lane = 0; lane < replicate_lanes; ++lane) {
        for (std::size_t i = 0; i < places.size(); ++i) table[places[i]] = cells[i].at[lane];
        add(block, table, sums.subspan(lane * accumulators, accumulators), scratch);
    }
}

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
    if (!equal) return make_mixture_score(blocks);
    const double samples = static_cast<double>(size) * static_cast<double>(blocks.front().groups);
    return std::make_unique<CellScore>(
        blocks, 1.0 / (samples * std::numbers::ln2 * static_cast<double>(blocks.size())));
}

}  // namespace crystal
