// The key table against std::map, on threads, and hostile bytes against its reader; meant to run under
// sanitizers.
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "crystal/hash.hpp"
#include "crystal/key_table.hpp"
#include "require.hpp"

namespace {

using crystal::KeyTable;
using crystal::TableKind;

struct Column {
    std::vector<std::int32_t> indices;
    std::string values;
    std::vector<std::int64_t> offsets{0};

    crystal::TextColumn view() const {
        return {indices, {reinterpret_cast<const std::uint8_t*>(values.data()), values.size()}, offsets};
    }
};

using Reference = std::map<std::vector<std::string>, std::int64_t>;

constexpr std::size_t kColumns = 3;

// A batch whose dictionaries hold unused and repeated texts; what it adds is noted in the reference.
std::vector<Column> draw(std::mt19937_64& random, Reference& reference, std::vector<std::int64_t>& values) {
    std::vector<Column> columns(kColumns);
    const std::size_t rows = random() % 300;
    values.assign(rows, 0);
    for (auto& value : values) value = static_cast<std::int64_t>(random() % 4);
    std::vector<std::vector<std::string>> keys(rows);
    for (Column& column : columns) {
        std::vector<std::string> texts(1 + random() % 40);
        for (auto& text : texts) {
            text.assign(random() % 24, static_cast<char>('a' + random() % 3));
            column.values += text;
            column.offsets.push_back(static_cast<std::int64_t>(column.values.size()));
        }
        for (auto& key : keys) {
            const auto index = static_cast<std::int32_t>(random() % (texts.size() + 1)) - 1;
            column.indices.push_back(index);
            key.push_back(index < 0 ? "(none)" : texts[static_cast<std::size_t>(index)]);
        }
    }
    for (std::size_t row = 0; row < rows; ++row) {
        if (values[row] > 0) reference[keys[row]] += values[row];
    }
    return columns;
}

void add(KeyTable& table, const std::vector<Column>& columns, const std::vector<std::int64_t>& values) {
    std::vector<crystal::TextColumn> views;
    for (const Column& column : columns) views.push_back(column.view());
    static const std::int64_t none = 0;
    table.update(views, values.empty() ? std::span(&none, 0) : std::span(values));
}

Reference rows_of(const KeyTable& table) {
    const crystal::CanonicalTable canonical = table.canonical();
    Reference rows;
    for (const crystal::Row& row : canonical.rows) {
        std::vector<std::string> key;
        for (std::size_t c = 0; c < kColumns; ++c) {
            const std::uint32_t id = row.key.unpack()[c];
            const auto& column = canonical.columns[c];
            key.push_back(
                id == crystal::Interner::kNone
                    ? "(none)"
                    : std::string(column.text.data() + column.offsets[id],
                                  static_cast<std::size_t>(column.offsets[id + 1] - column.offsets[id])));
        }
        rows[key] = row.value;
    }
    REQUIRE(rows.size() == canonical.rows.size());
    return rows;
}

void test_against_map(std::mt19937_64& random) {
    Reference reference;
    KeyTable whole(TableKind::counts, {"a", "b", "c"});
    std::vector<KeyTable> shards(3, whole);
    for (int batch = 0; batch < 20; ++batch) {
        std::vector<std::int64_t> values;
        const std::vector<Column> columns = draw(random, reference, values);
        add(whole, columns, values);
        add(shards[random() % shards.size()], columns, values);
    }
    REQUIRE(rows_of(whole) == reference);
    shards[0].merge(shards[1]);
    shards[2].merge(shards[0]);
    REQUIRE(shards[2].to_bytes() == whole.to_bytes());
    KeyTable read = KeyTable::from_bytes(whole.to_bytes());
    REQUIRE(read.to_bytes() == whole.to_bytes());
    read.merge(read);
    REQUIRE(read.total() == 2 * whole.total());
}

// Whatever the bytes, the reader throws or returns a table that writes those very bytes.
void test_hostile_bytes(std::mt19937_64& random) {
    Reference reference;
    KeyTable table(TableKind::counts, {"a", "b", "c"});
    std::vector<std::int64_t> values;
    add(table, draw(random, reference, values), values);
    const std::vector<std::uint8_t> good = table.to_bytes();
    for (int trial = 0; trial < 400; ++trial) {
        std::vector<std::uint8_t> bytes = good;
        if (random() % 4 == 0) bytes.resize(random() % bytes.size());
        for (std::size_t change = random() % 4; change > 0 && !bytes.empty(); --change) {
            bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
        }
        if (bytes.size() > 16 && random() % 8 != 0) {
            // A right checksum, so that what lies behind it is reached.
            const std::size_t body = bytes.size() - 16;
            const crystal::Hash128 seal = crystal::hash_bytes(std::span(bytes).first(body));
            for (std::size_t i = 0; i < 8; ++i) {
                bytes[body + i] = static_cast<std::uint8_t>(seal.high >> (8 * i));
                bytes[body + 8 + i] = static_cast<std::uint8_t>(seal.low >> (8 * i));
            }
        }
        try {
            REQUIRE(KeyTable::from_bytes(bytes).to_bytes() == bytes);
        } catch (const std::invalid_argument&) {
        }
    }
}

void test_conflicts() {
    Column key;
    key.indices = {0, 1};
    key.values = "xy";
    key.offsets = {0, 1, 2};
    const std::vector<crystal::TextColumn> batch{key.view()};
    KeyTable table(TableKind::distribution, {"a"});
    table.update(batch, std::vector<std::int64_t>{5, 6});
    table.update(batch, std::vector<std::int64_t>{5, 6});
    const auto before = table.to_bytes();
    bool refused = false;
    try {
        table.update(batch, std::vector<std::int64_t>{5, 7});
    } catch (const std::invalid_argument&) {
        refused = true;
    }
    REQUIRE(refused);
    REQUIRE(table.to_bytes() == before);
}

// Batches that are large enough for threads, into two tables that are then merged: one thread's bytes come
// out.
void test_threads() {
    std::vector<std::uint8_t> bytes[2];
    std::size_t held[2] = {};
    for (const int side : {0, 1}) {
        setenv("CRYSTAL_THREADS", side == 0 ? "1" : "4", 1);
        std::mt19937_64 random(1);
        KeyTable table(TableKind::counts, {"a", "b"}), other(TableKind::counts, {"a", "b"});
        for (int batch = 0; batch < 4; ++batch) {
            std::vector<Column> columns(2);
            for (Column& column : columns) {
                for (std::size_t i = 0; i < 2 * KeyTable::kWorthThreads; ++i) {
                    column.values += std::to_string(random() % 50'000);
                    column.offsets.push_back(static_cast<std::int64_t>(column.values.size()));
                    column.indices.push_back(static_cast<std::int32_t>(i));
                }
            }
            const std::vector<std::int64_t> ones(columns[0].indices.size(), 1);
            add(batch % 2 == 0 ? table : other, columns, ones);
        }
        table.merge(other);
        bytes[side] = table.to_bytes();
        held[side] = table.nbytes();
    }
    REQUIRE(bytes[0] == bytes[1]);
    REQUIRE(held[0] == held[1]);
}

}  // namespace

int main() {
    test_threads();
    std::mt19937_64 random(0);
    for (int round = 0; round < 10; ++round) {
        test_against_map(random);
        test_hostile_bytes(random);
    }
    test_conflicts();
    std::puts("tables: ok");
}
