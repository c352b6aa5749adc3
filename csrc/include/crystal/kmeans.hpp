#pragma once
// Lloyd's algorithm on weighted rows in two geometries of distributions.
#include <cstddef>
#include <cstdint>
#include <span>

#include "crystal/threads.hpp"

namespace crystal {

// js: rows are distributions p; a row costs KL(p || c) in bits. hellinger: rows are square roots x; a row
// costs |x - c|^2 / 2. In both the best centroid of given rows is their weighted mean.
enum class KmeansGeometry { js, hellinger };

struct KmeansShape {
    std::size_t rows, options, clusters;
    KmeansGeometry geometry;
    bool portable = false;  // without vector instructions: the same bytes
};

struct KmeansFit {
    double objective = 0.0;  // weighted sum of costs
    std::size_t iterations = 0;
    bool converged = false;  // no row moved in the last pass
};

// x [rows, options], weights [rows] >= 0; centroids [clusters, options] are the start and become the means of
// the rows of each label, labels [rows]. A centroid that loses its rows moves to the row that costs most.
// Sums are taken over fixed stretches of rows: the same bytes for any number of threads. 0 <= x < 2.8.
KmeansFit kmeans(std::span<const double> x, std::span<const double> weights, const KmeansShape& shape,
                 std::size_t limit, std::size_t threads, std::span<double> centroids,
                 std::span<std::int32_t> labels, StopFlag stop);

// Greedy k-means++ (Arthur and Vassilvitskii 2007): start after start, the best of `trials` rows drawn with
// chances weight x (1 - product with the nearest start so far). roots [rows, options]: square roots of
// distributions; uniforms [starts, trials] in [0, 1).
void kmeans_starts(std::span<const double> roots, std::span<const double> weights, std::size_t options,
                   std::span<const double> uniforms, std::size_t trials, bool portable,
                   std::span<std::int64_t> starts, StopFlag stop);

// The best of some runs, the first among equals, each from starts of its own: uniforms [runs, clusters,
// trials].
KmeansFit kmeans_best(std::span<const double> x, std::span<const double> roots,
                      std::span<const double> weights, const KmeansShape& shape,
                      std::span<const double> uniforms, std::size_t trials, std::size_t limit,
                      std::size_t threads, std::span<double> centroids, std::span<std::int32_t> labels,
                      StopFlag stop);

}  // namespace crystal
