#pragma once
// Packed row keys to one int64 each, by open addressing: the innermost loop of counting.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "crystal/hash.hpp"

namespace crystal {

// Up to four 32-bit ids in 16 bytes; column 0 in the top bits, so that keys order as their columns do.
struct RowKey {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    auto operator<=>(const RowKey&) const = default;

    static constexpr std::size_t kColumns = 4;
    using Ids = std::array<std::uint32_t, kColumns>;

    static RowKey pack(const Ids& ids) noexcept {
        return {static_cast<std::uint64_t>(ids[0]) << 32 | ids[1],
                static_cast<std::uint64_t>(ids[2]) << 32 | ids[3]};
    }
    Ids unpack() const noexcept {
        return {static_cast<std::uint32_t>(high >> 32), static_cast<std::uint32_t>(high),
                static_cast<std::uint32_t>(low >> 32), static_cast<std::uint32_t>(low)};
    }
};

struct Row {
    RowKey key;
    std::int64_t value;
};

// What happens when a key comes again. The caller has made sure that no sum leaves int64.
struct Add {
    static bool combine(std::int64_t& held, std::int64_t came) noexcept {
        held += came;
        return true;
    }
};

// Equal values are one; different ones are a conflict that the caller has to report.
struct Same {
    static bool combine(std::int64_t& held, std::int64_t came) noexcept { return held == came; }
};

class RowTable {
  public:
    // Values are never negative, so -1 marks an empty slot.
    static constexpr std::int64_t kEmpty = -1;
    static constexpr std::size_t kBlock = 64;

    // Tables that place keys alike fill each other from one end when merged, which takes quadratic time: so
    // before rows of `other` are put here in the order of its slots, call this. Places are never part of a
    // result.
    void place_unlike(const RowTable& other) {
        if (seed_ != other.seed_) return;
        seed_ = mix64(other.seed_);
        if (size_ > 0) rehash(slots_.size());
    }

    std::size_t size() const { return size_; }
    std::size_t nbytes() const { return slots_.capacity() * sizeof(Row); }
    // Every slot, the empty ones too (value kEmpty).
    std::span<const Row> slots() const { return slots_; }

    // Room for `more` further keys without growth.
    void reserve(std::size_t more) {
        const std::size_t needed = size_ + more;
        if (needed * 20 > slots_.size() * 17) grow(needed);
    }

    // Puts up to kBlock rows; their slots are fetched together, so a large table costs one wait a block and
    // not one a row. Returns the first row whose value conflicts (rows before it are in), or rows.size().
    template <class Policy>
    std::size_t put(std::span<const Row> rows) {
        reserve(rows.size());
        std::array<std::size_t, kBlock> places;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            places[i] = home(rows[i].key);
            __builtin_prefetch(&slots_[places[i]], 1);
        }
        for (std::size_t i = 0; i < rows.size(); ++i) {
            Row& slot = slots_[probe(rows[i].key, places[i])];
            if (slot.value == kEmpty) {
                slot = rows[i];
                ++size_;
            } else if (!Policy::combine(slot.value, rows[i].value)) {
                return i;
            }
        }
        return rows.size();
    }

    // The value under this key, kEmpty if there is none.
    std::int64_t find(const RowKey& key) const {
        return slots_.empty() ? kEmpty : slots_[probe(key, home(key))].value;
    }

  private:
    std::size_t home(const RowKey& key) const {
        return place(hash_pair(key.high, key.low, seed_), slots_.size());
    }

    std::size_t probe(const RowKey& key, std::size_t at) const {
        while (slots_[at].value != kEmpty && slots_[at].key != key) {
            if (++at == slots_.size()) at = 0;
        }
        return at;
    }

    void grow(std::size_t needed);
    void rehash(std::size_t slots);

    std::vector<Row> slots_;
    std::size_t size_ = 0;
    std::uint64_t seed_ = 1;
};

}  // namespace crystal
