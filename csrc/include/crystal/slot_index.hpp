#pragma once
// Hashes to the numbers 0, 1, 2 ... of entries that lie elsewhere, by open addressing: 5 to 7.5 bytes an
// entry.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include "crystal/hash.hpp"

namespace crystal {

// What is split by hash has this many parts, so that each part is one thread's and grows by itself: the old
// slots of a part that grows are a sixteenth of all.
constexpr std::size_t kPartBits = 4, kHashParts = std::size_t{1} << kPartBits;

inline std::size_t part_of(std::uint64_t hash) noexcept {
    return static_cast<std::size_t>(hash >> (64 - kPartBits));
}

class SlotIndex {
  public:
    static constexpr std::uint32_t kNone = 0xffffffff;

    std::size_t size() const noexcept { return size_; }
    std::size_t nbytes() const noexcept { return slots_.capacity() * sizeof(std::uint32_t); }

    // Room for `more` further entries; hash_of(number) is the hash of one that is there.
    template <class HashOf>
    void reserve(std::size_t more, HashOf&& hash_of) {
        const std::size_t needed = size_ + more;
        if (needed * 5 <= slots_.size() * 4) return;
        const std::size_t slots = std::max(slots_.size() + slots_.size() / 2, needed * 5 / 4 + 1);
        if (slots >= kNone) throw std::length_error("a part of a table holds more entries than slots exist");
        std::vector<std::uint32_t> fresh(slots);
        slots_.swap(fresh);
        mask_ = std::bit_ceil(static_cast<std::uint64_t>(slots)) - 1;
        for (std::uint32_t number = 0; number < size_; ++number) {
            const std::uint64_t hash = hash_of(number);
            std::size_t at = home(hash);
            while (slots_[at] != 0) at = after(at);
            slots_[at] = slot(hash, number);
        }
    }

    void prefetch(std::uint64_t hash) const noexcept {
        if (!slots_.empty()) __builtin_prefetch(&slots_[home(hash)], 1);
    }

    // A guess without a look at any entry: the number that is most likely under this hash, kNone if none is.
    std::uint32_t guess(std::uint64_t hash) const noexcept {
        if (slots_.empty()) return kNone;
        std::size_t at = home(hash);
        while (slots_[at] != 0 && !like(slots_[at], hash)) at = after(at);
        return number_in(slots_[at]);
    }

    // The number under this hash that same(number) accepts, kNone if there is none.
    template <class Same>
    std::uint32_t find(std::uint64_t hash, Same&& same) const {
        return slots_.empty() ? kNone : number_in(slots_[probe(hash, same)]);
    }

    // The same, and where there is none the next number is given to it; room must have been made. The second
    // says whether it was there.
    template <class Same>
    std::pair<std::uint32_t, bool> find_or_add(std::uint64_t hash, Same&& same) {
        const std::size_t at = probe(hash, same);
        if (slots_[at] != 0) return {number_in(slots_[at]), true};
        const auto number = static_cast<std::uint32_t>(size_++);
        slots_[at] = slot(hash, number);
        return {number, false};
    }

  private:
    // The bits that chose the part say nothing within it.
    std::size_t home(std::uint64_t hash) const noexcept { return place(hash << kPartBits, slots_.size()); }
    std::size_t after(std::size_t at) const noexcept { return at + 1 == slots_.size() ? 0 : at + 1; }

    // A number, from 1 on, below bits of the hash: as many as are left, so that nearly every other entry is
    // told apart without a look at it.
    std::uint32_t slot(std::uint64_t hash, std::uint32_t number) const noexcept {
        const auto mask = static_cast<std::uint32_t>(mask_);
        return (static_cast<std::uint32_t>(hash) & ~mask) | (number + 1);
    }
    std::uint32_t number_in(std::uint32_t slot) const noexcept {
        return (slot & static_cast<std::uint32_t>(mask_)) - 1;  // an empty slot gives kNone
    }
    bool like(std::uint32_t slot, std::uint64_t hash) const noexcept {
        return ((slot ^ static_cast<std::uint32_t>(hash)) & ~static_cast<std::uint32_t>(mask_)) == 0;
    }

    template <class Same>
    std::size_t probe(std::uint64_t hash, Same&& same) const {
        std::size_t at = home(hash);
        while (slots_[at] != 0 && !(like(slots_[at], hash) && same(number_in(slots_[at])))) at = after(at);
        return at;
    }

    std::vector<std::uint32_t> slots_;
    std::uint64_t mask_ = 0;
    std::size_t size_ = 0;
};

// The numbers of many hashes in the order of their parts: part p has order[starts[p]] to order[starts[p +
// 1]], in the order that they came in.
struct ByPart {
    std::vector<std::uint32_t> order;
    std::size_t starts[kHashParts + 1] = {};

    // skip(i) leaves one out.
    template <class Skip>
    ByPart(const std::vector<std::uint64_t>& hashes, Skip&& skip) {
        for (std::size_t i = 0; i < hashes.size(); ++i) {
            if (!skip(i)) ++starts[part_of(hashes[i]) + 1];
        }
        for (std::size_t p = 0; p < kHashParts; ++p) starts[p + 1] += starts[p];
        order.resize(starts[kHashParts]);
        std::size_t next[kHashParts];
        std::copy(starts, starts + kHashParts, next);
        for (std::size_t i = 0; i < hashes.size(); ++i) {
            if (!skip(i)) order[next[part_of(hashes[i])]++] = static_cast<std::uint32_t>(i);
        }
    }
};

}  // namespace crystal
