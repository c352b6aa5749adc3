#include "crystal/key_table.hpp"

#include <algorithm>
#include <array>
#include <iomanip>
#include <locale>
#include <sstream>
#include <utility>

namespace crystal {
namespace {

constexpr std::uint32_t kNone = Interner::kNone;

}  // namespace

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

KeyTable::KeyTable(const KeyTable& other) : KeyTable(other.kind_, other.names_) { merge(other); }

std::size_t KeyTable::threads_for(std::size_t rows) { return rows < kWorthThreads ? 1 : thread_count(0); }

std::size_t KeyTable::nbytes() const {
    std::size_t bytes = sizeof(*this) + table_.nbytes() + texts_.capacity() * sizeof(Interner);
    for (const Interner& texts : texts_) bytes += texts.nbytes();
    return bytes;
}

void KeyTable::put(std::span<const Row> rows, std::size_t threads) {
    if (kind_ == TableKind::counts) {
        table_.put<Add>(rows, threads);
        return;
    }
    const std::size_t row = table_.put<Same>(rows, threads);
    if (row < rows.size()) report_conflict(rows[row].key, table_.find(rows[row].key), rows[row].value);
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

    const std::size_t threads = threads_for(other.rows());
    std::array<std::vector<std::uint32_t>, RowKey::kColumns> maps;
    for (std::size_t c = 0; c < names_.size(); ++c) maps[c] = texts_[c].intern_all(other.texts_[c], threads);
    std::vector<Row> slab;
    slab.reserve(std::min(kSlab, other.rows()));
    other.table_.each([&](const Row& row) {
        RowKey::Ids ids = row.key.unpack();
        for (std::size_t c = 0; c < names_.size(); ++c) {
            if (ids[c] != kNone) ids[c] = maps[c][ids[c]];
        }
        slab.push_back({RowKey::pack(ids), row.value});
        if (slab.size() < kSlab) return;
        put(slab, threads);
        slab.clear();
    });
    put(slab, threads);
    total_ = total;
}

void KeyTable::check_agreement(const KeyTable& other) const {
    other.table_.each([&](const Row& row) {
        RowKey::Ids ids = row.key.unpack();
        bool known = true;
        for (std::size_t c = 0; c < names_.size() && known; ++c) {
            if (ids[c] == kNone) continue;
            ids[c] = texts_[c].find(other.texts_[c].text(ids[c]));
            known = ids[c] != kNone;
        }
        const std::int64_t held = known ? table_.find(RowKey::pack(ids)) : RowTable::kNoValue;
        if (held != RowTable::kNoValue && held != row.value)
            report_conflict(RowKey::pack(ids), held, row.value);
    });
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
