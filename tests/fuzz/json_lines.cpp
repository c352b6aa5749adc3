// Any bytes as JSON Lines: what is accepted lies within its columns, and a line reads alike alone and among
// others.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "crystal/bytes.hpp"
#include "crystal/json_lines.hpp"
#include "require.hpp"

namespace {

using crystal::JsonColumn;
using crystal::JsonField;
using crystal::JsonKind;
using crystal::JsonRows;

const std::vector<JsonField>& fields() {
    static const std::vector<JsonField> some{{{"t"}, JsonKind::text},
                                             {{"n"}, JsonKind::name},
                                             {{"i"}, JsonKind::integer},
                                             {{"r"}, JsonKind::raw},
                                             {{"m", "k"}, JsonKind::text}};
    return some;
}

// The bytes of a row's value: a text, a name's text, a number as it is written.
std::string_view text_at(const JsonColumn& column, std::size_t place) {
    const std::int64_t start = column.offsets[place], stop = column.offsets[place + 1];
    REQUIRE(0 <= start && start <= stop && stop <= static_cast<std::int64_t>(column.bytes.size()));
    return {column.bytes.data() + start, static_cast<std::size_t>(stop - start)};
}

// The rows as text that two scans can be compared by.
std::vector<std::string> rows_of(const JsonRows& found) {
    const std::size_t count = found.lines.size();
    REQUIRE(found.columns.size() == fields().size());
    std::vector<std::string> rows(count);
    for (std::size_t f = 0; f < fields().size(); ++f) {
        const JsonColumn& column = found.columns[f];
        const JsonKind kind = fields()[f].kind;
        REQUIRE(column.validity.size() >= (count + 7) / 8);
        std::int64_t nulls = 0;
        for (std::size_t row = 0; row < count; ++row) {
            const bool there = (column.validity[row / 8] >> (row % 8) & 1) != 0;
            nulls += there ? 0 : 1;
            rows[row] += there ? "|+" : "|-";
            if (kind == JsonKind::integer) {
                REQUIRE(column.integers.size() == count);
                if (there) rows[row] += std::to_string(column.integers[row]);
                continue;
            }
            std::size_t place = row;
            if (kind == JsonKind::name) {
                REQUIRE(column.codes.size() == count);
                if (!there) continue;
                REQUIRE(column.codes[row] >= 0);
                place = static_cast<std::size_t>(column.codes[row]);
            }
            REQUIRE(place + 1 < column.offsets.size());
            const std::string_view text = text_at(column, place);
            REQUIRE(crystal::valid_utf8(text));
            if (there) rows[row] += text;
        }
        REQUIRE(nulls == column.nulls);
    }
    return rows;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view block(reinterpret_cast<const char*>(data), size);
    const JsonRows whole = crystal::scan_json_lines(block, fields());
    const std::vector<std::string> rows = rows_of(whole);
    REQUIRE(whole.refused.size() % 3 == 0);
    std::size_t row = 0, refused = 0, start = 0;
    for (std::int64_t line = 0; start < size; ++line) {
        const std::size_t stop = std::min(block.find('\n', start), size);
        const JsonRows alone = crystal::scan_json_lines(block.substr(start, stop - start), fields());
        const std::vector<std::string> said = rows_of(alone);
        REQUIRE(said.size() + alone.refused.size() / 3 <= 1);
        if (said.size() == 1) {
            REQUIRE(row < rows.size() && whole.lines[row] == line && rows[row] == said[0]);
            ++row;
        } else if (!alone.refused.empty()) {
            REQUIRE(refused + 2 < whole.refused.size() && whole.refused[refused] == line);
            const std::int64_t begin = whole.refused[refused + 1], end = whole.refused[refused + 2];
            REQUIRE(static_cast<std::int64_t>(start) <= begin && begin <= end);
            REQUIRE(end <= static_cast<std::int64_t>(stop));
            refused += 3;
        }
        start = stop + 1;
    }
    REQUIRE(row == rows.size() && refused == whole.refused.size());
    return 0;
}
