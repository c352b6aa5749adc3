#pragma once
// Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy
// as 1, 2, 3", SC 2011). A block of four words is a function of a counter and a key, so a replicate can be
// computed alone, in any order, on any thread, and always has the same numbers.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace crystal {

using PhiloxCounter = std::array<std::uint32_t, 4>;
using PhiloxKey = std::array<std::uint32_t, 2>;

PhiloxCounter philox4x32(PhiloxCounter counter, PhiloxKey key);

// One block under a fixed key mixes the caller's seed and key, so that neither has to be random itself.
PhiloxKey derive_key(std::uint64_t seed, std::uint64_t key);

// Two keys, for two streams that do not disturb one another; the first is the one above.
std::array<PhiloxKey, 2> derive_keys(std::uint64_t seed, std::uint64_t key);

// The first words of eight consecutive replicates, made together: most replicates need no more.
inline constexpr std::size_t head_words = 8;
inline constexpr std::size_t heads_at_once = 8;
using StreamHeads = std::array<std::array<std::uint32_t, head_words>, heads_at_once>;
StreamHeads stream_heads(PhiloxKey key, std::uint64_t first_replicate);

// The four words of one position in sixteen consecutive replicates: word w of replicate first + 2 i + h is
// number 32 h + 8 w + i. `out` is aligned to 32 bytes.
inline constexpr std::size_t replicate_lanes = 16;
void lane_words(PhiloxKey key, std::uint64_t position, std::uint64_t first_replicate, std::uint32_t* out);

// The numbers of one replicate. Counter: 64 bits of position, 64 bits of replicate. The first two blocks are
// read one after the other; from then on blocks are made eight at a time and read word by word across the
// eight (all first words, then all second words, ...).
class Stream {
  public:
    Stream(PhiloxKey key, std::uint64_t replicate) : key_(key), replicate_(replicate) {}

    // The same, with the replicate's head at hand.
    Stream(PhiloxKey key, std::uint64_t replicate, const std::array<std::uint32_t, head_words>& head)
        : key_(key), replicate_(replicate) {
        start(head);
    }

    std::uint32_t next32() {
        if (at_ == words) refill();
        return buffer_[at_++];
    }

    // Two consecutive words, the first one low; a lone last word of the buffer is passed over.
    std::uint64_t next64() {
        if (at_ + 1 >= words) refill();
        const std::uint64_t low = buffer_[at_];
        const std::uint64_t high = buffer_[at_ + 1];
        at_ += 2;
        return low | (high << 32);
    }

    // Four bytes a word; what is left of the last word is passed over.
    void bytes(std::span<std::uint8_t> out) {
        for (std::size_t done = 0; done < out.size();) {
            if (at_ == words) refill();
            const std::size_t part = std::min(4 * (words - at_), out.size() - done);
            std::memcpy(out.data() + done, buffer_.data() + at_, part);
            at_ += (part + 3) / 4;
            done += part;
        }
    }

    // Uniform on the multiples of 2^-53 in [0, 1).
    double uniform() { return static_cast<double>(next64() >> 11) * 0x1p-53; }

    // Uniform on the odd multiples of 2^-54 in (0, 1): for a logarithm.
    double open_uniform() { return (static_cast<double>(next64() >> 11) + 0.5) * 0x1p-53; }

    // Exactly uniform on 0 .. n - 1, n > 0 (Lemire 2019, "Fast random integer generation in an interval").
    std::uint32_t below(std::uint32_t n) {
        std::uint64_t product = static_cast<std::uint64_t>(next32()) * n;
        if (static_cast<std::uint32_t>(product) < n) [[unlikely]] {
            const std::uint32_t threshold = (0U - n) % n;
            while (static_cast<std::uint32_t>(product) < threshold) {
                product = static_cast<std::uint64_t>(next32()) * n;
            }
        }
        return static_cast<std::uint32_t>(product >> 32);
    }

  private:
    static constexpr std::size_t words = 32;

    void refill();

    void start(const std::array<std::uint32_t, head_words>& head) {
        at_ = words - head_words;
        for (std::size_t i = 0; i < head_words; ++i) buffer_[at_ + i] = head[i];
        position_ = head_words / 4;
    }

    PhiloxKey key_;
    std::uint64_t replicate_;
    std::uint64_t position_ = 0;
    std::size_t at_ = words;
    alignas(32) std::array<std::uint32_t, words> buffer_;
};

}  // namespace crystal
