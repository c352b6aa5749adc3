#include "crystal/minhash.hpp"

#include <algorithm>
#include <stdexcept>

#include "crystal/philox.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace crystal {
namespace {

constexpr std::size_t kBlock = 32;  // permutations that are made together: four registers of eight
constexpr std::size_t kHashes = 2048;
constexpr std::uint64_t kFactorStream = 0x6d696e68617368ULL;

void extremes_scalar(std::span<const std::uint32_t> hashes, std::span<const std::uint32_t> factors,
                     std::uint32_t* least, std::uint32_t* most) {
    for (std::size_t i = 0; i < factors.size(); ++i) {
        for (const std::uint32_t hash : hashes) {
            least[i] = std::min(least[i], hash * factors[i]);
            most[i] = std::max(most[i], hash * factors[i]);
        }
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) void extremes_avx2(std::span<const std::uint32_t> hashes,
                                                   std::span<const std::uint32_t> factors,
                                                   std::uint32_t* least, std::uint32_t* most) {
    for (std::size_t i = 0; i < factors.size(); i += kBlock) {
        const auto* const from = reinterpret_cast<const __m256i*>(factors.data() + i);
        auto* const low = reinterpret_cast<__m256i*>(least + i);
        auto* const high = reinterpret_cast<__m256i*>(most + i);
        const __m256i f0 = _mm256_loadu_si256(from), f1 = _mm256_loadu_si256(from + 1);
        const __m256i f2 = _mm256_loadu_si256(from + 2), f3 = _mm256_loadu_si256(from + 3);
        __m256i l0 = _mm256_loadu_si256(low), l1 = _mm256_loadu_si256(low + 1);
        __m256i l2 = _mm256_loadu_si256(low + 2), l3 = _mm256_loadu_si256(low + 3);
        __m256i h0 = _mm256_loadu_si256(high), h1 = _mm256_loadu_si256(high + 1);
        __m256i h2 = _mm256_loadu_si256(high + 2), h3 = _mm256_loadu_si256(high + 3);
        for (const std::uint32_t hash : hashes) {
            const __m256i x = _mm256_set1_epi32(static_cast<int>(hash));
            __m256i product = _mm256_mullo_epi32(x, f0);
            l0 = _mm256_min_epu32(l0, product);
            h0 = _mm256_max_epu32(h0, product);
            product = _mm256_mullo_epi32(x, f1);
            l1 = _mm256_min_epu32(l1, product);
            h1 = _mm256_max_epu32(h1, product);
            product = _mm256_mullo_epi32(x, f2);
            l2 = _mm256_min_epu32(l2, product);
            h2 = _mm256_max_epu32(h2, product);
            product = _mm256_mullo_epi32(x, f3);
            l3 = _mm256_min_epu32(l3, product);
            h3 = _mm256_max_epu32(h3, product);
        }
        _mm256_storeu_si256(low, l0);
        _mm256_storeu_si256(low + 1, l1);
        _mm256_storeu_si256(low + 2, l2);
        _mm256_storeu_si256(low + 3, l3);
        _mm256_storeu_si256(high, h0);
        _mm256_storeu_si256(high + 1, h1);
        _mm256_storeu_si256(high + 2, h2);
        _mm256_storeu_si256(high + 3, h3);
    }
}
#endif

}  // namespace

bool minhash_path_available(MinhashPath path) {
#if defined(__x86_64__)
    if (path == MinhashPath::avx2) return __builtin_cpu_supports("avx2");
#endif
    return path != MinhashPath::avx2;
}

MinHasher::MinHasher(const Shingles& shingles, std::size_t places, MinhashPath path)
    : shingles_(shingles), half_((places + 1) / 2), extremes_(extremes_scalar) {
    if (!minhash_path_available(path)) throw std::invalid_argument("this processor has no AVX2");
#if defined(__x86_64__)
    if (path != MinhashPath::scalar && minhash_path_available(MinhashPath::avx2)) extremes_ = extremes_avx2;
#endif
    factors_.resize((half_ + kBlock - 1) / kBlock * kBlock, 1);
    Stream words(derive_key(shingles.seed, kFactorStream), 0);
    for (std::size_t i = 0; i < half_; ++i) factors_[i] = words.next32() | 1U;
    extreme_.resize(2 * factors_.size());
    hashes_.resize(kHashes);
}

void MinHasher::sign(const RaggedView& ragged, std::size_t row, std::span<std::uint32_t> out) {
    row_.read(ragged, row, shingles_.units);
    // Where no block is padded, the signature is made where it belongs.
    const std::size_t size = factors_.size();
    const bool whole = out.size() == 2 * size;
    std::uint32_t* const least = whole ? out.data() : extreme_.data();
    std::fill_n(least, size, 0xffffffffU);
    std::fill_n(least + size, size, 0U);
    std::size_t waiting = 0;
    const auto flush = [&] {
        extremes_(std::span(hashes_).first(waiting), factors_, least, least + size);
        waiting = 0;
    };
    each_shingle(row_.codes(), shingles_, [&](std::uint64_t hash, std::size_t) {
        if (waiting == kHashes) flush();
        hashes_[waiting++] = static_cast<std::uint32_t>(hash >> 32);
    });
    flush();
    if (whole) return;
    std::copy_n(least, half_, out.begin());
    std::copy_n(least + size, out.size() - half_, out.begin() + static_cast<std::ptrdiff_t>(half_));
}

void minhash(const RaggedView& ragged, const MinhashOptions& options, std::span<std::uint32_t> out) {
    check_shingles(ragged, options.shingles);
    const std::size_t rows = ragged.rows(), places = options.places;
    if (places == 0 || out.size() / places != rows || out.size() % places != 0) {
        throw std::invalid_argument("a signature has at least one place, and each row has one signature");
    }
    const std::size_t threads = thread_count(options.threads);
    const auto at = [&](std::size_t row) { return out.begin() + static_cast<std::ptrdiff_t>(row * places); };
    const auto hash_rows = [&](std::size_t count, auto&& row_of) {
        parallel_for(count, 256, threads, options.stop, [&](std::size_t begin, std::size_t end) {
            MinHasher hasher(options.shingles, places, options.path);
            for (std::size_t i = begin; i < end; ++i) {
                hasher.sign(ragged, row_of(i), out.subspan(row_of(i) * places, places));
            }
        });
    };
    if (!many_equal(ragged)) return hash_rows(rows, [](std::size_t row) { return row; });
    const SequenceCounts found = count_sequences(ragged, {true, true, options.threads, options.stop});
    const auto first = [&](std::size_t id) { return static_cast<std::size_t>(found.first[id]); };
    hash_rows(found.first.size(), first);
    parallel_for(rows, 4096, threads, options.stop, [&](std::size_t begin, std::size_t end) {
        for (std::size_t row = begin; row < end; ++row) {
            const std::size_t from = first(static_cast<std::size_t>(found.inverse[row]));
            if (from != row) std::copy_n(at(from), places, at(row));
        }
    });
}

}  // namespace crystal
