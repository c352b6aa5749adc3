#pragma once
// Permutation tests and simulations over many replicates. A replicate's numbers depend on (seed, replicate,
// key) alone, so every result is the same for any number of threads.
#include <cstdint>
#include <span>

#include "crystal/table_scores.hpp"
#include "crystal/threads.hpp"

namespace crystal {

struct Randomness {
    std::uint64_t seed = 0;
    std::uint64_t key = 0;
    std::size_t threads = 0;
};

struct PermutationResult {
    double observed = 0.0;
    double p = 1.0;
    double null_mean = 0.0;
    double null_sd = 0.0;
    std::int64_t greater = 0;
    std::int64_t equal = 0;
    std::int64_t draws = 0;
    std::int64_t position = -1;
};

// Labels permuted within every block until `exceedances` draws are as large as the data, at most `draws`
// times (Besag and Clifford 1991, "Sequential Monte Carlo p-values"); p = (exceedances seen + 1) / (draws
// made + 1).
PermutationResult permutation_test(const Tables& tables, Statistic statistic, double mass, std::int64_t draws,
                                   std::int64_t exceedances, const Randomness& randomness, StopFlag stop);

enum class Simulated { entropy, js, g };

// Multinomial draws of sizes [blocks, groups] from probabilities [points, blocks, groups, options]; values
// get [points, draws]. A replicate has the same random numbers at every point.
void simulate(std::span<const double> probabilities, std::span<const std::int64_t> sizes, std::size_t points,
              std::size_t blocks, std::size_t groups, std::size_t options, Simulated statistic,
              std::size_t draws, const Randomness& randomness, StopFlag stop, std::span<double> values);

// Draws of one table of groups x options.
void simulate_counts(std::span<const double> probabilities, std::span<const std::int64_t> sizes,
                     std::size_t options, std::size_t draws, const Randomness& randomness, StopFlag stop,
                     std::span<std::int64_t> values);

// The tables themselves under permuted labels, [draws, blocks, groups, options].
void permute_counts(const Tables& tables, std::size_t draws, const Randomness& randomness, StopFlag stop,
                    std::span<std::int64_t> values);

// A random half of every row without replacement, [splits, rows, options]; a coin gives an odd sample its
// half.
void split_counts(std::span<const std::int64_t> counts, std::size_t options, std::size_t splits,
                  const Randomness& randomness, StopFlag stop, std::span<std::int64_t> values);

}  // namespace crystal
