#pragma once
// Statistics of one table of counts in float64, by their textbook formulas.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "crystal/random_tables.hpp"

namespace crystal {

// n ln n, from a table where n is small.
class NLogN {
  public:
    explicit NLogN(std::size_t largest);
    double operator()(std::uint64_t n) const { return n < values_.size() ? values_[n] : compute(n); }

    // The table, where it reaches as far as `most`; else nullptr.
    const double* up_to(std::uint64_t most) const { return most < values_.size() ? values_.data() : nullptr; }

  private:
    static double compute(std::uint64_t n);
    std::vector<double> values_;
};

// Plug-in entropy of `total` samples in bits.
double entropy_bits(std::span<const Cell> counts, std::uint64_t total, const NLogN& n_log_n);

// G = 2 sum n ln(n N / (row column)) in nats; groups without samples add nothing.
double g_nats(std::span<const Cell> table, std::span<const Cell> group_totals, const NLogN& n_log_n);

// H(mean of the groups' shares) - mean of the groups' H, in bits; every group has samples.
double js_bits(std::span<const Cell> table, std::span<const Cell> group_totals, const NLogN& n_log_n);

}  // namespace crystal
