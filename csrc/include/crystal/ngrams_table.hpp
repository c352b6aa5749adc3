#pragma once
// Keys of n-grams, and the table that counts those of one part.
#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "crystal/hash.hpp"
#include "crystal/sequences.hpp"

namespace crystal::ngrams {

inline std::uint32_t element(const RaggedView& ragged, const std::uint8_t* row, std::size_t index) noexcept {
    if (ragged.width == 1) return row[index];
    std::uint32_t value;
    std::memcpy(&value, row + 4 * index, sizeof value);
    return value;
}

// An n-gram whose elements fit 64 bits together. mix64 is a bijection, so the hash is the n-gram itself.
struct Narrow {
    std::uint64_t hash;

    // Rolls over a row's elements.
    class Window {
      public:
        Window(int n, int bits) : bits_(bits), mask_(n * bits >= 64 ? ~0ULL : (1ULL << (n * bits)) - 1) {}
        void push(std::uint32_t value) noexcept {
            // bits_ is at most 32, so the shift is defined.
            packed_ = ((packed_ << bits_) | value) & mask_;
        }
        Narrow get() const noexcept { return {mix64(packed_)}; }

      private:
        int bits_;
        std::uint64_t mask_, packed_ = 0;
    };

    bool operator==(const Narrow&) const = default;
};

// Up to four elements of 32 bits; a bijection again, one half after the other.
struct Broad {
    std::uint64_t hash, rest;

    class Window {
      public:
        Window(int n, int) : mask_(n == 4 ? ~0ULL : 0xffffffffULL) {}
        void push(std::uint32_t value) noexcept {
            high_ = ((high_ << 32) | (low_ >> 32)) & mask_;
            low_ = (low_ << 32) | value;
        }
        Broad get() const noexcept {
            const std::uint64_t mixed = mix64(low_);
            return {mix64(high_ ^ mixed), mixed};
        }

      private:
        std::uint64_t mask_, high_ = 0, low_ = 0;
    };

    bool operator==(const Broad&) const = default;
};

template <class Gram>
struct Weighted : Gram {
    std::int64_t weight;
};

// Counts of n-grams whose hashes have the same top bits. Open addressing, at most half full; a count of zero
// marks an empty slot.
template <class Gram>
class Table {
  public:
    struct Slot {
        Gram gram;
        std::int64_t count;
    };

    void clear(int skip) {
        skip_ = skip;
        used_ = 0;
        slots_.assign(1024, Slot{});
        shift_ = 64 - 10;
    }

    void add(const Gram& gram, std::int64_t weight) {
        Slot& slot = find(gram);
        if (slot.count == 0) {
            slot = {gram, weight};
            if (2 * ++used_ > slots_.size()) grow();
        } else {
            slot.count += weight;
        }
    }

    const std::vector<Slot>& slots() const noexcept { return slots_; }

  private:
    Slot& find(const Gram& gram) noexcept {
        std::size_t at = static_cast<std::size_t>((gram.hash << skip_) >> shift_);
        while (slots_[at].count != 0 && !(slots_[at].gram == gram)) at = (at + 1) & (slots_.size() - 1);
        return slots_[at];
    }

    void grow() {
        std::vector<Slot> before(2 * slots_.size());
        before.swap(slots_);
        --shift_;
        for (const Slot& slot : before) {
            if (slot.count != 0) find(slot.gram) = slot;
        }
    }

    std::vector<Slot> slots_;
    std::size_t used_ = 0;
    int skip_ = 0, shift_ = 0;
};

// How many different n-grams one sequence has: a table that is emptied by raising a stamp.
template <class Gram>
class Distinct {
  public:
    void start(std::size_t ngrams) {
        const std::size_t size = std::bit_ceil(std::max<std::size_t>(2 * ngrams, 16));
        if (size > slots_.size() || ++stamp_ == 0) {
            slots_.assign(std::max(size, slots_.size()), Slot{});
            stamp_ = 1;
        }
        mask_ = size - 1;
        found_ = 0;
    }
    void add(const Gram& gram) noexcept {
        std::size_t at = static_cast<std::size_t>(gram.hash) & mask_;
        while (slots_[at].stamp == stamp_) {
            if (slots_[at].gram == gram) return;
            at = (at + 1) & mask_;
        }
        slots_[at] = {gram, stamp_};
        ++found_;
    }
    std::int32_t found() const noexcept { return found_; }

  private:
    struct Slot {
        Gram gram;
        std::uint32_t stamp;
    };
    std::vector<Slot> slots_;
    std::size_t mask_ = 0;
    std::uint32_t stamp_ = 0;
    std::int32_t found_ = 0;
};

}  // namespace crystal::ngrams
