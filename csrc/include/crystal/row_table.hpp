#pragma once
// Packed row keys to one int64 each: the innermost loop of counting.
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "crystal/slot_index.hpp"

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
    // Values are never negative: -1 is none, and a row that has it is no row.
    static constexpr std::int64_t kNoValue = -1;

    RowTable() : parts_(kHashParts) {}

    std::size_t size() const;
    std::size_t nbytes() const;

    // Puts below 2^32 rows, each part by one thread. Returns the first row whose value conflicts (of its
    // part, the rows before it are in), or rows.size().
    template <class Policy>
    std::size_t put(std::span<const Row> rows, std::size_t threads);

    // The value under this key, kNoValue if there is none.
    std::int64_t find(const RowKey& key) const;

    // Calls visit(row) for every row, those that came first to a part before others.
    template <class Visit>
    void each(Visit&& visit) const {
        for (const Part& part : parts_) {
            for (std::uint32_t number = 0; number < part.index.size(); ++number) visit(part.row(number));
        }
    }

  private:
    static constexpr std::size_t kChunk = 64;

    // Rows in chunks that never move; what grows is the index.
    struct Part {
        std::vector<std::unique_ptr<Row[]>> chunks;
        SlotIndex index;

        Row& row(std::uint32_t number) const noexcept { return chunks[number / kChunk][number % kChunk]; }
    };

    std::vector<Part> parts_;
};

extern template std::size_t RowTable::put<Add>(std::span<const Row>, std::size_t);
extern template std::size_t RowTable::put<Same>(std::span<const Row>, std::size_t);

}  // namespace crystal
