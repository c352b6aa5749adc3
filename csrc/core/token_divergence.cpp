#include "crystal/token_divergence.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "token_formats.hpp"

namespace crystal {
namespace {

constexpr double ln2 = 0.6931471805599453;

struct Side {
    double level;
    std::int64_t status;
};

// Temperature times logsumexp, from the sums of one read; log2(e) / temperature was rounded to `scale` there.
Side level_of(const tokens::Sums& row, double temperature) {
    if (std::isnan(row.s) || row.maximum > static_cast<double>(tokens::largest_logit))
        return {0.0, token_invalid};
    if (row.s == 0.0) return {0.0, token_empty};
    const double rounding = row.maximum * static_cast<double>(static_cast<float>(1.0 / (ln2 * temperature)));
    return {row.maximum + temperature * ln2 * (std::log2(row.s) - (rounding - row.shift)), 0};
}

const void* row_of(const TokenRows& rows, std::size_t row) {
    const std::ptrdiff_t offset = static_cast<std::ptrdiff_t>(row / rows.time) * rows.stride_batch +
                                  static_cast<std::ptrdiff_t>(row % rows.time) * rows.stride_time;
    return static_cast<const char*>(rows.logits) + offset * (rows.type == LogitType::float32 ? 4 : 2);
}

}  // namespace

void token_divergences(const TokenRows& p, const TokenRows& q, double temperature, bool given, TokenPath path,
                       std::size_t threads, TokenDivergences out, StopFlag stop) {
    const std::size_t n = p.rows;
    if (q.rows != n || q.vocabulary != p.vocabulary || q.type != p.type || p.tokens.size() != n ||
        out.sums.size() != divergence_sums * n || out.levels.size() != 2 * n || out.status.size() != n)
        throw std::invalid_argument("both sides, tokens and sums do not match");
    if (!token_path_available(path))
        throw std::invalid_argument("this processor lacks the path's instructions");
    const bool vector = path != TokenPath::scalar && token_path_available(TokenPath::avx2);
    const tokens::RowFunction read = tokens::row_on(path, p.type, TokenLevel::core);
    const tokens::PairFunction compare = vector ? tokens::avx2_pair(p.type) : tokens::scalar_pair(p.type);
    const float scale = static_cast<float>(1.0 / (ln2 * temperature));
    const auto work = [&](std::size_t begin, std::size_t end) {
        for (std::size_t row = begin; row < end; ++row) {
            throw_if(stop);
            const void *x = row_of(p, row), *y = row_of(q, row);
            double *p_level = &out.levels[row], *q_level = &out.levels[n + row];
            if (!given) {
                // An ignored row has no logits: nothing of it is read.
                const bool ignored = p.tokens[row] == p.ignored_id;
                const Side one = ignored ? Side{0.0, token_ignored}
                                         : level_of(read(x, p.vocabulary, scale, 0.0F), temperature);
                const Side two = ignored ? one : level_of(read(y, q.vocabulary, scale, 0.0F), temperature);
                *p_level = one.level;
                *q_level = two.level;
                out.status[row] = one.status | two.status;
            }
            tokens::PairSums sums{};
            if (out.status[row] == 0) sums = compare(x, y, p.vocabulary, *p_level, *q_level, temperature);
            const std::int64_t local = p.tokens[row] - p.first_id;
            const bool inside =
                out.status[row] == 0 && local >= 0 && local < static_cast<std::int64_t>(p.vocabulary);
            const double none = std::numeric_limits<double>::quiet_NaN();
            const double fields[divergence_sums] = {
                sums.forward,
                sums.backward,
                sums.square,
                sums.js,
                sums.apart,
                sums.more,
                sums.noise,
                sums.highest,
                sums.lowest,
                inside ? static_cast<double>(tokens::logit_at(p.type, x, local)) : none,
                inside ? static_cast<double>(tokens::logit_at(q.type, y, local)) : none};
            for (std::size_t f = 0; f < divergence_sums; ++f) out.sums[f * n + row] = fields[f];
        }
    };
    // A thread is worth its start from about a quarter of a million pairs on.
    const std::size_t grain = std::max<std::size_t>(1, (1U << 18) / std::max<std::size_t>(1, p.vocabulary));
    parallel_for(n, grain, thread_count(threads), stop, work);
}

}  // namespace crystal
