// Canonical order and bytes of a key table. docs/measurement-format.md describes them.
#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "crystal/bytes.hpp"
#include "crystal/hash.hpp"
#include "crystal/key_table.hpp"

namespace crystal {
namespace {

constexpr std::string_view kMagic = "CRYSTBL";
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kHeader = 40;
constexpr std::size_t kChecksum = 16;
constexpr std::uint32_t kNone = Interner::kNone;

using Sortable = std::pair<std::uint64_t, std::int64_t>;

// Least significant digit first, 11 bits a pass: linear, and stable by construction.
void radix_sort(std::vector<Sortable>& rows, unsigned bits) {
    constexpr unsigned kDigit = 11;
    std::vector<Sortable> other(rows.size());
    for (unsigned shift = 0; shift < bits; shift += kDigit) {
        const auto digit = [shift](const Sortable& row) {
            return (row.first >> shift) & ((1U << kDigit) - 1);
        };
        std::array<std::size_t, (1U << kDigit) + 1> starts{};
        for (const Sortable& row : rows) ++starts[digit(row) + 1];
        for (std::size_t i = 1; i < starts.size(); ++i) starts[i] += starts[i - 1];
        for (const Sortable& row : rows) other[starts[digit(row)]++] = row;
        rows.swap(other);
    }
}

// Sorts rows whose column c holds ids below limits[c], or kNone (which comes last).
void sort_rows(std::vector<Row>& rows, const std::vector<std::size_t>& limits) {
    std::array<unsigned, RowKey::kColumns> widths{};
    unsigned bits = 0;
    for (std::size_t c = 0; c < limits.size(); ++c) {
        widths[c] = static_cast<unsigned>(std::bit_width(limits[c]));
        bits += widths[c];
    }
    if (bits > 64 || rows.size() < 256) {
        std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.key < b.key; });
        return;
    }
    // Nearly always all ids of a row fit in one word together.
    std::vector<Sortable> packed(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const RowKey::Ids ids = rows[i].key.unpack();
        std::uint64_t key = 0;
        for (std::size_t c = 0; c < limits.size(); ++c) {
            key = key << widths[c] | (ids[c] == kNone ? limits[c] : ids[c]);
        }
        packed[i] = {key, rows[i].value};
    }
    radix_sort(packed, bits);
    for (std::size_t i = 0; i < rows.size(); ++i) {
        std::uint64_t key = packed[i].first;
        RowKey::Ids ids{};
        for (std::size_t c = limits.size(); c-- > 0;) {
            const std::uint64_t id = key & ((std::uint64_t{1} << widths[c]) - 1);
            ids[c] = id == limits[c] ? kNone : static_cast<std::uint32_t>(id);
            key >>= widths[c];
        }
        rows[i] = {RowKey::pack(ids), packed[i].second};
    }
}

}  // namespace

CanonicalTable KeyTable::canonical() const {
    CanonicalTable result;
    std::array<std::vector<std::uint32_t>, RowKey::kColumns> ranks;
    std::vector<std::size_t> limits;
    for (std::size_t c = 0; c < names_.size(); ++c) {
        const std::vector<std::uint32_t> order = texts_[c].canonical_order();
        ranks[c].resize(texts_[c].id_limit());
        CanonicalTable::Column& column = result.columns.emplace_back();
        column.text.reserve(texts_[c].text_bytes());
        column.offsets.reserve(order.size() + 1);
        column.offsets.push_back(0);
        for (std::uint32_t rank = 0; rank < order.size(); ++rank) {
            ranks[c][order[rank]] = rank;
            const std::string_view text = texts_[c].text(order[rank]);
            column.text.insert(column.text.end(), text.begin(), text.end());
            column.offsets.push_back(static_cast<std::int64_t>(column.text.size()));
        }
        limits.push_back(order.size());
    }
    result.rows.reserve(table_.size());
    table_.each([&](const Row& row) {
        RowKey::Ids ids = row.key.unpack();
        for (std::size_t c = 0; c < names_.size(); ++c) {
            if (ids[c] != kNone) ids[c] = ranks[c][ids[c]];
        }
        result.rows.push_back({RowKey::pack(ids), row.value});
    });
    sort_rows(result.rows, limits);
    return result;
}

std::vector<std::uint8_t> KeyTable::to_bytes() const {
    const CanonicalTable table = canonical();
    std::size_t size = kHeader + table.rows.size() * (8 + 4 * names_.size()) + 8 + kChecksum;
    for (std::size_t c = 0; c < names_.size(); ++c) {
        size +=
            24 + names_[c].size() + table.columns[c].text.size() + 8 * table.columns[c].offsets.size() + 8;
    }
    ByteWriter out(size);
    out.text(kMagic);
    out.word(kVersion);
    out.word(static_cast<std::uint32_t>(kind_));
    out.word(static_cast<std::uint32_t>(names_.size()));
    out.word(static_cast<std::uint64_t>(table.rows.size()));
    out.word(static_cast<std::uint64_t>(total_));
    out.word(std::uint64_t{0});  // room for what a later minor change may need
    for (std::size_t c = 0; c < names_.size(); ++c) {
        const CanonicalTable::Column& column = table.columns[c];
        out.word(static_cast<std::uint64_t>(names_[c].size()));
        out.word(static_cast<std::uint64_t>(column.offsets.size() - 1));
        out.word(static_cast<std::uint64_t>(column.text.size()));
        for (std::size_t i = 1; i < column.offsets.size(); ++i) {
            out.word(static_cast<std::uint64_t>(column.offsets[i]));
        }
        out.text(names_[c]);
        out.text({column.text.data(), column.text.size()});
        out.pad();
    }
    for (std::size_t c = 0; c < names_.size(); ++c) {
        for (const Row& row : table.rows) out.word(row.key.unpack()[c]);
    }
    out.pad();
    for (const Row& row : table.rows) out.word(static_cast<std::uint64_t>(row.value));
    const Hash128 checksum = hash_bytes(out.written());
    out.word(checksum.high);
    out.word(checksum.low);
    return out.take();
}

KeyTable KeyTable::from_bytes(std::span<const std::uint8_t> bytes) {
    if (bytes.size() < kHeader + kChecksum) throw BadBytes("it ends too early");
    ByteReader in(bytes.first(bytes.size() - kChecksum));
    if (in.text(kMagic.size()) != kMagic) throw BadBytes("it is no crystal table");
    if (const auto version = in.word<std::uint8_t>(); version != kVersion) {
        throw BadBytes("it has format version " + std::to_string(version) + ", this build reads version " +
                       std::to_string(kVersion));
    }
    ByteReader end(bytes.last(kChecksum));
    Hash128 checksum;
    checksum.high = end.word<std::uint64_t>();
    checksum.low = end.word<std::uint64_t>();
    if (hash_bytes(bytes.first(bytes.size() - kChecksum)) != checksum)
        throw BadBytes("its checksum does not match");

    const auto kind = in.word<std::uint32_t>();
    const auto columns = in.word<std::uint32_t>();
    const auto rows = in.word<std::uint64_t>();
    const auto total = in.word<std::uint64_t>();
    if (kind != 1 && kind != 2) throw BadBytes("it is a table of unknown kind");
    if (columns < 1 || columns > RowKey::kColumns) throw BadBytes("it has no or too many columns");
    if (in.word<std::uint64_t>() != 0) throw BadBytes("a reserved field is set");

    std::vector<std::string> names;
    std::vector<Interner> texts(columns);
    std::array<std::vector<std::uint32_t>, RowKey::kColumns> kept;  // the id of each text in the bytes
    for (std::uint32_t c = 0; c < columns; ++c) {
        const auto name_size = in.word<std::uint64_t>();
        const auto count = in.word<std::uint64_t>();
        const auto text_size = in.word<std::uint64_t>();
        const auto ends = in.take(count, sizeof(std::uint64_t));
        names.emplace_back(in.text(name_size));
        if (!valid_utf8(names.back())) throw BadBytes("the name of a column is not UTF-8");
        const std::string_view text = in.text(text_size);
        in.pad();
        if (count > Interner::kMost) throw BadBytes("a column has too many texts");
        std::vector<std::string_view> slab;
        std::vector<std::uint32_t> ids_of_slab;
        std::uint64_t begin = 0;
        Hash128 last_hash;
        std::string_view last;
        for (std::size_t i = 0; i < count; ++i) {
            const auto stop = load_word<std::uint64_t>(ends.data() + 8 * i);
            if (stop < begin || stop > text.size()) throw BadBytes("an offset leaves its column");
            const std::string_view one = text.substr(begin, stop - begin);
            if (!valid_utf8(one)) throw BadBytes("a text is not UTF-8");
            const Hash128 hash = hash_text(one);
            if (i > 0 && (hash < last_hash || (hash == last_hash && one <= last))) {
                throw BadBytes("its texts are not in canonical order");
            }
            slab.push_back(one);
            if (slab.size() == kSlab || i + 1 == count) {
                ids_of_slab.resize(slab.size());
                texts[c].intern_all(slab, ids_of_slab, threads_for(count));
                kept[c].insert(kept[c].end(), ids_of_slab.begin(), ids_of_slab.end());
                slab.clear();
            }
            last_hash = hash;
            last = one;
            begin = stop;
        }
        if (begin != text.size()) throw BadBytes("a column has text that belongs to nothing");
    }
    std::array<std::span<const std::uint8_t>, RowKey::kColumns> ids;
    for (std::uint32_t c = 0; c < columns; ++c) ids[c] = in.take(rows, sizeof(std::uint32_t));
    in.pad();
    const auto values = in.take(rows, sizeof(std::int64_t));
    if (in.left() != 0) throw BadBytes("bytes follow its end");

    KeyTable table(static_cast<TableKind>(kind), std::move(names));
    table.texts_ = std::move(texts);
    table.load_rows(std::span(ids).first(columns), kept, values);
    if (static_cast<std::uint64_t>(table.total_) != total)
        throw BadBytes("its counts do not add up to its total");
    return table;
}

void KeyTable::load_rows(std::span<const std::span<const std::uint8_t>> ids,
                         std::span<const std::vector<std::uint32_t>> kept,
                         std::span<const std::uint8_t> values) {
    const bool counting = kind_ == TableKind::counts;
    std::vector<std::vector<char>> used;
    for (std::size_t c = 0; c < ids.size(); ++c) used.emplace_back(kept[c].size(), 0);
    RowKey last;
    const std::size_t rows = values.size() / sizeof(std::int64_t);
    std::vector<Row> slab;
    slab.reserve(std::min(rows, kSlab));
    const std::size_t threads = threads_for(rows);
    for (std::size_t row = 0; row < rows; ++row) {
        RowKey::Ids written{}, row_ids{};
        for (std::size_t c = 0; c < ids.size(); ++c) {
            const auto id = load_word<std::uint32_t>(ids[c].data() + 4 * row);
            written[c] = row_ids[c] = id;
            if (id == kNone) continue;
            if (id >= used[c].size()) throw BadBytes("a row points outside its column");
            used[c][id] = 1;
            row_ids[c] = kept[c][id];
        }
        const auto value = static_cast<std::int64_t>(load_word<std::uint64_t>(values.data() + 8 * row));
        const RowKey key = RowKey::pack(written);
        if (row > 0 && key <= last) throw BadBytes("its rows are not in canonical order");
        if (value < 0 || (counting ? value == 0 : value > kOne)) throw BadBytes("a value is out of range");
        if (counting && __builtin_add_overflow(total_, value, &total_))
            throw BadBytes("its counts leave int64");
        slab.push_back({RowKey::pack(row_ids), value});
        if (slab.size() == kSlab) {
            put(slab, threads);
            slab.clear();
        }
        last = key;
    }
    put(slab, threads);
    for (const auto& column : used) {
        if (std::find(column.begin(), column.end(), 0) != column.end())
            throw BadBytes("a text belongs to no row");
    }
}

}  // namespace crystal
