#include "crystal/resampling.hpp"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "crystal/table_draws.hpp"

namespace crystal {
namespace {

// Enough work between two looks at the stop flag and at the shared counter, little enough to share out.
constexpr std::size_t cells_per_range = std::size_t{1} << 15;

constexpr std::int64_t smallest_chunk = 64;
constexpr std::int64_t largest_chunk = 8192;

// Whole sixteens, as replicates are drawn.
std::size_t range_of(std::size_t work_per_draw) {
    return (1 + cells_per_range / (work_per_draw + 16) / replicate_lanes) * replicate_lanes;
}

// Draws and scores replicates of the blocks that a permutation changes.
class Permuter {
  public:
    Permuter(std::vector<Block> blocks, const Score& score)
        : blocks_(std::move(blocks)), score_(score), draws_(blocks_) {}

    std::size_t work() const { return draws_.work(); }

    std::int64_t observed() const {
        ScoreScratch scratch;
        std::vector<std::uint64_t> sums(score_.accumulators, 0);
        for (std::size_t b = 0; b < blocks_.size(); ++b) {
            if (!blocks_[b].constant()) score_.add(b, blocks_[b].table, sums, scratch);
        }
        std::int64_t result = 0;
        finish(sums, std::span(&result, 1));
        return result;
    }

    // Replicates from `first` on, one for each place in `scores`.
    void draw(const Randomness& randomness, std::uint64_t first, std::span<std::int64_t> scores) const {
        ScoreScratch scratch;
        TableDraws::Scratch drawing;
        const std::size_t size = score_.accumulators;
        std::vector<std::uint64_t> sums(replicate_lanes * size);
        const auto keys = derive_keys(randomness.seed, randomness.key);
        for (std::size_t done = 0; done < scores.size(); done += replicate_lanes) {
            std::fill(sums.begin(), sums.end(), std::uint64_t{0});
            const std::size_t count = std::min(replicate_lanes, scores.size() - done);
            draws_.draw(
                keys, first + done, count, drawing,
                [&](std::size_t block, std::span<const std::uint32_t> places, std::span<const Lanes> cells) {
                    score_.add_lanes(block, places, cells, sums, scratch);
                },
                [&](std::size_t block, std::size_t lane, std::span<const Cell> table) {
                    score_.add(block, table, std::span(sums).subspan(lane * size, size), scratch);
                });
            finish(std::span(sums).first(count * size), scores.subspan(done, count));
        }
    }

  private:
    // Sums of as many replicates as there are places in `scores`.
    void finish(std::span<const std::uint64_t> sums, std::span<std::int64_t> scores) const {
        if (draws_.empty()) {
            std::fill(scores.begin(), scores.end(), std::int64_t{0});
        } else {
            score_.totals(sums, scores);
        }
    }

    std::vector<Block> blocks_;
    const Score& score_;
    TableDraws draws_;
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
            permuter.draw(randomness, static_cast<std::uint64_t>(result.draws) + begin,
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
    std::vector<Block> blocks;
    std::vector<std::vector<std::size_t>> places;  // of a block's cells among its counts
    for (std::size_t b = 0; b < tables.blocks; ++b) {
        const Block& block = blocks.emplace_back(read_block(tables.block(b), tables.groups, tables.options));
        std::vector<std::size_t> place;
        for (std::size_t g = 0; g < block.groups; ++g) {
            for (const std::uint32_t k : block.kept) place.push_back(g * tables.options + k);
        }
        places.push_back(std::move(place));
    }
    const TableDraws permuted(blocks);
    const auto block_of = [&](std::size_t draw, std::size_t block) {
        return values.data() + (draw * tables.blocks + block) * tables.groups * tables.options;
    };
    const auto work = [&](std::size_t begin, std::size_t end) {
        TableDraws::Scratch scratch;
        const auto keys = derive_keys(randomness.seed, randomness.key);
        for (std::size_t first = begin; first < end; first += replicate_lanes) {
            const std::size_t count = std::min(replicate_lanes, end - first);
            // What no permutation changes stays as it is, empty options too.
            for (std::size_t draw = first; draw < first + count; ++draw)
                std::copy(tables.counts.begin(), tables.counts.end(), block_of(draw, 0));
            permuted.draw(
                keys, first, count, scratch,
                [&](std::size_t b, std::span<const std::uint32_t> drawn, std::span<const Lanes> cells) {
                    for (std::size_t lane = 0; lane < count; ++lane) {
                        std::int64_t* out = block_of(first + lane, b);
                        for (std::size_t i = 0; i < cells.size(); ++i)
                            out[places[b][drawn[i]]] = cells[i].at[lane];
                    }
                },
                [&](std::size_t b, std::size_t lane, std::span<const Cell> table) {
                    std::int64_t* out = block_of(first + lane, b);
                    for (std::size_t i = 0; i < table.size(); ++i) out[places[b][i]] = table[i];
                });
        }
    };
    parallel_for(draws, range_of(tables.counts.size() + permuted.work()), thread_count(randomness.threads),
                 stop, work);
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
