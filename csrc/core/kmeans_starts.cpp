#include <algorithm>
#include <stdexcept>
#include <vector>

#include "clustering_paths.hpp"
#include "crystal/kmeans.hpp"

namespace crystal {
namespace {

// The row at which a running sum of chances passes the share u of the whole; one with a chance where any has.
std::size_t drawn(const std::vector<double>& chances, double u) {
    double total = 0.0;
    for (const double chance : chances) total += chance;
    double sum = 0.0;
    std::size_t last = 0;
    for (std::size_t i = 0; i < chances.size(); ++i) {
        if (chances[i] <= 0.0) continue;
        last = i;
        sum += chances[i];
        if (sum > u * total) return i;
    }
    return last;
}

// What a start leans towards the mean of all rows in js. A row is a start with zeros wherever its samples
// were few, and a start's zeros are dearer than anything: rows would be sorted by those at first, and stay
// so.
constexpr double lean = 0.1;

std::vector<double> mean_of(std::span<const double> x, std::span<const double> weights, std::size_t options) {
    std::vector<double> mean(options, 0.0);
    double mass = 0.0;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        mass += weights[i];
        for (std::size_t k = 0; k < options; ++k) mean[k] += weights[i] * x[i * options + k];
    }
    for (double& value : mean) value /= mass > 0.0 ? mass : 1.0;
    return mean;
}

}  // namespace

void kmeans_starts(std::span<const double> roots, std::span<const double> weights, std::size_t options,
                   std::span<const double> uniforms, std::size_t trials, bool portable,
                   std::span<std::int64_t> starts, StopFlag stop) {
    const std::size_t rows = weights.size();
    if (rows == 0 || roots.size() != rows * options || trials == 0 ||
        uniforms.size() != starts.size() * trials)
        throw std::invalid_argument("rows, weights, random numbers and starts do not match");
    const clustering::Functions& functions = clustering::functions(portable);
    const double* x = roots.data();
    const std::vector<double> masses(weights.begin(), weights.end());
    std::vector<double> chances = masses, nearest(rows, 1.0), lowered(rows), best(rows);
    for (std::size_t step = 0; step < starts.size(); ++step) {
        throw_if(stop);
        double least = 0.0;
        // Before the first start all rows are equally far: one candidate will do.
        for (std::size_t trial = 0; trial < (step == 0 ? 1 : trials); ++trial) {
            const std::size_t candidate = drawn(chances, uniforms[step * trials + trial]);
            double sum = 0.0;
            for (std::size_t i = 0; i < rows; ++i) {
                const double apart =
                    1.0 - functions.product(x + i * options, x + candidate * options, options);
                lowered[i] = std::clamp(apart, 0.0, nearest[i]);
                sum += masses[i] * lowered[i];
            }
            if (trial == 0 || sum < least) {
                least = sum;
                starts[step] = static_cast<std::int64_t>(candidate);
                best.swap(lowered);
            }
        }
        nearest = best;
        // No more distinct rows: any will do, its cluster stays empty.
        for (std::size_t i = 0; i < rows; ++i) chances[i] = least > 0.0 ? masses[i] * nearest[i] : masses[i];
    }
}

KmeansFit kmeans_best(std::span<const double> x, std::span<const double> roots,
                      std::span<const double> weights, const KmeansShape& shape,
                      std::span<const double> uniforms, std::size_t trials, std::size_t limit,
                      std::size_t threads, std::span<double> centroids, std::span<std::int32_t> labels,
                      StopFlag stop) {
    const std::size_t a_run = shape.clusters * trials;
    if (a_run == 0 || uniforms.empty() || uniforms.size() % a_run != 0)
        throw std::invalid_argument("random numbers are [runs, clusters, trials]");
    std::vector<std::int64_t> starts(shape.clusters);
    std::vector<double> moved(shape.clusters * shape.options);
    std::vector<std::int32_t> assigned(shape.rows);
    const std::vector<double> mean = mean_of(x, weights, shape.options);
    const double share = shape.geometry == KmeansGeometry::js ? lean : 0.0;
    KmeansFit best;
    for (std::size_t run = 0; run * a_run < uniforms.size(); ++run) {
        kmeans_starts(roots, weights, shape.options, uniforms.subspan(run * a_run, a_run), trials,
                      shape.portable, starts, stop);
        for (std::size_t c = 0; c < shape.clusters; ++c) {
            const double* row = x.data() + static_cast<std::size_t>(starts[c]) * shape.options;
            for (std::size_t k = 0; k < shape.options; ++k)
                moved[c * shape.options + k] = row[k] + share * (mean[k] - row[k]);
        }
        const KmeansFit fit = kmeans(x, weights, shape, limit, threads, moved, assigned, stop);
        if (run > 0 && fit.objective >= best.objective) continue;
        best = fit;
        std::copy(moved.begin(), moved.end(), centroids.begin());
        std::copy(assigned.begin(), assigned.end(), labels.begin());
    }
    return best;
}

}  // namespace crystal
