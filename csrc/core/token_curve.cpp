#include "crystal/token_curve.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "token_paths.hpp"

namespace crystal {
namespace tokens {

void move_curves(const CurveGrid& grid, double delta, double* sums) {
    for (std::size_t k = 0; k < grid.temperatures; ++k) {
        double* place = sums + 3 * k;
        const double s = place[0], t = place[1], u = place[2];
        if (t != t || s == 0.0) continue;  // NaN stays; of an empty state delta may be infinite
        const double a = std::exp(delta / grid.temperature[k]);
        if (a == 0.0) {
            std::fill(place, place + 3, 0.0);
            continue;
        }
        place[0] = a * s;
        place[1] = a * (t + delta * s);
        place[2] = a * (u + delta * (2.0 * t + delta * s));
    }
}

namespace {

// Whether a temperature is half of another one, up to the rounding of a grid.
bool is_half(double half, double whole) { return std::abs(2.0 * half - whole) <= 1e-12 * whole; }

// Cuts a grid into chains T, T/2, T/4, hottest first; most have one link where the grid has no such pairs.
std::vector<CurveChain> chains_of(const std::vector<double>& temperatures) {
    const std::size_t count = temperatures.size();
    std::vector<std::size_t> order(count);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return temperatures[a] > temperatures[b]; });
    std::vector<bool> used(count, false);
    std::vector<CurveChain> chains;
    for (std::size_t i = 0; i < count; ++i) {
        if (used[i]) continue;
        CurveChain chain{
            static_cast<float>(1.4426950408889634 / temperatures[order[i]]), 1, {order[i], 0, 0}};
        double last = temperatures[order[i]];
        for (std::size_t j = i + 1; j < count && chain.steps < 3; ++j) {
            if (used[j] || !is_half(temperatures[order[j]], last)) continue;
            used[j] = true;
            last = temperatures[order[j]];
            chain.places[chain.steps++] = order[j];
        }
        chains.push_back(chain);
    }
    return chains;
}

}  // namespace
}  // namespace tokens

void token_curves(const TokenRows& rows, const TokenTemperatures& temperatures, TokenPath path,
                  std::size_t threads, TokenCurves out, StopFlag stop) {
    const std::size_t n = rows.rows, grid = temperatures.count;
    if (rows.tokens.size() != n || out.maximum.size() != n || out.sums.size() != 3 * grid * n || grid == 0 ||
        temperatures.values.size() != (temperatures.per_row ? grid * n : grid))
        throw std::invalid_argument("rows, tokens, temperatures and curves do not match");
    if (!token_path_available(path))
        throw std::invalid_argument("this processor lacks the path's instructions");
    const bool vector = path != TokenPath::scalar && token_path_available(TokenPath::avx2);
    const tokens::CurveFunction row_function =
        vector ? tokens::avx2_curve(rows.type) : tokens::scalar_curve(rows.type);
    const std::ptrdiff_t width = rows.type == LogitType::float32 ? 4 : 2;

    const auto work = [&](std::size_t begin, std::size_t end) {
        std::vector<double> own(grid), sums(3 * grid);
        std::vector<tokens::CurveChain> chains;
        for (std::size_t row = begin; row < end; ++row) {
            throw_if(stop);
            if (temperatures.per_row || row == begin) {
                for (std::size_t k = 0; k < grid; ++k)
                    own[k] = temperatures.values[temperatures.per_row ? k * n + row : k];
                chains = tokens::chains_of(own);
            }
            const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(row / rows.time) * rows.stride_batch +
                                          static_cast<std::ptrdiff_t>(row % rows.time) * rows.stride_time;
            const auto* line = static_cast<const char*>(rows.logits) + offset * width;
            std::fill(sums.begin(), sums.end(), 0.0);
            // An ignored row has no logits: nothing of it is read.
            const std::size_t count = rows.tokens[row] == rows.ignored_id ? 0 : rows.vocabulary;
            out.maximum[row] =
                row_function(line, count, {chains.data(), chains.size(), own.data(), grid}, sums.data());
            for (std::size_t k = 0; k < grid; ++k)
                for (std::size_t f = 0; f < 3; ++f) {
                    const double value = sums[3 * k + f];  // one NaN for all of its bit patterns
                    out.sums[(f * grid + k) * n + row] =
                        std::isnan(value) ? std::numeric_limits<double>::quiet_NaN() : value;
                }
        }
    };
    // A thread is worth its start from about a million exponentials on.
    const std::size_t grain =
        std::max<std::size_t>(1, (1U << 20) / std::max<std::size_t>(1, rows.vocabulary * grid));
    parallel_for(n, grain, thread_count(threads), stop, work);
}

}  // namespace crystal
