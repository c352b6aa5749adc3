#pragma once
// What each path provides and the dispatch calls.
#include <cstddef>

namespace crystal::divergence {

// Columns of the right table lie eight side by side: option k of column c at [8 k + c].
constexpr std::size_t lanes = 8;

struct Functions {
    // sum p log2 p + sum p of one row.
    double (*constant)(const double* row, std::size_t options);
    // JSD of one row from eight columns, bits.
    void (*js)(const double* row, const double* packed, std::size_t options, double row_constant,
               const double* column_constants, double* out);
    // Turns products of square roots into Hellinger distances; `masses` are the sums of the rows.
    // Returns how many differences are too small for that and were marked by -1.
    std::size_t (*hellinger)(double mass, const double* masses, std::size_t columns, double* out);
    // The square of the Hellinger distance of two rows.
    double (*hellinger_square)(const double* p, const double* q, std::size_t options);
};

extern const Functions scalar_functions;
// nullptr where the build has no AVX2.
const Functions* avx2_functions();

}  // namespace crystal::divergence
