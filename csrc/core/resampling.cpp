#include "crystal/resampling.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>

#include "crystal/small_pairs.hpp"

namespace crystal {
namespace {

// Enough work between two looks at the stop flag and at the shared counter, little enough to share out.
constexpr std::size_t cells_per_range = std::size_t{1} << 15;

constexpr std::int64_t smallest_chunk = 64;
constexpr std::int64_t largest_chunk = 8192;

std::size_t range_of(std::size_t cells_per_draw) { return 1 + cells_per_range / (cells_per_draw + 16); }

// Draws and scores replicates of the blocks that a permutation changes.
class Permuter {
  public:
    Permuter(std::vector<Block> blocks, const Score& score) : blocks_(std::move(blocks)), score_(score) {
        for (std::size_t b = 0; b < blocks_.size(); ++b) {
            const Block& block = blocks_[b];
            if (block.constant()) continue;
            Changing& changing =
                changing_.emplace_back(Changing{b, {block.group_totals, block.option_totals}, {}});
            cells_ = std::max(cells_, block.table.size());
            work_ += block.table.size();
            if (block.groups != 2 || !score.additive()) continue;
            changing.pair = SmallPair::make(changing.sampler, [&](std::size_t, Cell first, Cell second) {
                return score.option_value(b, first, second);
            });
        }
    }

    std::size_t work() const { return work_; }

    std::int64_t observed() const {
        ScoreScratch scratch;
        scratch.sums.assign(score_.accumulators, 0);
        for (const Changing& changing : changing_)
            score_.add(changing.block, blocks_[changing.block].table, scratch);
        return finish(scratch);
    }

    // Replicates from `first` on, one for each place in `scores`.
    void draw(PhiloxKey key, std::uint64_t first, std::span<std::int64_t> scores) const {
        ScoreScratch scratch;
        scratch.table.resize(cells_);
        scratch.sums.resize(score_.accumulators);
        StreamHeads heads;
        for (std::size_t i = 0; i < scores.size(); ++i) {
            if (i % heads_at_once == 0) heads = stream_heads(key, first + i);
            Stream stream(key, first + i, heads[i % heads_at_once]);
            for (std::uint64_t& sum : scratch.sums) sum = 0;
            for (const Changing& changing : changing_) draw(changing, stream, scratch);
            scores[i] = finish(scratch);
        }
    }

  private:
    struct Changing {
        std::size_t block;
        TableSampler sampler;
        std::optional<SmallPair> pair = std::nullopt;
    };

    void draw(const Changing& changing, Stream& stream, ScoreScratch& scratch) const {
        if (changing.pair) {
            scratch.sums[0] += changing.pair->draw(stream);
            return;
        }
        const TableSampler& sampler = changing.sampler;
        const auto table = std::span(scratch.table).first(sampler.groups() * sampler.options());
        sampler.sample(stream, table, scratch.tables);
        score_.add(changing.block, table, scratch);
    }

    std::int64_t finish(const ScoreScratch& scratch) const {
        return changing_.empty() ? 0 : score_.total(scratch.sums);
    }

    std::vector<Block> blocks_;
    const Score& score_;
    std::vector<Changing> changing_;
    std::size_t cells_ = 0, work_ = 0;
};

}  // namespace

PermutationResult permutation_test(const Tables& tables, Statistic statistic, double mass, std::int64_t draws,
                                   std::int64_t exceedances, const Randomness& randomness, StopFlag stop) {
    std::vector<Block> blocks = seen_blocks(tables, statistic);
    PermutationResult result;
    result.observed = observed_statistic(blocks, statistic, mass, result.position);
    result.null_mean = result.observed;
    const std::unique_ptr<Score> score = make_score(blocks, statistic, mass);
    const Permuter permuter(std::move(blocks), *score);
    const std::int64_t observed = permuter.observed();

    const PhiloxKey key = derive_key(randomness.seed, randomness.key);
    const std::size_t threads = thread_count(randomness.threads);
    const std::size_t range = range_of(permuter.work());
    std::vector<std::int64_t> scores;
    double sum = 0.0, squares = 0.0;
    // One thread draws what is needed at least; more threads draw ahead, as much again as was drawn so far.
    // What lies past the stop is thrown away, so the size of a chunk shows nowhere.
    while (result.draws < draws && result.greater + result.equal < exceedances) {
        const std::int64_t needed = exceedances - result.greater - result.equal;
        const std::int64_t ahead = threads > 1 ? result.draws : smallest_chunk;
        const std::int64_t wanted = std::min(std::max({needed, ahead, smallest_chunk}), largest_chunk);
        const auto chunk = static_cast<std::size_t>(std::min(wanted, draws - result.draws));
        scores.resize(chunk);
        parallel_for(chunk, range, threads, stop, [&](std::size_t begin, std::size_t end) {
            permuter.draw(key, static_cast<std::uint64_t>(result.draws) + begin,
                          std::span(scores).subspan(begin, end - begin));
        });
        std::size_t used = 0;
        for (; used < chunk && result.greater + result.equal < exceedances; ++used) {
            // Sums of n ln n may have wrapped, their difference has not.
            const auto excess = static_cast<std::int64_t>(static_cast<std::uint64_t>(scores[used]) -
                                                          static_cast<std::uint64_t>(observed));
            result.greater += excess > 0 ? 1 : 0;
            result.equal += excess == 0 ? 1 : 0;
            const double scaled = static_cast<double>(excess) * score->unit;
            sum += scaled;
            squares += scaled * scaled;
        }
        result.draws += static_cast<std::int64_t>(used);
    }
    const auto made = static_cast<double>(result.draws);
    result.p = static_cast<double>(result.greater + result.equal + 1) / (made + 1.0);
    result.null_mean = result.observed + sum / made;
    result.null_sd = made > 1.0 ? std::sqrt(std::max(squares - sum * sum / made, 0.0) / (made - 1.0)) : 0.0;
    return result;
}

void permute_counts(const Tables& tables, std::size_t draws, const Randomness& randomness, StopFlag stop,
                    std::span<std::int64_t> values) {
    const std::size_t cells = tables.groups * tables.options;
    std::vector<TableSampler> samplers;
    for (std::size_t b = 0; b < tables.blocks; ++b) {
        const std::span<const std::int64_t> counts = tables.block(b);
        std::vector<Cell> groups(tables.groups, 0), options(tables.options, 0);
        for (std::size_t i = 0; i < cells; ++i) {
            groups[i / tables.options] += static_cast<Cell>(counts[i]);
            options[i % tables.options] += static_cast<Cell>(counts[i]);
        }
        samplers.emplace_back(groups, options);
    }
    const PhiloxKey key = derive_key(randomness.seed, randomness.key);
    parallel_for(draws, range_of(tables.counts.size()), thread_count(randomness.threads), stop,
                 [&](std::size_t begin, std::size_t end) {
                     std::vector<Cell> table(cells);
                     TableScratch scratch;
                     for (std::size_t draw = begin; draw < end; ++draw) {
                         Stream stream(key, draw);
                         for (std::size_t b = 0; b < samplers.size(); ++b) {
                             samplers[b].sample(stream, table, scratch);
                             std::copy(table.begin(), table.end(),
                                       values.begin() +
                                           static_cast<std::ptrdiff_t>((draw * tables.blocks + b) * cells));
                         }
                     }
                 });
}

void split_counts(std::span<const std::int64_t> counts, std::size_t options, std::size_t splits,
                  const Randomness& randomness, StopFlag stop, std::span<std::int64_t> values) {
    const std::size_t rows = options == 0 ? 0 : counts.size() / options;
    std::vector<Cell> cells(counts.size());
    std::transform(counts.begin(), counts.end(), cells.begin(),
                   [](std::int64_t n) { return static_cast<Cell>(n); });
    struct Plans {
        SubsetPlan down, up;  // up: the odd sample goes to this half
    };
    std::vector<Plans> plans;
    for (std::size_t row = 0; row < rows; ++row) {
        const auto part = std::span<const Cell>(cells).subspan(row * options, options);
        const Cell total = std::accumulate(part.begin(), part.end(), Cell{0});
        plans.push_back(
            {plan_subset(total, total / 2, options), plan_subset(total, total - total / 2, options)});
    }
    const PhiloxKey key = derive_key(randomness.seed, randomness.key);
    parallel_for(
        splits, range_of(counts.size()), thread_count(randomness.threads), stop,
        [&](std::size_t begin, std::size_t end) {
            std::vector<Cell> half(options), rest(options);
            std::vector<std::uint64_t> bitmap;
            for (std::size_t split = begin; split < end; ++split) {
                Stream stream(key, split);
                for (std::size_t row = 0; row < rows; ++row) {
                    const bool odd = plans[row].down.total % 2 == 1;
                    const bool up = odd && (stream.next32() & 1U) == 1U;
                    split_row(stream, up ? plans[row].up : plans[row].down,
                              std::span<const Cell>(cells).subspan(row * options, options), half, rest,
                              bitmap);
                    std::copy(half.begin(), half.end(),
                              values.begin() + static_cast<std::ptrdiff_t>((split * rows + row) * options));
                }
            }
        });
}

}  // namespace crystal
