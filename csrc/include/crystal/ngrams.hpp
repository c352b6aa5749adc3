#pragma once
// Exact n-gram counts of ragged data, n = 1..4. An n-gram lies inside one sequence.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "crystal/sequences.hpp"

namespace crystal {

struct NgramOptions {
    int n = 2;
    std::size_t threads = 1;
    StopFlag stop = nullptr;
};

// How often an n-gram appears, and how many n-grams appear that often.
struct Multiplicity {
    std::int64_t count = 0;
    std::int64_t ngrams = 0;
};

struct NgramCounts {
    std::vector<Multiplicity> spectrum;  // ascending in count: all that entropy and diversity need
    std::vector<std::int32_t> distinct;  // different n-grams in each sequence
    bool merged = false;                 // equal sequences were counted once, with their number as weight
};

// Elements are 1 or 4 bytes wide. Counts are exact: an n-gram's key is its elements, not a hash of them.
NgramCounts ngram_counts(const RaggedView& ragged, const NgramOptions& options);

}  // namespace crystal
