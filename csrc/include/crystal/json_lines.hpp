#pragma once
// JSON Lines into columns: the wanted fields of each object, and nothing kept of the rest.
//
// The scanner is strict and may give up: a line that it does not take for a plain row (broken, of an
// unexpected type, a key twice, a lone surrogate) is only marked, and the caller, who can explain, reads it
// again. So every row it accepts is right, and it need not be complete.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace crystal {

enum class JsonKind : std::uint8_t {
    text,     // a string
    name,     // a string, or a whole number as its digits
    integer,  // a whole number, or a string of one
    raw,      // a number or an array of numbers, as it is written
};

struct JsonField {
    std::vector<std::string> path;  // keys from the top of the row
    JsonKind kind;
};

// Arrow's layout: texts lie in bytes between offsets; validity has one bit a row, least significant first. Of
// names each is there once, and codes say which one a row has.
struct JsonColumn {
    std::vector<char> bytes;
    std::vector<std::int64_t> offsets{0};
    std::vector<std::int64_t> integers;
    std::vector<std::int32_t> codes;
    std::vector<std::uint8_t> validity;
    std::int64_t nulls = 0;
};

struct JsonRows {
    std::vector<JsonColumn> columns;    // one a field, in their order
    std::vector<std::int64_t> lines;    // of each row, its line in the block (from 0)
    std::vector<std::int64_t> refused;  // lines to be read again, with their bounds: line, start, stop
};

// Reads the lines of a block; blank lines are no rows. Fields must have distinct paths, none a prefix of
// another, and there may be at most 64 (std::invalid_argument).
JsonRows scan_json_lines(std::string_view block, std::span<const JsonField> fields);

}  // namespace crystal
