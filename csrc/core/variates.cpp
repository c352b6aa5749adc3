#include "crystal/variates.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

namespace crystal {
namespace {

constexpr std::array<double, 16> small_factorials = {
    1,     1,      2,       6,        24,        120,        720,         5040,
    40320, 362880, 3628800, 39916800, 479001600, 6227020800, 87178291200, 1307674368000};

// Below this mean, counting up from zero takes fewer steps than a rejection costs.
constexpr double inversion_mean = 10.0;
constexpr std::int64_t inversion_sample = 24;

// Stirling's series: full precision from 16 on.
double large_log_factorial(std::size_t k) {
    const double x = static_cast<double>(k) + 1.0;
    const double inverse = 1.0 / x;
    const double square = inverse * inverse;
    const double series =
        inverse *
        (1.0 / 12 - square * (1.0 / 360 - square * (1.0 / 1260 - square * (1.0 / 1680 - square / 1188))));
    return (x - 0.5) * std::log(x) - x + 0.5 * std::log(2.0 * std::numbers::pi) + series;
}

// Sequential search from zero; p <= 1/2 and trials * p < inversion_mean keep the first term well above
// underflow.
std::int64_t binomial_inversion(Stream& stream, std::int64_t trials, double p) {
    const double odds = p / (1.0 - p);
    const double n = static_cast<double>(trials);
    const double none = std::exp(n * std::log1p(-p));
    for (;;) {
        double u = stream.uniform();
        double mass = none;
        for (std::int64_t k = 0; k <= trials; ++k) {
            if (u < mass) return k;
            u -= mass;
            mass *= odds * (n - static_cast<double>(k)) / static_cast<double>(k + 1);
        }
        // The masses' rounding left u beyond the last one (about 1 in 10^15): draw again.
    }
}

// BTRS of Hormann 1993, "The generation of binomial random variates", J. Stat. Comput. Simul. 46: transformed
// rejection with a squeeze; for p <= 1/2 and trials * p >= 10.
std::int64_t binomial_rejection(Stream& stream, std::int64_t trials, double p) {
    const double n = static_cast<double>(trials);
    const double q = 1.0 - p;
    const double spread = std::sqrt(n * p * q);
    const double b = 1.15 + 2.53 * spread;
    const double a = -0.0873 + 0.0248 * b + 0.01 * p;
    const double centre = n * p + 0.5;
    const double squeeze = 0.92 - 4.2 / b;
    for (;;) {
        const double u = stream.uniform() - 0.5;
        const double v = stream.open_uniform();
        const double us = 0.5 - std::abs(u);
        const double candidate = std::floor((2.0 * a / us + b) * u + centre);
        if (!(candidate >= 0.0 && candidate <= n)) continue;
        const auto k = static_cast<std::int64_t>(candidate);
        if (us >= 0.07 && v <= squeeze) return k;
        // What follows costs more than all before it, and few candidates come so far.
        const double alpha = (2.83 + 5.1 / b) * spread;
        const auto mode = static_cast<std::int64_t>((n + 1.0) * p);
        const double bound = log_factorial(mode) + log_factorial(trials - mode) - log_factorial(k) -
                             log_factorial(trials - k) + static_cast<double>(k - mode) * std::log(p / q);
        if (std::log(v * alpha / (a / (us * us) + b)) <= bound) return k;
    }
}

// Draws item by item: exact in integers, and the fastest way for a handful.
std::int64_t hypergeometric_urn(Stream& stream, std::int64_t good, std::int64_t bad, std::int64_t taken) {
    const std::int64_t before = good;
    for (; taken > 0; --taken) {
        const std::int64_t left = good + bad;
        if (left <= std::numeric_limits<std::uint32_t>::max()) {
            good -= stream.below(static_cast<std::uint32_t>(left)) < good ? 1 : 0;
        } else {
            good -= stream.uniform() * static_cast<double>(left) < static_cast<double>(good) ? 1 : 0;
        }
        bad = left - 1 - good;
    }
    return before - good;
}

// Ratio of uniforms (HRUA*) of Stadlober 1990, "The ratio of uniforms approach for generating discrete random
// variates", J. Comput. Appl. Math. 31; for good <= bad and taken <= half.
std::int64_t hypergeometric_ratio(Stream& stream, std::int64_t good, std::int64_t bad, std::int64_t taken) {
    const double total = static_cast<double>(good + bad);
    const double m = static_cast<double>(taken);
    const double share = static_cast<double>(good) / total;
    const double mean = m * share;
    const double variance = (total - m) * mean * (1.0 - share) / (total - 1.0);
    const double width = std::sqrt(variance + 0.5);
    const double scale =
        2.0 * std::sqrt(2.0 / std::numbers::e) * width + (3.0 - 2.0 * std::sqrt(3.0 / std::numbers::e));
    const auto mode = static_cast<std::int64_t>((m + 1.0) * static_cast<double>(good + 1) / (total + 2.0));
    const auto log_weight = [&](std::int64_t k) {
        return -(log_factorial(k) + log_factorial(good - k) + log_factorial(taken - k) +
                 log_factorial(bad - taken + k));
    };
    const double at_mode = log_weight(mode);
    const double limit = static_cast<double>(std::min(taken, good)) + 1.0;
    for (;;) {
        const double u = stream.open_uniform();
        const double v = stream.uniform();
        const double candidate = mean + 0.5 + scale * (v - 0.5) / u;
        if (!(candidate >= 0.0 && candidate < limit)) continue;
        const auto k = static_cast<std::int64_t>(candidate);
        const double height = log_weight(k) - at_mode;
        if (u * (4.0 - u) - 3.0 <= height) return k;
        if (u * (u - height) >= 1.0) continue;
        if (2.0 * std::log(u) <= height) return k;
    }
}

}  // namespace

const double* log_factorial_table() {
    static const std::vector<double> table = [] {  // 128 KiB, made once
        std::vector<double> values(tabulated_log_factorials);
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = i < small_factorials.size() ? std::log(small_factorials[i]) : large_log_factorial(i);
        return values;
    }();
    return table.data();
}

double log_factorial(std::int64_t k) {
    const auto at = static_cast<std::size_t>(k);
    return at < tabulated_log_factorials ? log_factorial_table()[at] : large_log_factorial(at);
}

std::int64_t binomial(Stream& stream, std::int64_t trials, double p) {
    if (trials <= 0 || p <= 0.0) return 0;
    if (p >= 1.0) return trials;
    if (p > 0.5) return trials - binomial(stream, trials, 1.0 - p);
    return static_cast<double>(trials) * p < inversion_mean ? binomial_inversion(stream, trials, p)
                                                            : binomial_rejection(stream, trials, p);
}

std::int64_t hypergeometric(Stream& stream, std::int64_t good, std::int64_t bad, std::int64_t taken) {
    const std::int64_t total = good + bad;
    if (taken <= 0 || good <= 0) return 0;
    if (bad <= 0) return taken;
    if (2 * taken > total) return good - hypergeometric(stream, good, bad, total - taken);
    if (good > bad) return taken - hypergeometric(stream, bad, good, taken);
    // The roles of "good" and "taken" may be exchanged, so the smaller one is drawn item by item.
    if (std::min(taken, good) <= inversion_sample) {
        return taken <= good ? hypergeometric_urn(stream, good, bad, taken)
                             : hypergeometric_urn(stream, taken, total - taken, good);
    }
    return hypergeometric_ratio(stream, good, bad, taken);
}

}  // namespace crystal
