#pragma once
// The small table that catches frequent sequences while they are read.
#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "crystal/column.hpp"
#include "crystal/sequences_hash.hpp"

namespace crystal::sequences {

using Key = std::span<const std::uint8_t>;

// Some of the sequences that were met, numbered as they came, with their keys: what is found here needs no
// place in a run. The keys lie behind one another, the frequent ones first, because those are met first;
// nothing is evicted, and a full front takes no more. All workers share it: a record is written before its
// slot points to it, and never again. What changes with every sample, its count, each worker keeps for
// itself.
template <class Entry>
class Front {
    // A key's record in words of four bytes: its number, its size, its bytes, a block of them at least.
    static constexpr std::size_t kHead = 2, kBlock = kBlockBytes / 4, kMostWords = std::size_t{1} << 22,
                                 kProbes = 16;
    // A slot is 10 bits of hash above the record's place in 22 bits: half a million bytes of slots, so that
    // they and the most frequent keys fit a core's own cache. Place 0 is nobody's.
    static constexpr int kMostBits = 17, kPlaceBits = 22;
    static constexpr std::uint32_t kPlace = (1U << kPlaceBits) - 1;

  public:
    Front(std::size_t rows, std::size_t bytes)
        : bits_(std::clamp(static_cast<int>(std::bit_width(rows)) + 1, 6, kMostBits)),
          most_(std::min(rows, std::size_t{1} << bits_)),
          room_(std::min(1 + rows * (kHead + kBlock) + bytes / 4, kMostWords)),
          slots_((std::size_t{1} << bits_) + kProbes),
          words_(room_),
          entries_(most_) {}

    // Numbers are below this.
    std::size_t most() const noexcept { return most_; }
    // How many numbers were given.
    std::size_t size() const noexcept { return std::min(numbers_.load(std::memory_order_relaxed), most_); }
    // What had this number when it came.
    const Entry& entry(std::size_t number) const noexcept { return entries_[number]; }

    void prefetch(std::uint64_t hash) const noexcept { __builtin_prefetch(&slots_[home(hash)]); }

    // Where this sequence probably is, where it is from now on if there was room for it, or 0.
    std::uint32_t find_or_add(const Entry& entry, Key key) {
        return look(entry, key, [&](std::uint32_t at) {
            // Short records take one line or two, and a loop over them would be guessed wrong.
            const std::uint32_t* const from = &words_[at];
            const std::size_t last = std::min<std::size_t>(kHead + key.size() / 4, 128);
            __builtin_prefetch(from);
            __builtin_prefetch(from + 9);
            for (std::size_t word = 25; word < last + 15; word += 16)
                __builtin_prefetch(from + std::min(word, last));
            return true;
        });
    }

    // The same with every comparison made: for the rare sequence whose mark is another's.
    std::uint32_t search(const Entry& entry, Key key, bool whole) {
        return look(entry, key, [&](std::uint32_t at) { return holds(at, key, whole); });
    }

    // `whole`: a block may be read at the key.
    bool holds(std::uint32_t at, Key key, bool whole) const noexcept {
        if (words_[at + 1] != key.size()) return false;
        const auto* const held = reinterpret_cast<const std::uint8_t*>(&words_[at + kHead]);
        return whole ? same_blocks(held, key.data(), key.size()) : same_bytes(held, key.data(), key.size());
    }

    std::uint32_t number(std::uint32_t at) const noexcept { return words_[at]; }

  private:
    std::size_t home(std::uint64_t hash) const noexcept {
        return static_cast<std::size_t>(hash >> (64 - bits_));
    }

    // The first place with this mark that is accepted, or that of a new record where the way ends before one
    // is.
    template <class Accept>
    std::uint32_t look(const Entry& entry, Key key, Accept&& accept) {
        const std::uint32_t mark = static_cast<std::uint32_t>(entry.hash) & ~kPlace;
        std::uint32_t mine = 0;
        for (std::size_t slot = home(entry.hash), end = slot + kProbes; slot < end; ++slot) {
            std::atomic_ref<std::uint32_t> at(slots_[slot]);
            std::uint32_t held = at.load(std::memory_order_acquire);
            if (held == 0) {
                if (mine == 0) mine = write(entry, key);
                if (mine == 0) return 0;
                if (at.compare_exchange_strong(held, mark | mine, std::memory_order_release,
                                               std::memory_order_acquire))
                    return mine;
                // Another worker was faster, perhaps with this very sequence.
            }
            if ((held & ~kPlace) == mark && accept(held & kPlace)) return held & kPlace;
        }
        return 0;
    }

    std::uint32_t write(const Entry& entry, Key key) {
        if (full_.load(std::memory_order_relaxed)) return 0;
        const std::size_t size = kHead + std::max((key.size() + 3) / 4, kBlock);
        const std::size_t at = size > room_ ? room_ : used_.fetch_add(size, std::memory_order_relaxed);
        const std::size_t number =
            at + size > room_ ? most_ : numbers_.fetch_add(1, std::memory_order_relaxed);
        if (number >= most_) {
            full_.store(true, std::memory_order_relaxed);
            return 0;
        }
        entries_[number] = entry;
        words_[at] = static_cast<std::uint32_t>(number);
        words_[at + 1] = static_cast<std::uint32_t>(key.size());
        std::fill_n(&words_[at + kHead], kBlock, 0U);
        if (!key.empty()) std::memcpy(&words_[at + kHead], key.data(), key.size());
        return static_cast<std::uint32_t>(at);
    }

    int bits_;
    std::size_t most_, room_;
    std::vector<std::uint32_t> slots_;
    Column<std::uint32_t> words_;
    Column<Entry> entries_;
    // On a line of their own: what changes with every new sequence must not take the rest, which every look
    // reads, away from the other cores.
    alignas(128) std::atomic<std::size_t> numbers_{0};
    std::atomic<std::size_t> used_{1};
    alignas(128) std::atomic<bool> full_{false};
};

}  // namespace crystal::sequences
