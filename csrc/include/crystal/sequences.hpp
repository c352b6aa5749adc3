#pragma once
// Exact de-duplication of ragged data: which sequences are equal, where each was first seen, how often.
#include <cstddef>
#include <cstdint>

#include "crystal/column.hpp"
#include "crystal/ragged.hpp"
#include "crystal/threads.hpp"

namespace crystal {

struct SequenceOptions {
    // False: two sequences are one if 128 bits of hash agree (nobody has seen that happen by chance). True:
    // only if all their bytes agree.
    bool verify = true;
    // False: no id for each sequence, and no 4 bytes of memory for it.
    bool inverse = true;
    std::size_t threads = 1;
    StopFlag stop = nullptr;
};

// Distinct sequences are numbered in the order in which they first appear, whatever the number of threads.
struct SequenceCounts {
    Column<std::int32_t> inverse;  // the number of each sequence
    Column<std::int64_t> first;    // where each distinct sequence first appears, ascending
    Column<std::int64_t> counts;   // how often it appears
};

// Whether so many sequences are equal that it pays to find them and to handle each distinct one once.
bool many_equal(const RaggedView& ragged);

SequenceCounts count_sequences(const RaggedView& ragged, const SequenceOptions& options);

}  // namespace crystal
