#pragma once
// The blend of dictionary rows under which a target is likeliest: max over the simplex of
// f(w) = sum_k t_k log(sum_r w_r d_rk), by accelerated EM.
#include <cstddef>
#include <cstdint>
#include <span>

#include "crystal/threads.hpp"

namespace crystal {

struct BlendShape {
    std::size_t targets;  // T
    std::size_t rows;     // R
    std::size_t options;  // K
    bool shared;          // one dictionary [R, K] for all targets, else [T, R, K]
};

struct BlendLimits {
    // The fit ends where max_r df/dw_r - 1 is at most this. By concavity f(w) is then at most that far (in
    // nats a sample) below the maximum, so the stationarity condition is a certificate and no guess from
    // small steps.
    double tolerance = 1e-8;
    std::size_t iterations = 20'000;  // of the EM map, each a pass over the dictionary
    std::size_t threads = 0;
};

// targets [T, K] and dictionary [R, K] or [T, R, K] are finite and not negative, each target has mass, and
// wherever it has some, so has a row of its dictionary. Writes weights [T, R] (sum 1), iterations [T] and
// gaps [T]. Every fit starts from its row of start [T, R] (positive, sum 1; equal weights if start is empty)
// and is sequential, so that no result depends on the number of threads; where the best blend is not unique
// (more rows than options, the target inside their hull) the start decides among the best.
void fit_blend(std::span<const double> targets, std::span<const double> dictionary, const BlendShape& shape,
               std::span<const double> start, const BlendLimits& limits, std::span<double> weights,
               std::span<std::int64_t> iterations, std::span<double> gaps, StopFlag stop = nullptr);

}  // namespace crystal
