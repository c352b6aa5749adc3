#include "crystal/json_lines.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "json_names.hpp"
#include "json_text.hpp"

namespace crystal {
namespace {

constexpr int kNoField = json::kNone;
constexpr std::size_t kDeepest = 64;
constexpr std::size_t kMostFields = 64;
constexpr std::int64_t kMostDigits = 18;
constexpr std::size_t kSample = 64;

using json::Level;

class Scanner {
  public:
    Scanner(std::string_view block, std::span<const JsonField> fields) : fields_(fields) {
        if (fields.size() > kMostFields) throw std::invalid_argument("at most 64 fields");
        levels_.emplace_back();
        for (std::size_t i = 0; i < fields.size(); ++i) enter(fields[i].path, static_cast<int>(i));
        rows_.columns.resize(fields.size());
        names_.resize(fields.size());
        read(block);
    }

    JsonRows take() { return std::move(rows_); }

  private:
    void enter(const std::vector<std::string>& path, int field) {
        if (path.empty()) throw std::invalid_argument("a field needs a path");
        std::size_t level = 0;
        for (std::size_t depth = 0; depth < path.size(); ++depth) {
            const bool last = depth + 1 == path.size();
            auto& entries = levels_[level].entries;
            auto entry =
                std::ranges::find_if(entries, [&](const auto& known) { return known.key == path[depth]; });
            if (entry == entries.end()) {
                entries.push_back({path[depth], last ? field : kNoField, kNoField});
                entry = entries.end() - 1;
            } else if (last || entry->field != kNoField) {
                throw std::invalid_argument("two fields have one path, or one lies within another");
            }
            if (last) return;
            if (entry->level == kNoField) {
                entry->level = static_cast<int>(levels_.size());
                level = levels_.size();
                levels_.emplace_back();  // invalidates entry
            } else {
                level = static_cast<std::size_t>(entry->level);
            }
        }
    }

    void read(std::string_view block) {
        const char* const start = block.data();
        const char* const stop = start + block.size();
        std::int64_t line = 0;
        for (const char* at = start; at < stop; ++line) {
            const auto* end =
                static_cast<const char*>(std::memchr(at, '\n', static_cast<std::size_t>(stop - at)));
            if (end == nullptr) end = stop;
            at_ = at;
            end_ = end;
            skip_space();
            if (at_ < end_) {
                seen_ = 0;
                if (object(0, 0) && (skip_space(), at_ == end_)) {
                    finish();
                    rows_.lines.push_back(line);
                    if (rows_.lines.size() == kSample) reserve(end - start, stop - start);
                } else {
                    forget();
                    rows_.refused.insert(rows_.refused.end(), {line, at - start, end - start});
                }
            }
            at = end + 1;
        }
    }

    // The first rows tell about how much memory the block needs.
    void reserve(std::ptrdiff_t seen, std::ptrdiff_t size) {
        const double times = 1.1 * static_cast<double>(size) / static_cast<double>(seen);
        const auto grown = [times](std::size_t n) {
            return static_cast<std::size_t>(static_cast<double>(n) * times) + 64;
        };
        rows_.lines.reserve(grown(kSample));
        for (JsonColumn& column : rows_.columns) {
            column.codes.reserve(column.codes.empty() ? 0 : grown(kSample));
            if (column.codes.empty())
                column.bytes.reserve(column.bytes.empty() ? 0 : grown(column.bytes.size()));
            if (column.codes.empty()) column.offsets.reserve(column.offsets.size() == 1 ? 1 : grown(kSample));
            column.integers.reserve(column.integers.empty() ? 0 : grown(kSample));
            column.validity.reserve(grown(kSample / 8));
        }
    }

    // Every column ends where the last whole row ended.
    void forget() {
        const std::size_t rows = rows_.lines.size();
        for (std::size_t i = 0; i < fields_.size(); ++i) {
            JsonColumn& column = rows_.columns[i];
            if ((seen_ >> i & 1) == 0) continue;
            if (column.integers.size() > rows) column.integers.resize(rows);
            if (column.codes.size() > rows) column.codes.resize(rows);
            if (!named(i) && column.offsets.size() > rows + 1) column.offsets.resize(rows + 1);
            column.bytes.resize(static_cast<std::size_t>(column.offsets.back()));
        }
    }

    void finish() {
        const std::size_t row = rows_.lines.size();
        for (std::size_t i = 0; i < fields_.size(); ++i) {
            JsonColumn& column = rows_.columns[i];
            if (row % 8 == 0) column.validity.push_back(0);
            const bool integer = fields_[i].kind == JsonKind::integer;
            if ((integer    ? column.integers.size()
                 : named(i) ? column.codes.size()
                            : column.offsets.size() - 1) > row) {
                column.validity.back() = static_cast<std::uint8_t>(column.validity.back() | 1U << row % 8);
                continue;
            }
            ++column.nulls;
            if (integer)
                column.integers.push_back(0);
            else if (named(i))
                column.codes.push_back(0);
            else
                column.offsets.push_back(column.offsets.back());
        }
    }

    bool object(std::size_t index, std::size_t depth) {
        Level& level = levels_[index];
        level.last = kNoField;
        if (at_ >= end_ || *at_ != '{') return false;
        ++at_;
        skip_space();
        if (at_ < end_ && *at_ == '}') return ++at_, true;
        while (true) {
            const Level::Entry* entry = expected(level);
            if (entry == nullptr) {
                std::string_view key;
                if (!read_key(key)) return false;
                entry = find(level, key);
            }
            skip_space();
            if (at_ >= end_ || *at_ != ':') return false;
            ++at_;
            skip_space();
            if (!value(entry, depth)) return false;
            skip_space();
            if (at_ >= end_) return false;
            if (*at_ == '}') return ++at_, true;
            if (*at_ != ',') return false;
            ++at_;
            skip_space();
        }
    }

    // Rows of a log have their keys in one order: the wanted key that came next in the row before, if it
    // comes next again. All others are found the long way.
    const Level::Entry* expected(Level& level) {
        const int guess = level.guess();
        if (guess == kNoField) return nullptr;
        const Level::Entry& entry = level.entries[static_cast<std::size_t>(guess)];
        const std::size_t length = entry.key.size();
        if (static_cast<std::size_t>(end_ - at_) < length + 2 || *at_ != '"' || at_[length + 1] != '"' ||
            std::memcmp(at_ + 1, entry.key.data(), length) != 0)
            return nullptr;
        at_ += length + 2;
        level.last = guess;
        return &entry;
    }

    static const Level::Entry* find(Level& level, std::string_view key) {
        for (std::size_t i = 0; i < level.entries.size(); ++i) {
            if (level.entries[i].key != key) continue;
            level.guess() = static_cast<int>(i);
            level.last = static_cast<int>(i);
            return &level.entries[i];
        }
        return nullptr;
    }

    bool value(const Level::Entry* entry, std::size_t depth) {
        if (entry == nullptr) return json::skip_value(at_, end_, kDeepest - depth - 1);
        if (at_ >= end_) return false;
        if (entry->level != kNoField) {
            const std::size_t level = static_cast<std::size_t>(entry->level);
            if (*at_ == '{' && depth + 1 < kDeepest) return object(level, depth + 1);
            return json::skip_value(at_, end_, kDeepest - depth - 1);
        }
        const auto field = static_cast<std::size_t>(entry->field);
        if ((seen_ >> field & 1) != 0) return false;  // a key twice
        seen_ |= std::uint64_t{1} << field;
        if (*at_ == 'n') return json::literal(at_, end_, "null");
        JsonColumn& column = rows_.columns[field];
        switch (fields_[field].kind) {
            case JsonKind::text:
                return *at_ == '"' && text(column) && end_text(column);
            case JsonKind::name:
                if (!(*at_ == '"' ? text(column) : whole(column))) return false;
                names_[field].enter(column);
                return true;
            case JsonKind::integer:
                return integer(column);
            case JsonKind::raw:
                return raw(column);
        }
        return false;
    }

    bool read_key(std::string_view& key) {
        const char* const start = at_ + 1;
        key_.clear();
        if (at_ >= end_ || *at_ != '"') return false;
        bool plain = false;
        if (!json::read_string(at_, end_, key_, &plain)) return false;
        key = plain ? std::string_view(start, static_cast<std::size_t>(at_ - 1 - start))
                    : std::string_view(key_.data(), key_.size());
        return true;
    }

    bool text(JsonColumn& column) { return json::read_string(at_, end_, column.bytes, nullptr); }

    static bool end_text(JsonColumn& column) {
        column.offsets.push_back(static_cast<std::int64_t>(column.bytes.size()));
        return true;
    }

    bool named(std::size_t field) const { return fields_[field].kind == JsonKind::name; }

    bool whole(JsonColumn& column) {
        const char* const start = at_;
        bool integral = false;
        if (!json::skip_number(at_, end_, integral) || !integral) return false;
        if (*start == '-' && at_ == start + 2 && start[1] == '0') return false;
        return keep(column, start);
    }

    bool raw(JsonColumn& column) {
        const char* const start = at_;
        if (*at_ != '[' && *at_ != '-' && (*at_ < '0' || *at_ > '9')) return false;
        return json::skip_value(at_, end_, 2) && keep(column, start) && end_text(column);
    }

    bool keep(JsonColumn& column, const char* start) {
        column.bytes.insert(column.bytes.end(), start, at_);
        return true;
    }

    bool integer(JsonColumn& column) {
        const bool quoted = *at_ == '"';
        if (quoted) ++at_;
        const bool negative = at_ < end_ && *at_ == '-';
        if (negative) ++at_;
        const char* const digits = at_;
        std::int64_t number = 0;
        for (; at_ < end_ && *at_ >= '0' && *at_ <= '9'; ++at_) {
            if (at_ - digits >= kMostDigits) return false;
            number = number * 10 + (*at_ - '0');
        }
        if (at_ == digits || (!quoted && *digits == '0' && at_ - digits > 1)) return false;
        // A whole number that was once a float (1.0) is whole.
        if (!quoted && at_ + 1 < end_ && *at_ == '.' && at_[1] == '0') {
            for (++at_; at_ < end_ && *at_ == '0';) ++at_;
        }
        if (quoted && (at_ >= end_ || *at_++ != '"')) return false;
        if (!quoted && at_ < end_ &&
            (*at_ == '.' || *at_ == 'e' || *at_ == 'E' || (*at_ >= '0' && *at_ <= '9')))
            return false;
        column.integers.push_back(negative ? -number : number);
        return true;
    }

    void skip_space() { json::skip_space(at_, end_); }

    std::span<const JsonField> fields_;
    std::vector<Level> levels_;
    std::vector<json::Names> names_;
    JsonRows rows_;
    std::uint64_t seen_ = 0;
    std::vector<char> key_;
    const char* at_ = nullptr;
    const char* end_ = nullptr;
};

}  // namespace

JsonRows scan_json_lines(std::string_view block, std::span<const JsonField> fields) {
    return Scanner(block, fields).take();
}

}  // namespace crystal
