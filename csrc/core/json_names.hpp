#pragma once
// What the scanner of JSON Lines remembers from row to row: the order of keys, and the names it has met.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "crystal/hash.hpp"
#include "crystal/json_lines.hpp"

namespace crystal::json {

inline constexpr int kNone = -1;

// The wanted keys of one level: a key leads to a field or to a further level.
struct Level {
    struct Entry {
        std::string key;
        int field = kNone;
        int level = kNone;
        int follower = kNone;  // the wanted key that came after this one in the last row
    };
    std::vector<Entry> entries;
    int first = kNone;
    int last = kNone;

    int& guess() { return last == kNone ? first : entries[static_cast<std::size_t>(last)].follower; }
};

// Finds the names of one column again. The column keeps each name once, and of each row its number.
class Names {
  public:
    // The name that was just written at the end of the column's bytes; one that is known is taken off again.
    void enter(JsonColumn& column) {
        const auto begin = static_cast<std::size_t>(column.offsets.back());
        const std::string_view name(column.bytes.data() + begin, column.bytes.size() - begin);
        const std::size_t known = column.offsets.size() - 1;
        if ((known + 1) * 2 > slots_.size()) grow(column);
        std::size_t at = home(name);
        while (slots_[at] != kNone && text(column, slots_[at]) != name) at = (at + 1) & (slots_.size() - 1);
        if (slots_[at] == kNone) {
            slots_[at] = static_cast<std::int32_t>(known);
            column.offsets.push_back(static_cast<std::int64_t>(column.bytes.size()));
        } else {
            column.bytes.resize(begin);
        }
        column.codes.push_back(slots_[at]);
    }

  private:
    static std::string_view text(const JsonColumn& column, std::int32_t code) {
        const auto begin = static_cast<std::size_t>(column.offsets[static_cast<std::size_t>(code)]);
        const auto end = static_cast<std::size_t>(column.offsets[static_cast<std::size_t>(code) + 1]);
        return {column.bytes.data() + begin, end - begin};
    }

    std::size_t home(std::string_view name) const {
        return static_cast<std::size_t>(hash_text(name).low) & (slots_.size() - 1);
    }

    void grow(const JsonColumn& column) {
        slots_.assign(slots_.empty() ? 64 : slots_.size() * 4, kNone);
        for (std::size_t code = 0; code + 1 < column.offsets.size(); ++code) {
            std::size_t at = home(text(column, static_cast<std::int32_t>(code)));
            while (slots_[at] != kNone) at = (at + 1) & (slots_.size() - 1);
            slots_[at] = static_cast<std::int32_t>(code);
        }
    }

    std::vector<std::int32_t> slots_;
};

}  // namespace crystal::json
