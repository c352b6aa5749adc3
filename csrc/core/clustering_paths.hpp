#pragma once
// The inner loops of clustering, for the dispatch to call.
#include <cstddef>
#include <cstdint>

namespace crystal::clustering {

// Rows that are assigned together.
constexpr std::size_t abreast = 8;

enum class Join { larger, average };

struct Near {
    double distance;
    std::size_t index;
};

struct Functions {
    // The cheapest centroid of eight rows, by bias + sum x g, the lowest among equals, and by how much the
    // next is dearer. `rows` are eight addresses. Slopes lie four centroids side by side: option k of
    // centroid c at [(c / 4 K + k) 4 + c % 4]; there is a multiple of four. `packed` has room for 8 K.
    void (*cheapest)(const double* const* rows, const double* slopes, const double* biases,
                     std::size_t options, std::size_t centroids, double* packed, double* gap, double* label);
    // sum += weight * row.
    void (*add)(const double* row, double weight, std::size_t options, double* sum);
    double (*product)(const double* a, const double* b, std::size_t count);
    // sum x log2 x of 0 <= x < 2.8, bits.
    double (*information)(const double* row, std::size_t options);
    // The least of row + barred, the first among equals; barred is 0, or infinite where a column is out.
    Near (*nearest)(const double* row, const double* barred, std::size_t count);
    // line = the smaller of line and row, then as above on line + barred.
    Near (*nearer)(const double* row, const double* barred, std::size_t count, double* line);
    // into = the distances of the union of two clusters.
    void (*join)(Join how, const double* from, double from_size, double into_size, std::size_t count,
                 double* into);
};

extern const Functions scalar_functions;
// nullptr where the build has no AVX2.
const Functions* avx2_functions();

// The fastest that this processor has, or the portable ones; both give the same bytes.
inline const Functions& functions(bool portable) {
    const Functions* lanes = portable ? nullptr : avx2_functions();
#if defined(__x86_64__)
    if (lanes != nullptr && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return *lanes;
#endif
    static_cast<void>(lanes);
    return scalar_functions;
}

}  // namespace crystal::clustering
