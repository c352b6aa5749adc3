#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>

#include "crystal/lane_tables.hpp"
#include "crystal/table_scores.hpp"

namespace crystal {
namespace {

constexpr std::size_t largest_mixture_table = std::size_t{1} << 14;

// js with groups of different sizes: cells and the mixture on a finer grid, their sum rounded to the common
// one.
class MixtureScore final : public Score {
  public:
    explicit MixtureScore(const std::vector<Block>& blocks) {
        const double block_weight = 1.0 / static_cast<double>(blocks.size());
        for (const Block& block : blocks) blocks_.push_back(prepare(block, block_weight));
        unit = std::ldexp(1.0, -grid_bits);
    }
    void add(std::size_t index, std::span<const Cell> table, Sums sums,
             ScoreScratch& scratch) const override {
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
        sums[0] += sum;
    }
    void add_lanes(std::size_t index, std::span<const std::uint32_t> places, std::span<const Lanes> cells,
                   Sums sums, ScoreScratch& scratch) const override {
        const Prepared& block = blocks_[index];
        if (block.pairs.empty()) return Score::add_lanes(index, places, cells, sums, scratch);
        // Two groups: every second cell is the first group's, in the order of the drawn options.
        for (std::size_t i = 0; i < cells.size(); i += 2) {
            const std::uint64_t* values = block.pairs.data() + block.pair_begins[places[i]];
            for (std::size_t lane = 0; lane < replicate_lanes; ++lane)
                sums[lane] += values[cells[i].at[lane]];
        }
    }
    void totals(std::span<const std::uint64_t> sums, std::span<std::int64_t> scores) const override {
        for (std::size_t i = 0; i < scores.size(); ++i)
            scores[i] =
                (static_cast<std::int64_t>(sums[i]) + (std::int64_t{1} << (extra_bits - 1))) >> extra_bits;
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
        // Of two groups with few samples: what an option adds, by its samples in the first group.
        std::vector<std::uint64_t> pairs;
        std::vector<std::size_t> pair_begins;

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
        if (block.groups == 2 && LaneTables::suits(block.group_totals, block.option_totals))
            add_pairs(result, block);
        return result;
    }

    static void add_pairs(Prepared& result, const Block& block) {
        for (const Cell total : block.option_totals) {
            result.pair_begins.push_back(result.pairs.size());
            for (Cell first = 0; first <= total; ++first) {
                const Cell second = total - first;
                const bool drawn = first <= block.group_totals[0] && second <= block.group_totals[1];
                result.pairs.push_back(
                    drawn ? (*result.cells[0])[first] + (*result.cells[1])[second] -
                                result.mixture_term(first * result.weights[0] + second * result.weights[1])
                          : 0);
            }
        }
    }

    std::vector<Prepared> blocks_;
    std::map<std::pair<Cell, double>, std::shared_ptr<const Values>> cell_values_;
    std::map<double, std::shared_ptr<const Values>> mixture_values_;
};

}  // namespace

std::unique_ptr<Score> make_mixture_score(const std::vector<Block>& blocks) {
    return std::make_unique<MixtureScore>(blocks);
}

}  // namespace crystal
