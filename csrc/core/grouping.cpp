#include "crystal/grouping.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>

#include "crystal/hash.hpp"

namespace crystal {
namespace {

constexpr std::int32_t kFresh = -1;
constexpr std::size_t kBlock = 512;
constexpr std::size_t kLook = 64 * kBlock;
// Columns are taken together up to a table of this many cells, which stays in a core's own cache.
constexpr std::size_t kCached = std::size_t{1} << 16;

using Cells = std::array<std::uint64_t, kBlock>;

class DirectTable {
  public:
    explicit DirectTable(std::size_t cells) : numbers_(cells, kFresh) {}

    void fetch(const Cells&, std::size_t) {}
    std::int32_t& operator[](std::uint64_t cell) { return numbers_[cell]; }
    void added() {}

  private:
    std::vector<std::int32_t> numbers_;
};

class HashedTable {
  public:
    HashedTable() : slots_(kLeast) {}

    // A block's slots come from memory together; the room for it is made first, so that they stay in place.
    void fetch(const Cells& cells, std::size_t count) {
        if ((used_ + count) * 2 > slots_.size()) grow();
        for (std::size_t i = 0; i < count; ++i) __builtin_prefetch(&slots_[home(cells[i])], 1);
    }

    std::int32_t& operator[](std::uint64_t cell) {
        std::size_t at = home(cell);
        while (slots_[at].number != kFresh && slots_[at].cell != cell) at = (at + 1) & (slots_.size() - 1);
        slots_[at].cell = cell;
        return slots_[at].number;
    }

    void added() { ++used_; }

  private:
    struct Slot {
        std::uint64_t cell = 0;
        std::int32_t number = kFresh;
    };
    static constexpr std::size_t kLeast = 4096;

    std::size_t home(std::uint64_t cell) const {
        return static_cast<std::size_t>(mix64(cell)) & (slots_.size() - 1);
    }

    void grow() {
        std::vector<Slot> old(slots_.size() * 4);
        old.swap(slots_);
        for (const Slot& slot : old) {
            if (slot.number != kFresh) (*this)[slot.cell] = slot.number;
        }
    }

    std::vector<Slot> slots_;
    std::size_t used_ = 0;
};

// Gives each distinct cell a number; cells(begin, count, block) says what the rows of a block hold.
template <class Table, class Fill>
void number_cells(Table table, RowGroups& groups, StopFlag stop, Fill&& fill) {
    Cells cells;
    const std::size_t rows = groups.codes.size();
    groups.first.clear();
    for (std::size_t begin = 0; begin < rows; begin += kBlock) {
        if (begin % kLook == 0) throw_if(stop);
        const std::size_t count = std::min(kBlock, rows - begin);
        fill(begin, count, cells);
        table.fetch(cells, count);
        for (std::size_t i = 0; i < count; ++i) {
            std::int32_t& number = table[cells[i]];
            if (number == kFresh) {
                number = static_cast<std::int32_t>(groups.first.size());
                groups.first.push_back(static_cast<std::int64_t>(begin + i));
                table.added();
            }
            groups.codes[begin + i] = number;
        }
    }
}

std::size_t rows_of(std::size_t rows) {
    if (rows > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max()))
        throw std::invalid_argument("a batch has 2^31 rows or more");
    return rows;
}

void check(std::span<const CodeColumn> columns) {
    if (columns.empty()) throw std::invalid_argument("rows need a column to be grouped by");
    for (const CodeColumn& column : columns) {
        if (column.codes.size() != columns[0].codes.size())
            throw std::invalid_argument("the columns differ in length");
        // Without an early end, so that the compiler compares many at once.
        std::uint32_t most = 0;
        for (const std::int32_t code : column.codes)
            most = std::max(most, static_cast<std::uint32_t>(code) + 1U);
        if (most > column.entries) throw std::invalid_argument("an index points outside its dictionary");
    }
}

// Columns are folded into the groups so far, the largest first: an answer mostly belongs to one task, so the
// groups stay few. `hashing` false gives up where a table of all cells would be much larger than the batch.
bool fold(std::span<const CodeColumn> given, RowGroups& groups, bool hashing, StopFlag stop) {
    std::vector<CodeColumn> columns(given.begin(), given.end());
    std::ranges::stable_sort(columns, std::ranges::greater{}, &CodeColumn::entries);
    const std::size_t rows = rows_of(columns[0].codes.size());
    groups.codes.assign(rows, 0);
    groups.first.assign(1, 0);
    for (std::size_t done = 0; done < columns.size();) {
        std::size_t cells = groups.first.size();
        std::size_t next = done;
        do {
            cells *= columns[next].entries + 1;  // the groups so far and a column: below 2^63
            ++next;
        } while (next < columns.size() && cells <= kCached && cells * (columns[next].entries + 1) <= kCached);
        const auto part = std::span(columns).subspan(done, next - done);
        const auto fill = [&](std::size_t begin, std::size_t count, Cells& block) {
            for (std::size_t i = 0; i < count; ++i) {
                block[i] = static_cast<std::uint64_t>(groups.codes[begin + i]);
            }
            for (const CodeColumn& column : part) {
                const std::uint64_t entries = column.entries + 1;
                const std::int32_t* const codes = column.codes.data() + begin;
                for (std::size_t i = 0; i < count; ++i) {
                    block[i] = block[i] * entries +
                               static_cast<std::uint64_t>(static_cast<std::int64_t>(codes[i]) + 1);
                }
            }
        };
        if (cells <= std::max(2 * rows, kCached)) {
            number_cells(DirectTable(cells), groups, stop, fill);
        } else if (hashing) {
            number_cells(HashedTable(), groups, stop, fill);
        } else {
            return false;
        }
        done = next;
    }
    return true;
}

}  // namespace

RowGroups group_rows(std::span<const CodeColumn> columns, StopFlag stop) {
    check(columns);
    RowGroups groups;
    fold(columns, groups, true, stop);
    return groups;
}

std::optional<RowGroups> group_rows_directly(std::span<const CodeColumn> columns, StopFlag stop) {
    check(columns);
    RowGroups groups;
    if (!fold(columns, groups, false, stop)) return std::nullopt;
    return groups;
}

RowGroups group_numbers(std::span<const std::int64_t> numbers, StopFlag stop) {
    RowGroups groups;
    groups.codes.resize(rows_of(numbers.size()));
    number_cells(HashedTable(), groups, stop, [&](std::size_t begin, std::size_t count, Cells& block) {
        for (std::size_t i = 0; i < count; ++i) block[i] = static_cast<std::uint64_t>(numbers[begin + i]);
    });
    return groups;
}

}  // namespace crystal
