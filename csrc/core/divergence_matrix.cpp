#include "crystal/divergence_matrix.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#include "divergence_paths.hpp"

namespace crystal {
namespace {

using divergence::Functions;
using divergence::lanes;

const Functions& functions_for(DivergencePath path) {
    if (!divergence_path_available(path)) throw std::invalid_argument("this processor has no AVX2");
    const bool vector = path != DivergencePath::scalar && divergence_path_available(DivergencePath::avx2);
    return vector ? *divergence::avx2_functions() : divergence::scalar_functions;
}

void check(const RowPairs& pairs, std::span<double> out) {
    const bool own = pairs.right.empty();
    if (pairs.left.size() != pairs.rows * pairs.options || out.size() != pairs.rows * pairs.columns ||
        (own ? pairs.columns != pairs.rows && pairs.options != 0
             : pairs.right.size() != pairs.columns * pairs.options))
        throw std::invalid_argument("tables and distances do not match");
}

// Rows worth a thread's start: about 2^18 terms.
std::size_t grain_of(std::size_t terms_a_row) {
    return std::max<std::size_t>(1, (std::size_t{1} << 18) / std::max<std::size_t>(1, terms_a_row));
}

double sum(const double* row, std::size_t count) {
    double total = 0.0;
    for (std::size_t k = 0; k < count; ++k) total += row[k];
    return total;
}

}  // namespace

bool divergence_path_available(DivergencePath path) {
#if defined(__x86_64__)
    if (path == DivergencePath::avx2)
        return divergence::avx2_functions() != nullptr && __builtin_cpu_supports("avx2") &&
               __builtin_cpu_supports("fma");
#endif
    return path != DivergencePath::avx2;
}

void js_matrix(const RowPairs& pairs, DivergencePath path, std::size_t threads, std::span<double> out,
               StopFlag stop) {
    check(pairs, out);
    const Functions& functions = functions_for(path);
    const bool own = pairs.right.empty();
    const std::size_t options = pairs.options, rows = pairs.rows, columns = pairs.columns;
    const std::span<const double> right = own ? pairs.left : pairs.right;
    const std::size_t blocks = (columns + lanes - 1) / lanes;
    std::vector<double> packed(blocks * lanes * options), left_constants(rows),
        column_constants(blocks * lanes);
    for (std::size_t j = 0; j < columns; ++j) {
        const double* column = right.data() + j * options;
        for (std::size_t k = 0; k < options; ++k)
            packed[(j / lanes * options + k) * lanes + j % lanes] = column[k];
        column_constants[j] = functions.constant(column, options);
    }
    for (std::size_t i = 0; i < rows; ++i)
        left_constants[i] =
            own ? column_constants[i] : functions.constant(pairs.left.data() + i * options, options);

    // Square tiles of eight rows and eight columns, so that the mirrored half is written in whole lines too.
    const auto work = [&](std::size_t begin, std::size_t end) {
        double tile[lanes][lanes];
        for (std::size_t band = begin; band < end; ++band) {
            throw_if(stop);
            const std::size_t first = band * lanes, height = std::min(lanes, rows - first);
            for (std::size_t block = own ? band : 0; block < blocks; ++block) {
                const std::size_t left = block * lanes, width = std::min(lanes, columns - left);
                for (std::size_t i = 0; i < height; ++i) {
                    functions.js(pairs.left.data() + (first + i) * options,
                                 packed.data() + block * lanes * options, options, left_constants[first + i],
                                 column_constants.data() + left, tile[i]);
                    std::copy_n(tile[i], width, out.data() + (first + i) * columns + left);
                }
                if (own && block != band)
                    for (std::size_t j = 0; j < width; ++j)
                        for (std::size_t i = 0; i < height; ++i)
                            out[(left + j) * columns + first + i] = tile[i][j];
            }
        }
    };
    parallel_for((rows + lanes - 1) / lanes, grain_of(lanes * columns * options), thread_count(threads), stop,
                 work);
}

void hellinger_from_products(const RowPairs& pairs, DivergencePath path, std::size_t threads,
                             std::span<double> out, StopFlag stop) {
    check(pairs, out);
    const Functions& functions = functions_for(path);
    const std::span<const double> right = pairs.right.empty() ? pairs.left : pairs.right;
    const std::size_t options = pairs.options, columns = pairs.columns;
    std::vector<double> masses(columns);
    for (std::size_t j = 0; j < columns; ++j) masses[j] = sum(right.data() + j * options, options);

    const auto work = [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) {
            throw_if(stop);
            const double* row = pairs.left.data() + i * options;
            double* line = out.data() + i * columns;
            std::size_t marked = functions.hellinger(sum(row, options), masses.data(), columns, line);
            for (std::size_t j = 0; marked > 0; ++j) {
                if (line[j] >= 0.0) continue;
                line[j] = std::sqrt(functions.hellinger_square(row, right.data() + j * options, options));
                --marked;
            }
        }
    };
    parallel_for(pairs.rows, grain_of(columns), thread_count(threads), stop, work);
}

}  // namespace crystal
