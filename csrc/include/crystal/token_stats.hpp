#pragma once
// One read of the logits: the state of every row, from which all token statistics follow.
#include <cstddef>
#include <cstdint>
#include <span>

#include "crystal/threads.hpp"

namespace crystal {

enum class LogitType { float32, float16, bfloat16 };

// How much of the state is computed; what lies beyond is left at zero.
enum class TokenLevel { core, standard, all };

// Where a call has no avx512 form, it takes its avx2 form.
enum class TokenPath { best, scalar, avx2, avx512 };

// Rows of logits where they lie: strides in elements, 1 along the vocabulary. Row r is (r / time, r % time).
struct TokenRows {
    const void* logits;
    LogitType type;
    std::size_t rows, time, vocabulary;
    std::ptrdiff_t stride_batch, stride_time;
    std::span<const std::int64_t> tokens;
    std::span<const float> chosen;  // the tokens' logits, where they may lie in another part; else empty
    std::int64_t ignored_id, first_id;
};

// floats [8, temperatures, rows] are maximum, shift, sum, first, second, square, chosen, above; counts
// [4, temperatures, rows] are argmax, greater, equal, status. See kernels/token_fields.py.
struct TokenStates {
    std::span<double> floats;
    std::span<std::int64_t> counts;
};

inline constexpr std::size_t token_floats = 8, token_counts = 4;
inline constexpr std::int64_t token_ignored = 4;

// Whether this machine can take a path; `best` and `scalar` always can.
bool token_path_available(TokenPath path);

// Fills `out`. The bytes depend neither on the threads nor on the path. A row comes from memory once: for
// further temperatures it is still in the cache.
void token_states(const TokenRows& rows, std::span<const double> temperatures, TokenLevel level,
                  TokenPath path, std::size_t threads, TokenStates out, StopFlag stop);

}  // namespace crystal
