#include "crystal/shingles.hpp"

#include <bit>
#include <cstring>
#include <stdexcept>

#include "crystal/bytes.hpp"

namespace crystal {
namespace {

constexpr std::uint32_t kBadByte = 0x110000;  // past the last code point

struct Decoded {
    std::uint32_t code;
    std::size_t size;
};

// The code point that starts here, or this byte alone. No overlong forms, no surrogates.
Decoded decode(std::span<const std::uint8_t> text) noexcept {
    const std::uint8_t lead = text[0];
    if (lead < 0x80) return {lead, 1};
    const auto tail = [&](std::size_t i) { return static_cast<std::uint32_t>(text[i] & 0x3f); };
    const std::size_t size = lead < 0xc2 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 1;
    const Decoded bad{kBadByte + lead, 1};
    if (size == 1 || size > text.size()) return bad;
    for (std::size_t i = 1; i < size; ++i) {
        if ((text[i] & 0xc0) != 0x80) return bad;
    }
    if (size == 2) return {(static_cast<std::uint32_t>(lead & 0x1f) << 6) | tail(1), 2};
    if (size == 3) {
        const std::uint32_t code = (static_cast<std::uint32_t>(lead & 0x0f) << 12) | (tail(1) << 6) | tail(2);
        return code < 0x800 || (code >= 0xd800 && code < 0xe000) ? bad : Decoded{code, 3};
    }
    const std::uint32_t code =
        (static_cast<std::uint32_t>(lead & 0x07) << 18) | (tail(1) << 12) | (tail(2) << 6) | tail(3);
    return code < 0x10000 || code >= kBadByte ? bad : Decoded{code, 4};
}

bool is_space(std::uint32_t code) noexcept {
    if (code < 0x80) return code == 0x20 || (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x1f);
    return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
           code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

}  // namespace

void check_shingles(const RaggedView& ragged, const Shingles& shingles) {
    check_ragged(ragged);
    if (shingles.n == 0) throw std::invalid_argument("a shingle has at least one unit");
    if (ragged.width != 1 && ragged.width != 4) throw std::invalid_argument("elements have 1 or 4 bytes");
    if (shingles.units != Units::elements && ragged.width != 1) {
        throw std::invalid_argument("characters and words are made of bytes");
    }
    for (std::size_t row = 0; row < ragged.rows(); ++row) {
        if (ragged.size(row) / ragged.width > 0x7fffffffU) {
            throw std::invalid_argument("a text has more than 2^31 - 1 elements");
        }
    }
}

void UnitRow::read(const RaggedView& ragged, std::size_t row, Units units) {
    const std::span<const std::uint8_t> text(ragged.data(row), ragged.size(row));
    text_ = text.data();
    words_.clear();
    if (units == Units::words) return read_words(text);
    if (units == Units::characters) return read_characters(text);
    codes_.resize(text.size() / ragged.width);
    if (ragged.width == 1) {
        std::copy(text.begin(), text.end(), codes_.begin());
        return;
    }
    for (std::size_t i = 0; i < codes_.size(); ++i) {
        std::uint32_t value;
        std::memcpy(&value, text_ + 4 * i, sizeof value);
        codes_[i] = value;
    }
}

void UnitRow::read_characters(std::span<const std::uint8_t> text) {
    codes_.resize(text.size());
    std::uint8_t all = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        codes_[i] = text[i];
        all |= text[i];
    }
    if (all < 0x80) return;
    std::size_t found = 0;
    for (std::size_t at = 0; at < text.size();) {
        const Decoded next = decode(text.subspan(at));
        codes_[found++] = next.code;
        at += next.size;
    }
    codes_.resize(found);
}

void UnitRow::read_words(std::span<const std::uint8_t> text) {
    codes_.clear();
    std::size_t begin = 0;
    const auto end_word = [&](std::size_t end) {
        if (end == begin) return;
        words_.push_back({begin, end - begin});
        codes_.push_back(hash_bytes(text.subspan(begin, end - begin)).high);
    };
    for (std::size_t at = 0; at < text.size();) {
        const Decoded next = decode(text.subspan(at));
        if (is_space(next.code)) {
            end_word(at);
            begin = at + next.size;
        }
        at += next.size;
    }
    end_word(text.size());
}

bool UnitRow::same(std::size_t at, const UnitRow& other, std::size_t other_at,
                   std::size_t count) const noexcept {
    if (!std::equal(codes_.begin() + static_cast<std::ptrdiff_t>(at),
                    codes_.begin() + static_cast<std::ptrdiff_t>(at + count),
                    other.codes_.begin() + static_cast<std::ptrdiff_t>(other_at))) {
        return false;
    }
    if (words_.empty()) return true;
    for (std::size_t i = 0; i < count; ++i) {
        const Word &a = words_[at + i], &b = other.words_[other_at + i];
        if (a.size != b.size || std::memcmp(text_ + a.begin, other.text_ + b.begin, a.size) != 0)
            return false;
    }
    return true;
}

void ShingleSet::read(const RaggedView& ragged, std::size_t row, const Shingles& shingles) {
    row_.read(ragged, row, shingles.units);
    const std::size_t units = row_.codes().size();
    length_ = std::min(shingles.n, units);
    const std::size_t size = std::bit_ceil(std::max<std::size_t>(2 * (units - length_ + 1), 8));
    shift_ = 64 - std::countr_zero(size);
    slots_.assign(size, 0);
    entries_.clear();
    each_shingle(row_.codes(), shingles, [&](std::uint64_t hash, std::size_t place) {
        std::size_t at = home(hash);
        for (; slots_[at] != 0; at = (at + 1) & (slots_.size() - 1)) {
            const Entry& held = entries_[slots_[at] - 1];
            if (held.hash == hash && row_.same(place, row_, static_cast<std::size_t>(held.place), length_)) {
                return;
            }
        }
        entries_.push_back({hash, place});
        slots_[at] = static_cast<std::uint32_t>(entries_.size());
    });
}

bool ShingleSet::holds(const ShingleSet& other, const Entry& entry) const noexcept {
    for (std::size_t at = home(entry.hash); slots_[at] != 0; at = (at + 1) & (slots_.size() - 1)) {
        const Entry& held = entries_[slots_[at] - 1];
        if (held.hash == entry.hash && row_.same(static_cast<std::size_t>(held.place), other.row_,
                                                 static_cast<std::size_t>(entry.place), length_)) {
            return true;
        }
    }
    return false;
}

bool ShingleSet::similar(const ShingleSet& a, const ShingleSet& b, double threshold) noexcept {
    if (a.length_ != b.length_) return false;
    const std::size_t total = a.size() + b.size();
    const auto reached = [&](std::size_t shared) {
        return static_cast<double>(shared) / static_cast<double>(total - shared) >= threshold;
    };
    const ShingleSet& few = a.size() <= b.size() ? a : b;
    const ShingleSet& many = a.size() <= b.size() ? b : a;
    if (!reached(few.size())) return false;
    // The fewest shared shingles that are enough: about t / (1 + t) of all, then exactly.
    auto needed = static_cast<std::size_t>(static_cast<double>(total) * threshold / (1.0 + threshold));
    while (needed > 0 && reached(needed - 1)) --needed;
    while (!reached(needed)) ++needed;
    std::size_t may_miss = few.size() - needed;
    for (const Entry& entry : few.entries_) {
        if (!many.holds(few, entry) && may_miss-- == 0) return false;
    }
    return true;
}

}  // namespace crystal
