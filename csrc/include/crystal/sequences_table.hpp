#pragma once
// The parts of exact de-duplication: what makes two sequences one, runs of entries cut by the top bits of
// their hashes, and the table that settles one part.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "crystal/hash.hpp"
#include "crystal/sequences.hpp"
#include "crystal/sequences_front.hpp"

namespace crystal::sequences {

constexpr std::uint32_t kNone = 0xffffffffU;

// Two sequences are one if their bytes agree; the hash only finds candidates.
struct ByBytes {
    struct Entry {
        std::uint64_t hash;
        std::uint32_t row, weight;
    };
    static Entry entry(const RaggedView& ragged, std::size_t row) noexcept {
        const std::uint64_t hash = quick_hash(ragged.data(row), ragged.size(row), ragged.room(row));
        return {hash, static_cast<std::uint32_t>(row), 1};
    }
    static Key key(const RaggedView& ragged, const Entry& entry) noexcept {
        return {ragged.data(entry.row), ragged.size(entry.row)};
    }
    // Whether a block may be read at the key of this row, and of those before it.
    static bool whole(const RaggedView& ragged, std::size_t row) noexcept {
        return ragged.room(row) >= kBlockBytes;
    }
    // Two steps, because where the bytes are is itself somewhere else.
    static void prefetch_place(const RaggedView& ragged, std::uint32_t row) noexcept {
        __builtin_prefetch(&ragged.offsets[row]);
    }
    static void prefetch_bytes(const RaggedView& ragged, std::uint32_t row) noexcept {
        const std::uint8_t* const at = ragged.data(row);
        __builtin_prefetch(at);
        __builtin_prefetch(at + std::min<std::size_t>(ragged.size(row), 64));
    }
    static bool same(const RaggedView& ragged, const Entry& a, const Entry& b) noexcept {
        const std::size_t size = ragged.size(a.row);
        return size == ragged.size(b.row) && same_bytes(ragged.data(a.row), ragged.data(b.row), size);
    }
};

// Two sequences are one if 128 bits of hash agree; their bytes are read once and not again.
struct ByHash {
    struct Entry {
        std::uint64_t hash, rest;
        std::uint32_t row, weight;
    };
    static Entry entry(const RaggedView& ragged, std::size_t row) noexcept {
        const Hash128 hash = hash_bytes({ragged.data(row), ragged.size(row)});
        return {hash.high, hash.low, static_cast<std::uint32_t>(row), 1};
    }
    static Key key(const RaggedView&, const Entry& entry) noexcept {
        return {reinterpret_cast<const std::uint8_t*>(&entry), sizeof entry.hash + sizeof entry.rest};
    }
    static bool whole(const RaggedView&, std::size_t) noexcept { return false; }
    static void prefetch_place(const RaggedView&, std::uint32_t) noexcept {}
    static void prefetch_bytes(const RaggedView&, std::uint32_t) noexcept {}
    static bool same(const RaggedView&, const Entry& a, const Entry& b) noexcept {
        return a.hash == b.hash && a.rest == b.rest;
    }
};

// Entries in the order in which they came, stably cut into parts by the top bits of their hashes.
template <class Entry>
class Run {
  public:
    Run() = default;
    Run(std::span<const Entry> entries, int bits)
        : begin_((std::size_t{1} << bits) + 1), entries_(entries.size()) {
        for (const Entry& entry : entries) ++begin_[part_of(entry.hash, bits) + 1];
        for (std::size_t part = 1; part < begin_.size(); ++part) begin_[part] += begin_[part - 1];
        std::vector<std::uint32_t> at(begin_.begin(), begin_.end() - 1);
        for (const Entry& entry : entries) entries_[at[part_of(entry.hash, bits)]++] = entry;
    }

    std::span<const Entry> part(std::size_t index) const noexcept {
        if (begin_.empty()) return {};
        return std::span(entries_).subspan(begin_[index], begin_[index + 1] - begin_[index]);
    }

  private:
    static std::size_t part_of(std::uint64_t hash, int bits) noexcept {
        return bits == 0 ? 0 : static_cast<std::size_t>(hash >> (64 - bits));
    }

    std::vector<std::uint32_t> begin_;
    Column<Entry> entries_;
};

// The distinct entries of one part, in the order in which they came. Open addressing, at most half full.
template <class Identity>
class PartTable {
    using Entry = typename Identity::Entry;
    struct Slot {
        std::uint32_t tag, entry;
    };

  public:
    // Forgets everything and makes room for `entries`, all of whose top `bits` bits of hash are the same.
    void clear(std::size_t entries, int bits) {
        const std::size_t size = std::bit_ceil(std::max<std::size_t>(2 * entries, 16));
        slots_.assign(size, Slot{0, kNone});
        skip_ = bits;
        shift_ = 64 - std::countr_zero(size);
        distinct_.clear();
    }

    // Adds weight(entry) for each entry, and appends the number of its sequence to `found`. The least row
    // stands for a sequence.
    template <class Weight>
    void add(const RaggedView& ragged, std::span<const Entry> entries, Weight&& weight,
             std::vector<std::uint32_t>& found) {
        constexpr std::size_t kBatch = 32;
        found.resize(found.size() + entries.size());
        std::uint32_t* at = found.data() + found.size() - entries.size();
        for (std::size_t begin = 0; begin < entries.size(); begin += kBatch) {
            const std::span<const Entry> batch =
                entries.subspan(begin, std::min(kBatch, entries.size() - begin));
            for (std::size_t i = 0; i < batch.size(); ++i) {
                at[i] = candidate(batch[i]);
                if (distinct_[at[i]].row != batch[i].row)
                    Identity::prefetch_place(ragged, distinct_[at[i]].row);
            }
            for (std::size_t i = 0; i < batch.size(); ++i) {
                if (distinct_[at[i]].row != batch[i].row) {
                    Identity::prefetch_bytes(ragged, distinct_[at[i]].row);
                    Identity::prefetch_bytes(ragged, batch[i].row);
                }
            }
            for (std::size_t i = 0; i < batch.size(); ++i) {
                const Entry& entry = batch[i];
                if (entry.row != distinct_[at[i]].row && !Identity::same(ragged, entry, distinct_[at[i]])) {
                    at[i] = search(ragged, entry);
                }
                Entry& mine = distinct_[at[i]];
                mine.weight += weight(entry);
                mine.row = std::min(mine.row, entry.row);
            }
            at += batch.size();
        }
    }

    const std::vector<Entry>& distinct() const noexcept { return distinct_; }

  private:
    std::size_t home(std::uint64_t hash) const noexcept {
        return static_cast<std::size_t>((hash << skip_) >> shift_);
    }

    // The first entry with this tag on the way from its home, which is a new one if there was none.
    std::uint32_t candidate(const Entry& entry) {
        const std::uint32_t tag = static_cast<std::uint32_t>(entry.hash);
        for (std::size_t at = home(entry.hash);; at = (at + 1) & (slots_.size() - 1)) {
            if (slots_[at].entry == kNone) return insert(at, entry);
            if (slots_[at].tag == tag) return slots_[at].entry;
        }
    }

    // The same with every comparison made: for the rare entry whose tag is another's.
    std::uint32_t search(const RaggedView& ragged, const Entry& entry) {
        const std::uint32_t tag = static_cast<std::uint32_t>(entry.hash);
        for (std::size_t at = home(entry.hash);; at = (at + 1) & (slots_.size() - 1)) {
            if (slots_[at].entry == kNone) return insert(at, entry);
            if (slots_[at].tag == tag && Identity::same(ragged, entry, distinct_[slots_[at].entry])) {
                return slots_[at].entry;
            }
        }
    }

    std::uint32_t insert(std::size_t at, const Entry& entry) {
        const auto index = static_cast<std::uint32_t>(distinct_.size());
        slots_[at] = {static_cast<std::uint32_t>(entry.hash), index};
        distinct_.push_back(entry);
        distinct_.back().weight = 0;
        return index;
    }

    std::vector<Slot> slots_;
    std::vector<Entry> distinct_;
    int skip_ = 0, shift_ = 0;
};

}  // namespace crystal::sequences
