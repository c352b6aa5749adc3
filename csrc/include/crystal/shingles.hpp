#pragma once
// Shingles: a text as the set of its runs of n consecutive units. A text of fewer than n units has one, which
// is all of it; so has an empty text. No shingle crosses the end of a text.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "crystal/hash.hpp"
#include "crystal/sequences.hpp"

namespace crystal {

enum class Units {
    elements,    // the values themselves, 1 or 4 bytes each
    characters,  // code points of UTF-8; a byte that belongs to none is one of its own
    words,       // what stands between white space (Unicode's, and U+001C to U+001F)
};

struct Shingles {
    Units units = Units::elements;
    std::size_t n = 1;
    std::uint64_t seed = 0;
};

// Throws std::invalid_argument, which says what is wrong, unless these shingles can be made of these data.
void check_shingles(const RaggedView& ragged, const Shingles& shingles);

// The units of one text. Its memory is kept for the next one.
class UnitRow {
  public:
    void read(const RaggedView& ragged, std::size_t row, Units units);

    // A number a unit: the value or code point itself, or 64 bits of hash of a word.
    std::span<const std::uint64_t> codes() const noexcept { return codes_; }

    // Whether `count` units from here are those of another row, which had the same kind of units.
    bool same(std::size_t at, const UnitRow& other, std::size_t other_at, std::size_t count) const noexcept;

  private:
    struct Word {
        std::uint64_t begin, size;
    };

    void read_characters(std::span<const std::uint8_t> text);
    void read_words(std::span<const std::uint8_t> text);

    const std::uint8_t* text_ = nullptr;
    std::vector<std::uint64_t> codes_;
    std::vector<Word> words_;  // only of words, whose codes alone are no identity
};

// Calls emit(hash, place) for each shingle of a row, in order and with repetitions, where `place` is its
// first unit. A polynomial in the codes rolls along, so the cost does not grow with n.
template <class Emit>
void each_shingle(std::span<const std::uint64_t> codes, const Shingles& shingles, Emit&& emit) {
    constexpr std::uint64_t base = 0x9e6c63d0876a9a99ULL;  // odd, so that no unit is lost to a shift
    const std::size_t size = std::min(shingles.n, codes.size());
    // The size tells a short text from a shingle that begins with it.
    const std::uint64_t key = mix64(shingles.seed ^ 0x3c6ef372fe94f82bULL) + size * 0xa54ff53a5f1d36f1ULL;
    std::uint64_t rolled = 0, drop = 1;
    for (std::size_t i = 0; i < size; ++i) {
        rolled = rolled * base + codes[i];
        drop *= base;
    }
    emit(mix64(rolled ^ key), std::size_t{0});
    for (std::size_t i = size; i < codes.size(); ++i) {
        rolled = rolled * base + (codes[i] - codes[i - size] * drop);
        emit(mix64(rolled ^ key), i - size + 1);
    }
}

// The distinct shingles of one text, with a table to look others up in. Exact: a hash says where to look, and
// the units are compared.
class ShingleSet {
  public:
    void read(const RaggedView& ragged, std::size_t row, const Shingles& shingles);
    std::size_t size() const noexcept { return entries_.size(); }
    std::size_t units() const noexcept { return row_.codes().size(); }

    // Whether the Jaccard similarity, shared over all different shingles as a float64 quotient, reaches this.
    static bool similar(const ShingleSet& a, const ShingleSet& b, double threshold) noexcept;

  private:
    struct Entry {
        std::uint64_t hash, place;
    };

    std::size_t home(std::uint64_t hash) const noexcept { return static_cast<std::size_t>(hash >> shift_); }
    bool holds(const ShingleSet& other, const Entry& entry) const noexcept;

    UnitRow row_;
    std::size_t length_ = 0;  // units of a shingle
    std::vector<Entry> entries_;
    std::vector<std::uint32_t> slots_;  // 1 + entry, 0 for nobody
    int shift_ = 63;
};

}  // namespace crystal
