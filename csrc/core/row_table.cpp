#include "crystal/row_table.hpp"

namespace crystal {

void RowTable::grow(std::size_t needed) {
    // 17/20 full at most, half as large again each time: 28 to 42 bytes a key at rest, 70 while it grows.
    rehash(std::max({std::size_t{16}, slots_.size() + slots_.size() / 2, needed * 20 / 17 + 1}));
}

void RowTable::rehash(std::size_t slots) {
    std::vector<Row> old(slots, Row{{}, kEmpty});
    old.swap(slots_);
    for (const Row& row : old) {
        if (row.value != kEmpty) slots_[probe(row.key, home(row.key))] = row;
    }
}

}  // namespace crystal
