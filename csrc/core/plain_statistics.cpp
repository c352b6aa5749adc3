#include "crystal/plain_statistics.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace crystal {
namespace {

constexpr std::size_t largest_table = std::size_t{1} << 16;

}  // namespace

NLogN::NLogN(std::size_t largest) : values_(std::min(largest, largest_table) + 1) {
    for (std::size_t n = 0; n < values_.size(); ++n) values_[n] = compute(n);
}

double NLogN::compute(std::uint64_t n) {
    const auto x = static_cast<double>(n);
    return n < 2 ? 0.0 : x * std::log(x);
}

double entropy_bits(std::span<const Cell> counts, std::uint64_t total, const NLogN& n_log_n) {
    if (total == 0) return 0.0;
    double sum = 0.0;
    for (const Cell count : counts) sum += n_log_n(count);
    const double nats = (n_log_n(total) - sum) / static_cast<double>(total);
    return std::max(nats, 0.0) / std::numbers::ln2;
}

double g_nats(std::span<const Cell> table, std::span<const Cell> group_totals, const NLogN& n_log_n) {
    const std::size_t options = group_totals.empty() ? 0 : table.size() / group_totals.size();
    double sum = 0.0;
    std::uint64_t all = 0;
    for (const Cell cell : table) sum += n_log_n(cell);
    for (const Cell total : group_totals) {
        sum -= n_log_n(total);
        all += total;
    }
    for (std::size_t k = 0; k < options; ++k) {
        std::uint64_t column = 0;
        for (std::size_t g = 0; g < group_totals.size(); ++g) column += table[g * options + k];
        sum -= n_log_n(column);
    }
    return std::max(2.0 * (sum + n_log_n(all)), 0.0);
}

double js_bits(std::span<const Cell> table, std::span<const Cell> group_totals, const NLogN& n_log_n) {
    const std::size_t groups = group_totals.size();
    const std::size_t options = table.size() / groups;
    const bool equal = std::all_of(group_totals.begin(), group_totals.end(),
                                   [&](Cell total) { return total == group_totals.front(); });
    if (equal) {
        const double samples = static_cast<double>(groups) * group_totals.front();
        return g_nats(table, group_totals, n_log_n) / (2.0 * samples * std::numbers::ln2);
    }
    double within = 0.0;
    for (std::size_t g = 0; g < groups; ++g) {
        within += entropy_bits(table.subspan(g * options, options), group_totals[g], n_log_n);
    }
    double mixture = 0.0;
    for (std::size_t k = 0; k < options; ++k) {
        double share = 0.0;
        for (std::size_t g = 0; g < groups; ++g)
            share += static_cast<double>(table[g * options + k]) / group_totals[g];
        share /= static_cast<double>(groups);
        if (share > 0.0) mixture -= share * std::log2(share);
    }
    return std::max(mixture - within / static_cast<double>(groups), 0.0);
}

}  // namespace crystal
