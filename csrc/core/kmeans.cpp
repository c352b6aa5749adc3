#include "crystal/kmeans.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "clustering_paths.hpp"

namespace crystal {
namespace {

using clustering::abreast;
using clustering::Functions;

// Stands for log2 0: dearer than any number, and times 0 it is 0.
constexpr double log_of_nothing = -1100.0;
// A row whose own centroid is cheaper than any other by more than this keeps it, whatever rounding did.
constexpr double sure = 0x1p-30;

// A cost about the own centroid that is rounding: the row equals it.
constexpr double nothing_to_gain = 0x1p-44;

// A cost is bias + sum x g: both geometries have costs that are linear in the row, up to a term of the row's
// own.
struct Costs {
    std::vector<double> slopes, biases;
};

// What the moves of a stretch of rows change.
struct Moves {
    std::vector<double> sums, mass;
    std::vector<std::int64_t> members;
    bool any = false;
};

class Lloyd {
  public:
    Lloyd(std::span<const double> x, std::span<const double> weights, const KmeansShape& shape,
          std::span<std::int32_t> labels, std::size_t threads, StopFlag stop)
        : functions_(clustering::functions(shape.portable)),
          x_(x.data()),
          weights_(weights.data()),
          labels_(labels.data()),
          shape_(shape),
          threads_(threads),
          stop_(stop),
          // A function of the rows alone, so that sums are the same bytes for any threads; at most 64 of
          // them.
          stretch_(std::max<std::size_t>(2048, (shape.rows + 63) / 64)),
          gap_(shape.rows, -1.0),
          radius_(shape.rows),
          middle_(shape.options, 0.0) {
        std::fill(labels.begin(), labels.end(), -1);
        for (std::size_t i = 0; i < shape.rows; ++i)
            functions_.add(row(i), 1.0 / static_cast<double>(shape.rows), shape.options, middle_.data());
        for (std::size_t i = 0; i < shape.rows; ++i) {
            double square = 0.0;
            for (std::size_t k = 0; k < shape.options; ++k) {
                const double d = row(i)[k] - middle_[k];
                square += d * d;
            }
            radius_[i] = std::sqrt(square);
        }
    }

    Costs costs(std::span<const double> centroids) const {
        Costs result{std::vector<double>(centroids.size()), std::vector<double>(shape_.clusters, 0.0)};
        for (std::size_t i = 0; i < centroids.size(); ++i) {
            const double c = centroids[i];
            if (shape_.geometry == KmeansGeometry::hellinger) {
                result.slopes[i] = -c;
                result.biases[i / shape_.options] += 0.5 * c * c;
            } else {
                result.slopes[i] = c > 0.0 ? -std::log2(c) : -log_of_nothing;
            }
        }
        return result;
    }

    // Gives every row its cheapest centroid. Rows are passed over whose centroid is still the cheapest,
    // however the costs moved since the row was looked at: Hamerly's bounds (SDM 2010), for linear costs.
    Moves assign(const Costs& now, const Costs& before) {
        const std::size_t options = shape_.options, clusters = (shape_.clusters + 3) / 4 * 4;
        std::vector<double> slopes(clusters * options, 0.0),
            biases(clusters, std::numeric_limits<double>::infinity());
        for (std::size_t c = 0; c < shape_.clusters; ++c) {
            biases[c] = now.biases[c];
            for (std::size_t k = 0; k < options; ++k)
                slopes[(c / 4 * options + k) * 4 + c % 4] = now.slopes[c * options + k];
        }
        const Drift drift = drift_of(now, before);
        return over_stretches([&](std::size_t begin, std::size_t end) {
            return assign_stretch(begin, end, slopes, biases, drift);
        });
    }

    // The sums of all rows by their labels, from the start.
    Moves sums() const {
        return over_stretches([&](std::size_t begin, std::size_t end) {
            Moves result = nothing();
            for (std::size_t i = begin; i < end; ++i) count(result, i, labels_[i], 1);
            return result;
        });
    }

    void add(const Moves& moves, Moves& sums) const {
        for (std::size_t i = 0; i < sums.sums.size(); ++i) sums.sums[i] += moves.sums[i];
        for (std::size_t c = 0; c < shape_.clusters; ++c) {
            sums.mass[c] += moves.mass[c];
            sums.members[c] += moves.members[c];
        }
        sums.any = sums.any || moves.any;
    }

    Moves nothing() const {
        return {std::vector<double>(shape_.clusters * shape_.options, 0.0),
                std::vector<double>(shape_.clusters, 0.0), std::vector<std::int64_t>(shape_.clusters, 0),
                false};
    }

    void move(const Moves& sums, std::span<double> centroids) const {
        for (std::size_t c = 0; c < shape_.clusters; ++c)
            if (sums.members[c] > 0)
                for (std::size_t k = 0; k < shape_.options; ++k)
                    centroids[c * shape_.options + k] =
                        std::max(sums.sums[c * shape_.options + k] / sums.mass[c], 0.0);
    }

    // Centroids without rows go to the rows that cost most, one each.
    void rescue(const Moves& sums, const Costs& costs, std::span<double> centroids) const {
        if (std::find(sums.members.begin(), sums.members.end(), 0) == sums.members.end()) return;
        std::vector<double> dear = row_costs(costs);
        for (std::size_t c = 0; c < shape_.clusters; ++c) {
            if (sums.members[c] > 0) continue;
            const auto dearest = std::max_element(dear.begin(), dear.end());
            const auto i = static_cast<std::size_t>(dearest - dear.begin());
            if (*dearest <= nothing_to_gain * weights_[i]) return;
            std::copy_n(row(i), shape_.options,
                        centroids.begin() + static_cast<std::ptrdiff_t>(c * shape_.options));
            *dearest = 0.0;
        }
    }

    // The weighted cost of every row about the centroid of its label.
    std::vector<double> row_costs(const Costs& costs) const {
        std::vector<double> result(shape_.rows);
        parallel_for(shape_.rows, 1024, threads_, stop_, [&](std::size_t begin, std::size_t end) {
            throw_if(stop_);
            for (std::size_t i = begin; i < end; ++i) {
                const auto c = static_cast<std::size_t>(labels_[i]);
                const double* slope = costs.slopes.data() + c * shape_.options;
                const double cost =
                    own(i) + (costs.biases[c] + functions_.product(row(i), slope, shape_.options));
                result[i] = weights_[i] * std::max(cost, 0.0);
            }
        });
        return result;
    }

  private:
    // By how much a row's lead may have shrunk: at most a + radius x b, by the cluster that it is in.
    struct Drift {
        std::vector<double> a, b;
    };

    Drift drift_of(const Costs& now, const Costs& before) const {
        const std::size_t clusters = shape_.clusters;
        std::vector<double> shift(clusters), length(clusters);
        for (std::size_t c = 0; c < clusters; ++c) {
            shift[c] = now.biases[c] - before.biases[c];
            for (std::size_t k = 0; k < shape_.options; ++k) {
                const double d = now.slopes[c * shape_.options + k] - before.slopes[c * shape_.options + k];
                shift[c] += middle_[k] * d;
                length[c] += d * d;
            }
            length[c] = std::sqrt(length[c]);
        }
        Drift drift{std::vector<double>(clusters, 0.0), std::vector<double>(clusters, 0.0)};
        for (std::size_t c = 0; c < clusters; ++c) {
            double cheaper = -std::numeric_limits<double>::infinity(), longest = 0.0;
            for (std::size_t other = 0; other < clusters; ++other)
                if (other != c) {
                    cheaper = std::max(cheaper, -shift[other]);
                    longest = std::max(longest, length[other]);
                }
            drift.a[c] = shift[c] + cheaper;
            drift.b[c] = length[c] + longest;
        }
        return drift;
    }

    Moves assign_stretch(std::size_t begin, std::size_t end, const std::vector<double>& slopes,
                         const std::vector<double>& biases, const Drift& drift) {
        Moves moves = nothing();
        std::vector<double> packed(abreast * shape_.options);
        // First which rows to look at, without a branch on what cannot be foretold; then eight by eight.
        std::vector<std::size_t> waiting(end - begin + abreast);
        std::size_t due = 0;
        for (std::size_t i = begin; i < end; ++i) {
            if (labels_[i] >= 0) {
                const auto c = static_cast<std::size_t>(labels_[i]);
                gap_[i] -= drift.a[c] + radius_[i] * drift.b[c];
            }
            waiting[due] = i;
            due += gap_[i] > sure ? 0 : 1;
        }
        std::fill_n(waiting.begin() + static_cast<std::ptrdiff_t>(due), abreast, begin);
        for (std::size_t first = 0; first < due; first += abreast) {
            const double* rows[abreast];
            double gap[abreast], label[abreast];
            for (std::size_t l = 0; l < abreast; ++l) rows[l] = row(waiting[first + l]);
            functions_.cheapest(rows, slopes.data(), biases.data(), shape_.options, biases.size(),
                                packed.data(), gap, label);
            for (std::size_t l = 0; l < std::min(abreast, due - first); ++l) {
                const std::size_t i = waiting[first + l];
                const auto to = static_cast<std::int32_t>(label[l]);
                gap_[i] = gap[l];
                if (labels_[i] == to) continue;
                if (labels_[i] >= 0) count(moves, i, labels_[i], -1);
                count(moves, i, to, 1);
                labels_[i] = to;
                moves.any = true;
            }
        }
        return moves;
    }

    void count(Moves& moves, std::size_t i, std::int32_t label, std::int64_t times) const {
        const auto c = static_cast<std::size_t>(label);
        const double weight = times > 0 ? weights_[i] : -weights_[i];
        functions_.add(row(i), weight, shape_.options, moves.sums.data() + c * shape_.options);
        moves.mass[c] += weight;
        moves.members[c] += weights_[i] > 0.0 ? times : 0;
    }

    template <class Work>
    Moves over_stretches(Work work) const {
        std::vector<Moves> parts((shape_.rows + stretch_ - 1) / stretch_);
        parallel_for(parts.size(), 1, threads_, stop_, [&](std::size_t begin, std::size_t end) {
            throw_if(stop_);
            for (std::size_t s = begin; s < end; ++s)
                parts[s] = work(s * stretch_, std::min((s + 1) * stretch_, shape_.rows));
        });
        Moves result = nothing();
        for (const Moves& one : parts) add(one, result);
        return result;
    }

    // The term of a row's cost that no centroid changes.
    double own(std::size_t i) const {
        return shape_.geometry == KmeansGeometry::hellinger
                   ? 0.5 * functions_.product(row(i), row(i), shape_.options)
                   : functions_.information(row(i), shape_.options);
    }

    const double* row(std::size_t i) const { return x_ + i * shape_.options; }

    const Functions& functions_;
    const double *x_, *weights_;
    std::int32_t* labels_;
    KmeansShape shape_;
    std::size_t threads_;
    StopFlag stop_;
    std::size_t stretch_;
    std::vector<double> gap_, radius_, middle_;
};

}  // namespace

KmeansFit kmeans(std::span<const double> x, std::span<const double> weights, const KmeansShape& shape,
                 std::size_t limit, std::size_t threads, std::span<double> centroids,
                 std::span<std::int32_t> labels, StopFlag stop) {
    if (x.size() != shape.rows * shape.options || weights.size() != shape.rows ||
        centroids.size() != shape.clusters * shape.options || labels.size() != shape.rows ||
        shape.clusters == 0 || shape.clusters > shape.rows)
        throw std::invalid_argument("rows, weights, centroids and labels do not match");
    Lloyd lloyd(x, weights, shape, labels, thread_count(threads), stop);
    KmeansFit fit;
    Moves sums = lloyd.nothing();
    Costs costs = lloyd.costs(centroids), before = costs;
    while (fit.iterations < limit) {
        const Moves moves = lloyd.assign(costs, before);
        ++fit.iterations;
        fit.converged = !moves.any;
        if (fit.converged) break;
        lloyd.add(moves, sums);
        lloyd.move(sums, centroids);
        lloyd.rescue(sums, costs, centroids);
        before = std::move(costs);
        costs = lloyd.costs(centroids);
    }
    lloyd.move(lloyd.sums(), centroids);
    for (const double cost : lloyd.row_costs(lloyd.costs(centroids))) fit.objective += cost;
    return fit;
}

}  // namespace crystal
