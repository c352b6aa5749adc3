#pragma once
// Jensen-Shannon and Hellinger distances of every row of one table from every row of another, or of its own.
#include <cstddef>
#include <span>

#include "crystal/threads.hpp"

namespace crystal {

enum class DivergencePath { fastest, scalar, avx2 };

bool divergence_path_available(DivergencePath path);

// Tables [rows, options] of values in [0, 1]. An empty `right` stands for `left` again: half of the pairs are
// then computed and mirrored, and the diagonal is zero.
struct RowPairs {
    std::span<const double> left, right;
    std::size_t rows, columns, options;
};

// out [rows, columns]: JSD in bits. Entry by entry a function of its two rows alone, the same bytes for (p,
// q) and (q, p), any number of threads and either path. Needs one more copy of the right table.
void js_matrix(const RowPairs& pairs, DivergencePath path, std::size_t threads, std::span<double> out,
               StopFlag stop);

// out [rows, columns] holds the products of the rows' square roots, which become Hellinger distances in
// place. Squares below 2^-10 are taken again from the rows, where a product has lost them.
void hellinger_from_products(const RowPairs& pairs, DivergencePath path, std::size_t threads,
                             std::span<double> out, StopFlag stop);

}  // namespace crystal
