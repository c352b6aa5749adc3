#pragma once
// Exact samplers of single integers: binomial and hypergeometric.
#include <cstddef>
#include <cstdint>

#include "crystal/philox.hpp"

namespace crystal {

// ln k! within a few units in the last place (Stirling's series from 16 on); std::lgamma writes a global.
double log_factorial(std::int64_t k);

// ln k! for all k below so many.
inline constexpr std::size_t tabulated_log_factorials = std::size_t{1} << 14;
const double* log_factorial_table();

// Successes among `trials` >= 0 independent ones of probability p in [0, 1].
std::int64_t binomial(Stream& stream, std::int64_t trials, double p);

// Good items among `taken` drawn without replacement from `good` + `bad`; 0 <= taken <= good + bad.
std::int64_t hypergeometric(Stream& stream, std::int64_t good, std::int64_t bad, std::int64_t taken);

}  // namespace crystal
