#include "crystal/philox.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace crystal {
namespace {

constexpr std::uint32_t multiplier0 = 0xD2511F53;
constexpr std::uint32_t multiplier1 = 0xCD9E8D57;
constexpr std::uint32_t weyl0 = 0x9E3779B9;
constexpr std::uint32_t weyl1 = 0xBB67AE85;
constexpr int rounds = 10;
constexpr std::size_t lanes = 8;

// Eight blocks, at consecutive positions or of consecutive replicates.
struct Counters {
    std::uint64_t position, replicate;
    std::uint64_t position_step, replicate_step;
};

void eight_blocks(PhiloxKey key, const Counters& first, std::uint32_t* out) {
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        const std::uint64_t at = first.position + lane * first.position_step;
        const std::uint64_t of = first.replicate + lane * first.replicate_step;
        const PhiloxCounter block =
            philox4x32({static_cast<std::uint32_t>(at), static_cast<std::uint32_t>(at >> 32),
                        static_cast<std::uint32_t>(of), static_cast<std::uint32_t>(of >> 32)},
                       key);
        for (std::size_t word = 0; word < 4; ++word) out[word * lanes + lane] = block[word];
    }
}

#if defined(__x86_64__)
// One 32-bit word of four counters in four 64-bit lanes; the upper halves may hold rubbish, since the
// widening product looks at the lower ones only.
struct Four {
    __m256i c0, c1, c2, c3;
};

__attribute__((target("avx2"), always_inline)) inline void round_avx2(Four& x, __m256i key0, __m256i key1) {
    const __m256i product0 = _mm256_mul_epu32(x.c0, _mm256_set1_epi64x(multiplier0));
    const __m256i product1 = _mm256_mul_epu32(x.c2, _mm256_set1_epi64x(multiplier1));
    x.c0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(product1, 32), x.c1), key0);
    x.c2 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(product0, 32), x.c3), key1);
    x.c1 = product1;
    x.c3 = product0;
}

// The lower halves of two registers of four lanes, as eight consecutive words.
__attribute__((target("avx2"), always_inline)) inline void store_avx2(std::uint32_t* out, __m256i first,
                                                                      __m256i second) {
    const __m256i even = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    const __m256i low = _mm256_permutevar8x32_epi32(first, even);
    const __m256i high = _mm256_permutevar8x32_epi32(second, even);
    _mm256_store_si256(reinterpret_cast<__m256i*>(out), _mm256_blend_epi32(low, high, 0xF0));
}

__attribute__((target("avx2"))) void eight_blocks_avx2(PhiloxKey key, const Counters& first,
                                                       std::uint32_t* out) {
    alignas(32) std::array<std::uint64_t, lanes> at, of;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        at[lane] = first.position + lane * first.position_step;
        of[lane] = first.replicate + lane * first.replicate_step;
    }
    const auto* positions = reinterpret_cast<const __m256i*>(at.data());
    const auto* replicates = reinterpret_cast<const __m256i*>(of.data());
    const __m256i at_a = _mm256_load_si256(positions), at_b = _mm256_load_si256(positions + 1);
    const __m256i of_a = _mm256_load_si256(replicates), of_b = _mm256_load_si256(replicates + 1);
    Four a{at_a, _mm256_srli_epi64(at_a, 32), of_a, _mm256_srli_epi64(of_a, 32)};
    Four b{at_b, _mm256_srli_epi64(at_b, 32), of_b, _mm256_srli_epi64(of_b, 32)};
    __m256i key0 = _mm256_set1_epi64x(key[0]);
    __m256i key1 = _mm256_set1_epi64x(key[1]);
    for (int i = 0; i < rounds; ++i) {
        round_avx2(a, key0, key1);
        round_avx2(b, key0, key1);
        key0 = _mm256_add_epi32(key0, _mm256_set1_epi64x(weyl0));
        key1 = _mm256_add_epi32(key1, _mm256_set1_epi64x(weyl1));
    }
    store_avx2(out, a.c0, b.c0);
    store_avx2(out + lanes, a.c1, b.c1);
    store_avx2(out + 2 * lanes, a.c2, b.c2);
    store_avx2(out + 3 * lanes, a.c3, b.c3);
}

bool has_avx2() {
    static const bool answer = __builtin_cpu_supports("avx2") != 0;
    return answer;
}
#endif

void make_eight(PhiloxKey key, const Counters& first, std::uint32_t* out) {
#if defined(__x86_64__)
    if (has_avx2()) return eight_blocks_avx2(key, first, out);
#endif
    eight_blocks(key, first, out);
}

}  // namespace

PhiloxCounter philox4x32(PhiloxCounter counter, PhiloxKey key) {
    for (int i = 0; i < rounds; ++i) {
        const std::uint64_t product0 = static_cast<std::uint64_t>(multiplier0) * counter[0];
        const std::uint64_t product1 = static_cast<std::uint64_t>(multiplier1) * counter[2];
        counter = {static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
                   static_cast<std::uint32_t>(product1),
                   static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
                   static_cast<std::uint32_t>(product0)};
        key[0] += weyl0;
        key[1] += weyl1;
    }
    return counter;
}

PhiloxKey derive_key(std::uint64_t seed, std::uint64_t key) { return derive_keys(seed, key)[0]; }

std::array<PhiloxKey, 2> derive_keys(std::uint64_t seed, std::uint64_t key) {
    const PhiloxCounter mixed =
        philox4x32({static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32),
                    static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)},
                   {0x63727973, 0x74616C00});
    return {PhiloxKey{mixed[0], mixed[1]}, PhiloxKey{mixed[2], mixed[3]}};
}

StreamHeads stream_heads(PhiloxKey key, std::uint64_t first_replicate) {
    alignas(32) std::array<std::uint32_t, head_words * lanes> blocks;
    make_eight(key, {0, first_replicate, 0, 1}, blocks.data());
    make_eight(key, {1, first_replicate, 0, 1}, blocks.data() + 4 * lanes);
    StreamHeads heads;
    for (std::size_t lane = 0; lane < lanes; ++lane) {
        for (std::size_t word = 0; word < head_words; ++word) heads[lane][word] = blocks[word * lanes + lane];
    }
    return heads;
}

void lane_words(PhiloxKey key, std::uint64_t position, std::uint64_t first_replicate, std::uint32_t* out) {
    make_eight(key, {position, first_replicate, 0, 2}, out);
    make_eight(key, {position, first_replicate + 1, 0, 2}, out + 4 * lanes);
}

void Stream::refill() {
    if (position_ == 0) return start(stream_heads(key_, replicate_)[0]);
    make_eight(key_, {position_, replicate_, 1, 0}, buffer_.data());
    position_ += lanes;
    at_ = 0;
}

}  // namespace crystal
