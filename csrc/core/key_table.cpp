#include "crystal/key_table.hpp"

#include <algorithm>
#include <array>
#include <iomanip>
#include <locale>
#include <optional>
#include <sstream>
#include <utility>

#include "crystal/bytes.hpp"
#include "crystal/grouping.hpp"

namespace crystal {
namespace {

constexpr std::uint32_t kNone = Interner::kNone;

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
void check_texts(const TextColumn& column, const std::vector<char>& used) {
    for (std::size_t entry = 1; entry < used.size(); ++entry) {
        if (!used[entry]) continue;
        const std::int64_t begin = column.offsets[entry - 1];
        const std::int64_t end = column.offsets[entry];
        if (begin < 0 || end < begin || end > static_cast<std::int64_t>(column.values.size())) {
            throw std::invalid_argument("the offsets of a dictionary descend or leave its values");
        }
        if (!valid_utf8(entry_text(column, entry))) throw std::invalid_argument("a text is not UTF-8");
    }
}

IdMap intern_used(const TextColumn& column, const std::vector<char>& used, Interner& texts) {
    std::vector<std::string_view> wanted;
    for (std::size_t entry = 1; entry < used.size(); ++entry) {
        if (used[entry]) wanted.push_back(entry_text(column, entry));
    }
    std::vector<std::uint32_t> found(wanted.size());
    texts.intern_all(wanted, found);
    IdMap ids(used.size(), kNone);
    for (std::size_t entry = 1, next = 0; entry < used.size(); ++entry) {
        if (used[entry]) ids[entry] = found[next++];
    }
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

// Gathers rows, so that the table can wait for the memory of many of them at once.
class KeyTable::Block {
  public:
    explicit Block(KeyTable& owner) : owner_(owner) {}

    void push(const Row& row) {
        rows_[filled_++] = row;
        if (filled_ == rows_.size()) flush();
    }

    void flush() {
        const std::span<const Row> rows = std::span(rows_).first(std::exchange(filled_, 0));
        if (owner_.kind_ == TableKind::counts) {
            owner_.table_.put<Add>(rows);
            return;
        }
        const std::size_t row = owner_.table_.put<Same>(rows);
        if (row == rows.size()) return;
        owner_.report_conflict(rows[row].key, owner_.table_.find(rows[row].key), rows[row].value);
    }

  private:
    KeyTable& owner_;
    std::array<Row, RowTable::kBlock> rows_;
    std::size_t filled_ = 0;
};

KeyTable::KeyTable(TableKind kind, std::vector<std::string> names)
    : kind_(kind), names_(std::move(names)), texts_(names_.size()) {
    if (names_.empty() || names_.size() > RowKey::kColumns) {
        throw std::invalid_argument("a table has one to four columns");
    }
    for (auto name = names_.begin(); name != names_.end(); ++name) {
        if (std::find(names_.begin(), name, *name) != name) {
            throw std::invalid_argument("two columns have one name: " + *name);
        }
    }
}

std::size_t KeyTable::nbytes() const {
    std::size_t bytes = sizeof(*this) + table_.nbytes() + texts_.capacity() * sizeof(Interner);
    for (const Interner& texts : texts_) bytes += texts.nbytes();
    return bytes;
}

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
        check_texts(column, used.back());
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
    std::array<IdMap, RowKey::kColumns> maps;
    std::array<const std::int32_t*, RowKey::kColumns> indices{};
    const std::vector<std::int32_t> nowhere(columns.size() < RowKey::kColumns ? rows : 0, -1);
    for (std::size_t c = 0; c < RowKey::kColumns; ++c) {
        const bool real = c < columns.size();
        maps[c] = real ? intern_used(columns[c], used[c], texts_[c]) : IdMap{0};
        indices[c] = real ? columns[c].indices.data() : nowhere.data();
    }
    Block block(*this);
    for (std::size_t row = 0; row < rows; ++row) {
        const std::int64_t value = values.empty() ? 1 : values[row];
        if (kind_ == TableKind::counts && value == 0) continue;
        const auto id = [&](std::size_t c) { return maps[c][static_cast<std::size_t>(indices[c][row] + 1)]; };
        block.push({RowKey::pack({id(0), id(1), id(2), id(3)}), value});
    }
    block.flush();
}

void KeyTable::merge(const KeyTable& other) {
    if (other.kind_ != kind_ || other.names_ != names_) {
        throw std::invalid_argument("the tables have different kinds or columns");
    }
    if (&other == this) return merge(KeyTable(other));
    std::int64_t total = 0;
    if (__builtin_add_overflow(total_, other.total_, &total)) {
        throw std::overflow_error("the sum of all counts leaves int64");
    }
    if (kind_ == TableKind::distribution) check_agreement(other);

    std::array<IdMap, RowKey::kColumns> maps;
    for (std::size_t c = 0; c < names_.size(); ++c) {
        const Interner& theirs = other.texts_[c];
        std::vector<std::string_view> wanted(theirs.size());
        for (std::uint32_t id = 0; id < theirs.size(); ++id) wanted[id] = theirs.text(id);
        maps[c].resize(theirs.size());
        texts_[c].intern_all(wanted, maps[c]);
    }
    table_.place_unlike(other.table_);
    Block block(*this);
    for (const Row& row : other.table_.slots()) {
        if (row.value == RowTable::kEmpty) continue;
        RowKey::Ids ids = row.key.unpack();
        for (std::size_t c = 0; c < names_.size(); ++c) {
            if (ids[c] != kNone) ids[c] = maps[c][ids[c]];
        }
        block.push({RowKey::pack(ids), row.value});
    }
    block.flush();
    total_ = total;
}

void KeyTable::check_agreement(const KeyTable& other) const {
    for (const Row& row : other.table_.slots()) {
        if (row.value == RowTable::kEmpty) continue;
        RowKey::Ids ids = row.key.unpack();
        bool known = true;
        for (std::size_t c = 0; c < names_.size() && known; ++c) {
            if (ids[c] == kNone) continue;
            ids[c] = texts_[c].find(other.texts_[c].text(ids[c]));
            known = ids[c] != kNone;
        }
        const std::int64_t held = known ? table_.find(RowKey::pack(ids)) : RowTable::kEmpty;
        if (held != RowTable::kEmpty && held != row.value)
            report_conflict(RowKey::pack(ids), held, row.value);
    }
}

void KeyTable::report_conflict(const RowKey& key, std::int64_t held, std::int64_t came) const {
    const RowKey::Ids ids = key.unpack();
    std::string message = "one key has two probabilities:";
    for (std::size_t c = 0; c < names_.size(); ++c) {
        message += (c > 0 ? ", " : " ") + names_[c] + " = ";
        message += ids[c] == kNone ? "no value" : std::string(texts_[c].text(ids[c]));
    }
    // As short as tells the two apart.
    const auto written = [](std::int64_t value, int digits) {
        std::ostringstream text;
        text.imbue(std::locale::classic());
        text << std::setprecision(digits) << static_cast<double>(value) / static_cast<double>(kOne);
        return text.str();
    };
    const int digits = written(held, 6) != written(came, 6) ? 6 : 17;
    throw std::invalid_argument(message + ": " + written(held, digits) + " and " + written(came, digits));
}

}  // namespace crystal
