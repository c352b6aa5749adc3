#pragma once
// Multinomial counts of a fixed size from fixed probabilities.
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "crystal/byte_counts.hpp"
#include "crystal/discrete_law.hpp"
#include "crystal/random_tables.hpp"

namespace crystal {

// A replicate's random numbers. The bytes of its samples are the same for any probabilities, so that
// replicates of similar probabilities, row after row, are alike; what else a sampler needs comes from the
// second stream.
struct MultinomialStreams {
    Stream even, uneven;
};

// Those of one replicate after the other, eight begun together.
class MultinomialReplicates {
  public:
    MultinomialReplicates(std::uint64_t seed, std::uint64_t key, std::uint64_t first)
        : keys_(derive_keys(seed, key)), first_(first) {}

    MultinomialStreams next() {
        const std::size_t lane = done_ % heads_at_once;
        const std::uint64_t replicate = first_ + done_++;
        if (lane == 0) {
            even_ = stream_heads(keys_[0], replicate);
            uneven_ = stream_heads(keys_[1], replicate);
        }
        return {Stream(keys_[0], replicate, even_[lane]), Stream(keys_[1], replicate, uneven_[lane])};
    }

  private:
    std::array<PhiloxKey, 2> keys_;
    std::uint64_t first_, done_ = 0;
    StreamHeads even_, uneven_;
};

// Of few samples each is a random byte. An option has floor(256 p) of the 256 values for itself; a sample on
// one of the values left over (fewer than there are options) is drawn again, from what the options still
// lack. Of many samples, each option gets a binomial share of what the options before it left.
class Multinomial {
  public:
    // `probabilities` are finite, not negative and not all zero; their sum is taken for 1.
    Multinomial(std::span<const double> probabilities, std::uint32_t size);

    // The bytes that a row of so many samples over so many options needs: none where there are many samples.
    static void draw_bytes(Stream& even, std::uint32_t size, std::size_t options,
                           std::vector<ByteSamples>& bytes);

    void sample(std::span<const ByteSamples> bytes, Stream& uneven, std::span<Cell> counts) const;

  private:
    void share_bytes(std::span<const double> probabilities);
    void count_bytes(std::span<const ByteSamples> bytes, Stream& uneven, std::span<Cell> counts) const;

    std::uint32_t size_;
    std::vector<std::uint8_t> last_;      // the last byte of an option that has some for itself
    std::vector<std::uint32_t> options_;  // which option that is
    std::vector<std::uint32_t> owners_;   // of each byte, where looking few samples up is faster
    std::optional<DiscreteLaw> rest_;     // of a sample on a byte that is nobody's
    std::vector<double> shares_;          // of an option among itself and those after it
};

}  // namespace crystal
