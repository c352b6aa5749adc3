#include "crystal/token_stats.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "token_formats.hpp"

namespace crystal {
namespace {

#if defined(__x86_64__) || defined(__i386__)
// Clang 14 knows no __builtin_cpu_supports("f16c").
bool has_f16c() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

bool has_avx2() {
#if defined(__x86_64__) || defined(__i386__)
    static const bool there = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    return there && tokens::avx2_row(LogitType::float32, TokenLevel::core) != nullptr;
#else
    return false;
#endif
}

bool has_avx512() {
#if defined(__x86_64__) || defined(__i386__)
    static const bool there = has_avx2() && __builtin_cpu_supports("avx512f");
    return there && tokens::avx512_row(LogitType::float32, TokenLevel::core) != nullptr;
#else
    return false;
#endif
}

}  // namespace

namespace tokens {

RowFunction row_on(TokenPath path, LogitType type, TokenLevel level) {
    const bool best = path == TokenPath::best;
    if (path == TokenPath::avx512 || (best && has_avx512())) return avx512_row(type, level);
    if (path == TokenPath::avx2 || (best && has_avx2())) return avx2_row(type, level);
    return scalar_row(type, level);
}

}  // namespace tokens

bool token_path_available(TokenPath path) {
    if (path == TokenPath::avx512) return has_avx512();
    return path != TokenPath::avx2 || has_avx2();
}

void token_states(const TokenRows& rows, std::span<const double> temperatures, TokenLevel level,
                  TokenPath path, std::size_t threads, TokenStates out, StopFlag stop) {
    const std::size_t n = rows.rows, plane = temperatures.size() * n;
    if (rows.tokens.size() != n || out.floats.size() != token_floats * plane ||
        out.counts.size() != token_counts * plane || (!rows.chosen.empty() && rows.chosen.size() != n))
        throw std::invalid_argument("rows, tokens and states do not match");
    if (!token_path_available(path))
        throw std::invalid_argument("this processor lacks the path's instructions");
    const tokens::RowFunction row_function = tokens::row_on(path, rows.type, level);
    const std::ptrdiff_t width = rows.type == LogitType::float32 ? 4 : 2;

    const auto fill = [&](const void* line, std::size_t row, double temperature, float chosen, bool ignored,
                          std::size_t place) {
        const double exact_scale = 1.4426950408889634 / temperature;
        const float scale = static_cast<float>(exact_scale);
        // An ignored row has no logits: nothing of it is read, and its state is the empty one.
        const tokens::Sums sums = row_function(line, ignored ? 0 : rows.vocabulary, scale, chosen);
        // The lanes scaled by a rounded number; with this shift the largest logit's exponent, maximum times
        // the exact scale less the shift, is what it was in the lanes.
        const double scaled = sums.maximum * static_cast<double>(scale);
        const double shift = sums.maximum * exact_scale + (sums.shift - scaled);
        const double floats[token_floats] = {sums.maximum, shift,  sums.s, sums.t,
                                             sums.u,       sums.q, chosen, sums.above};
        for (std::size_t f = 0; f < token_floats; ++f)  // one NaN for all of its bit patterns
            out.floats[f * plane + place + row] =
                std::isnan(floats[f]) ? std::numeric_limits<double>::quiet_NaN() : floats[f];
        const std::int64_t best = sums.best < 0 ? -1 : sums.best + rows.first_id;
        const std::int64_t counts[token_counts] = {best, sums.greater, sums.equal,
                                                   ignored ? token_ignored : 0};
        for (std::size_t f = 0; f < token_counts; ++f) out.counts[f * plane + place + row] = counts[f];
    };
    const auto work = [&](std::size_t begin, std::size_t end) {
        for (std::size_t row = begin; row < end; ++row) {
            throw_if(stop);
            const std::int64_t token = rows.tokens[row];
            const bool ignored = token == rows.ignored_id;
            const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(row / rows.time) * rows.stride_batch +
                                          static_cast<std::ptrdiff_t>(row % rows.time) * rows.stride_time;
            const std::int64_t local = token - rows.first_id;
            float chosen = std::numeric_limits<float>::quiet_NaN();
            if (!ignored && !rows.chosen.empty())
                chosen = rows.chosen[row];
            else if (!ignored && local >= 0 && local < static_cast<std::int64_t>(rows.vocabulary))
                chosen = tokens::logit_at(rows.type, rows.logits, offset + local);
            const auto* line = static_cast<const char*>(rows.logits) + offset * width;
            for (std::size_t k = 0; k < temperatures.size(); ++k)
                fill(line, row, temperatures[k], chosen, ignored, k * n);
        }
    };
    // A thread is worth its start from about a million logits on.
    const std::size_t grain =
        std::max<std::size_t>(1, (1U << 20) / std::max<std::size_t>(1, rows.vocabulary));
    parallel_for(n, grain, thread_count(threads), stop, work);
}

}  // namespace crystal
