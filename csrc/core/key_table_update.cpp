// What a batch adds to a key table: checked as a whole, then texts to ids, then rows.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "crystal/bytes.hpp"
#include "crystal/grouping.hpp"
#include "crystal/key_table.hpp"

namespace crystal {
namespace {

constexpr std::uint32_t kNone = Interner::kNone;
constexpr std::size_t kChecked = 4096;

// Row r of a column has id ids[indices[r] + 1]: entry 0 is "no value".
using IdMap = std::vector<std::uint32_t>;

// Which dictionary entries the rows point at; entries that no row uses must not enter the table. A row of
// value 0 is no row at all for counts, which `skip_zero` says.
std::vector<char> used_entries(const TextColumn& column, std::span<const std::int64_t> values,
                               bool skip_zero) {
    const std::size_t entries = column.offsets.size();
    std::vector<char> used(entries, 0);
    for (std::size_t row = 0; row < column.indices.size(); ++row) {
        const std::size_t entry =
            static_cast<std::size_t>(static_cast<std::int64_t>(column.indices[row]) + 1);
        if (entry >= entries) throw std::invalid_argument("an index points outside its dictionary");
        used[entry] |= static_cast<char>(!skip_zero || values[row] != 0);
    }
    return used;
}

std::string_view entry_text(const TextColumn& column, std::size_t entry) {
    const auto begin = static_cast<std::size_t>(column.offsets[entry - 1]);
    const auto end = static_cast<std::size_t>(column.offsets[entry]);
    return {reinterpret_cast<const char*>(column.values.data()) + begin, end - begin};
}

// Only entries that rows use are looked at: a batch may be a small part of what its dictionary is for.
void check_texts(const TextColumn& column, const std::vector<char>& used, std::size_t threads) {
    parallel_for(used.size(), kChecked, threads, nullptr, [&](std::size_t first, std::size_t last) {
        for (std::size_t entry = std::max<std::size_t>(first, 1); entry < last; ++entry) {
            if (!used[entry]) continue;
            const std::int64_t begin = column.offsets[entry - 1];
            const std::int64_t end = column.offsets[entry];
            if (begin < 0 || end < begin || end > static_cast<std::int64_t>(column.values.size())) {
                throw std::invalid_argument("the offsets of a dictionary descend or leave its values");
            }
            if (!valid_utf8(entry_text(column, entry))) throw std::invalid_argument("a text is not UTF-8");
        }
    });
}

IdMap intern_used(const TextColumn& column, const std::vector<char>& used, Interner& texts,
                  std::size_t threads) {
    IdMap ids(used.size(), kNone);
    std::vector<std::string_view> wanted;
    std::vector<std::size_t> entries;
    std::vector<std::uint32_t> found(std::min(used.size(), KeyTable::kSlab));
    const auto intern = [&] {
        texts.intern_all(wanted, std::span(found).first(wanted.size()), threads);
        for (std::size_t i = 0; i < wanted.size(); ++i) ids[entries[i]] = found[i];
        wanted.clear();
        entries.clear();
    };
    for (std::size_t entry = 1; entry < used.size(); ++entry) {
        if (!used[entry]) continue;
        wanted.push_back(entry_text(column, entry));
        entries.push_back(entry);
        if (wanted.size() == KeyTable::kSlab) intern();
    }
    intern();
    return ids;
}

std::int64_t checked_total(std::int64_t total, std::span<const std::int64_t> values, std::size_t rows) {
    const char* overflow = "the sum of all counts leaves int64";
    if (values.empty()) {
        if (__builtin_add_overflow(total, static_cast<std::int64_t>(rows), &total))
            throw std::overflow_error(overflow);
        return total;
    }
    for (const std::int64_t value : values) {
        if (value < 0) throw std::invalid_argument("a count is negative: " + std::to_string(value));
        if (__builtin_add_overflow(total, value, &total)) throw std::overflow_error(overflow);
    }
    return total;
}

// Below this, looking for equal rows costs more than putting them.
constexpr std::size_t kWorthCollapsing = 4096;

// The distinct rows of a batch, and how often each is there.
struct Collapsed {
    std::span<const TextColumn> columns;
    std::vector<std::vector<std::int32_t>> indices;
    std::vector<std::int64_t> counts;

    std::vector<TextColumn> views() const {
        std::vector<TextColumn> views(columns.begin(), columns.end());
        for (std::size_t c = 0; c < views.size(); ++c) views[c].indices = indices[c];
        return views;
    }
};

std::optional<Collapsed> collapsed(std::span<const TextColumn> columns, StopFlag stop) {
    std::vector<CodeColumn> codes;
    for (const TextColumn& column : columns) codes.push_back({column.indices, column.offsets.size() - 1});
    const std::optional<RowGroups> groups = group_rows_directly(codes, stop);
    if (!groups) return std::nullopt;
    Collapsed once{columns, {}, std::vector<std::int64_t>(groups->first.size())};
    for (const std::int32_t group : groups->codes) ++once.counts[static_cast<std::size_t>(group)];
    for (const TextColumn& column : columns) {
        std::vector<std::int32_t>& kept = once.indices.emplace_back(groups->first.size());
        for (std::size_t g = 0; g < kept.size(); ++g)
            kept[g] = column.indices[static_cast<std::size_t>(groups->first[g])];
    }
    return once;
}

}  // namespace

void KeyTable::update(std::span<const TextColumn> columns, std::span<const std::int64_t> values,
                      StopFlag stop) {
    if (columns.size() != names_.size()) throw std::invalid_argument("a batch has another number of columns");
    const std::size_t rows = columns[0].indices.size();
    const bool counting = kind_ == TableKind::counts;
    if (!(counting && values.data() == nullptr) && values.size() != rows) {
        throw std::invalid_argument("there must be one value a row");
    }
    for (const TextColumn& column : columns) {
        if (column.indices.size() != rows) throw std::invalid_argument("the columns differ in length");
        if (column.offsets.empty()) throw std::invalid_argument("a dictionary has no offsets");
    }
    if (counting && values.data() == nullptr && rows >= kWorthCollapsing) {
        if (const auto once = collapsed(columns, stop)) return add(once->views(), once->counts, stop);
    }
    add(columns, values, stop);
}

void KeyTable::add(std::span<const TextColumn> columns, std::span<const std::int64_t> values, StopFlag stop) {
    const std::size_t rows = columns[0].indices.size();
    const bool counting = kind_ == TableKind::counts;
    // Nothing is changed before everything that can fail has been looked at.
    std::vector<std::vector<char>> used;
    for (const TextColumn& column : columns) {
        throw_if(stop);
        used.push_back(used_entries(column, values, counting && !values.empty()));
        check_texts(column, used.back(), threads_for(rows));
    }
    if (counting) {
        const std::int64_t total = checked_total(total_, values, rows);
        append(columns, used, values);
        total_ = total;
        return;
    }
    for (const std::int64_t value : values) {
        if (value < 0 || value > kOne) throw std::invalid_argument("a probability lies outside [0, 1]");
    }
    // A table of its own first: a conflict inside the batch must not leave half of it here.
    KeyTable batch(kind_, names_);
    batch.append(columns, used, values);
    merge(batch);
}

void KeyTable::append(std::span<const TextColumn> columns, const std::vector<std::vector<char>>& used,
                      std::span<const std::int64_t> values) {
    const std::size_t rows = columns[0].indices.size();
    const std::size_t threads = threads_for(rows);
    std::array<IdMap, RowKey::kColumns> maps;
    std::array<const std::int32_t*, RowKey::kColumns> indices{};
    const std::vector<std::int32_t> nowhere(columns.size() < RowKey::kColumns ? rows : 0, -1);
    for (std::size_t c = 0; c < RowKey::kColumns; ++c) {
        const bool real = c < columns.size();
        maps[c] = real ? intern_used(columns[c], used[c], texts_[c], threads) : IdMap{0};
        indices[c] = real ? columns[c].indices.data() : nowhere.data();
    }
    const bool counting = kind_ == TableKind::counts;
    std::vector<Row> slab(std::min(rows, kSlab));
    for (std::size_t start = 0; start < rows; start += slab.size()) {
        const std::size_t size = std::min(slab.size(), rows - start);
        parallel_for(size, kChecked, threads, nullptr, [&](std::size_t begin, std::size_t end) {
            for (std::size_t i = begin; i < end; ++i) {
                const std::size_t row = start + i;
                const auto id = [&](std::size_t c) {
                    return maps[c][static_cast<std::size_t>(indices[c][row] + 1)];
                };
                const std::int64_t value = values.empty() ? 1 : values[row];
                slab[i] = {RowKey::pack({id(0), id(1), id(2), id(3)}),
                           counting && value == 0 ? RowTable::kNoValue : value};
            }
        });
        put(std::span(slab).first(size), threads);
    }
}

}  // namespace crystal
