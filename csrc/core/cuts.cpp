#include "crystal/cuts.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include "crystal/plain_statistics.hpp"
#include "crystal/row_samplers.hpp"

namespace crystal {
namespace {

// A range takes some tenths of a millisecond, so that starting a thread costs little beside it.
constexpr std::size_t cells_per_range = std::size_t{1} << 18;

std::size_t range_of(std::size_t work) { return 1 + cells_per_range / (work + 8); }

// The most samples of a block, up to which n ln n is looked up.
std::size_t most_in_a_block(std::span<const std::int64_t> counts, std::size_t block) {
    std::int64_t most = 0;
    for (std::size_t at = 0; at + block <= counts.size() && block > 0; at += block) {
        const auto part = counts.subspan(at, block);
        most = std::max(most, std::accumulate(part.begin(), part.end(), std::int64_t{0}));
    }
    return static_cast<std::size_t>(most);
}

// All cuts of a block in one pass: what lies before a cut is a running sum, what lies after it the rest.
class CutSums {
  public:
    CutSums(const LadderShape& shape, const NLogN& n_log_n)
        : shape_(shape), n_log_n_(n_log_n), whole_(shape.options), before_(shape.options) {}

    // row(t) points to the block's counts at the checkpoint in place t; `g` [cuts] grows by the block's.
    template <class Row>
    void add(Row&& row, std::span<double> g) {
        std::fill(whole_.begin(), whole_.end(), std::uint64_t{0});
        for (std::size_t t = 0; t < shape_.checkpoints; ++t) {
            const auto* counts = row(t);
            for (std::size_t k = 0; k < shape_.options; ++k)
                whole_[k] += static_cast<std::uint64_t>(counts[k]);
        }
        const std::uint64_t total = std::accumulate(whole_.begin(), whole_.end(), std::uint64_t{0});
        if (const double* values = n_log_n_.up_to(total)) {
            add(row, total, g, [values](std::uint64_t n) { return values[n]; });
        } else {
            add(row, total, g, n_log_n_);
        }
    }

  private:
    template <class Row, class Value>
    void add(Row&& row, std::uint64_t total, std::span<double> g, const Value& n_log_n) {
        double fixed = n_log_n(total);
        for (const std::uint64_t n : whole_) fixed -= n_log_n(n);
        const std::size_t options = shape_.options;
        const std::uint64_t* whole = whole_.data();
        std::uint64_t* before = before_.data();
        std::fill(before, before + options, std::uint64_t{0});
        std::uint64_t size = 0;
        for (std::size_t t = 0; t < g.size(); ++t) {
            const auto* counts = row(t);
            double early = 0.0, late = 0.0;
            for (std::size_t k = 0; k < options; ++k) {
                const auto n = static_cast<std::uint64_t>(counts[k]);
                const std::uint64_t sum = before[k] + n;
                before[k] = sum;
                size += n;
                early += n_log_n(sum);
                late += n_log_n(whole[k] - sum);
            }
            g[t] += std::max(2.0 * (early + late + fixed - n_log_n(size) - n_log_n(total - size)), 0.0);
        }
    }

    LadderShape shape_;
    const NLogN& n_log_n_;
    std::vector<std::uint64_t> whole_, before_;
};

}  // namespace

void cut_g(std::span<const std::int64_t> counts, std::size_t ladders, const LadderShape& shape,
           std::size_t threads, StopFlag stop, std::span<double> values) {
    const std::size_t block = shape.checkpoints * shape.options;
    const NLogN n_log_n(most_in_a_block(counts, block));
    std::fill(values.begin(), values.end(), 0.0);
    parallel_for(ladders, range_of(shape.cells()), thread_count(threads), stop,
                 [&](std::size_t begin, std::size_t end) {
                     CutSums sums(shape, n_log_n);
                     for (std::size_t ladder = begin; ladder < end; ++ladder) {
                         const auto g = values.subspan(ladder * shape.cuts(), shape.cuts());
                         for (std::size_t b = 0; b < shape.blocks; ++b) {
                             const auto* first = counts.data() + (ladder * shape.blocks + b) * block;
                             sums.add([&](std::size_t t) { return first + t * shape.options; }, g);
                         }
                     }
                 });
}

void ordered_cut_g(std::span<const std::int64_t> counts, const LadderShape& shape,
                   std::span<const std::int64_t> orders, std::size_t threads, StopFlag stop,
                   std::span<double> values) {
    const std::size_t block = shape.checkpoints * shape.options;
    const std::size_t draws = shape.checkpoints > 0 ? orders.size() / shape.checkpoints : 0;
    const NLogN n_log_n(most_in_a_block(counts, block));
    std::fill(values.begin(), values.end(), 0.0);
    parallel_for(draws, range_of(shape.cells()), thread_count(threads), stop,
                 [&](std::size_t begin, std::size_t end) {
                     CutSums sums(shape, n_log_n);
                     for (std::size_t draw = begin; draw < end; ++draw) {
                         const auto g = values.subspan(draw * shape.cuts(), shape.cuts());
                         const auto order = orders.subspan(draw * shape.checkpoints, shape.checkpoints);
                         const auto* first = counts.data();
                         for (std::size_t b = 0; b < shape.blocks; ++b, first += block) {
                             sums.add(
                                 [&](std::size_t t) {
                                     return first + static_cast<std::size_t>(order[t]) * shape.options;
                                 },
                                 g);
                         }
                     }
                 });
}

void simulate_cut_g(std::span<const double> probabilities, std::span<const std::int64_t> sizes,
                    const LadderShape& shape, std::size_t draws, const Randomness& randomness, StopFlag stop,
                    std::span<double> values) {
    const RowSamplers samplers(probabilities, sizes, shape.options);
    const NLogN n_log_n(most_in_a_block(sizes, shape.checkpoints));
    const auto all = static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.end(), std::int64_t{0}));
    std::fill(values.begin(), values.end(), 0.0);
    parallel_for(draws, range_of(shape.cells() + all), thread_count(randomness.threads), stop,
                 [&](std::size_t begin, std::size_t end) {
                     MultinomialReplicates replicates(randomness.seed, randomness.key, begin);
                     CutSums sums(shape, n_log_n);
                     std::vector<Cell> table(shape.checkpoints * shape.options);
                     std::vector<ByteSamples> bytes;
                     const auto row = [&](std::size_t t) { return table.data() + t * shape.options; };
                     for (std::size_t draw = begin; draw < end; ++draw) {
                         MultinomialStreams streams = replicates.next();
                         const auto g = values.subspan(draw * shape.cuts(), shape.cuts());
                         for (std::size_t b = 0; b < shape.blocks; ++b) {
                             for (std::size_t t = 0; t < shape.checkpoints; ++t)
                                 samplers.draw(b * shape.checkpoints + t, streams, bytes,
                                               {row(t), shape.options});
                             sums.add(row, g);
                         }
                     }
                 });
}

}  // namespace crystal
