#include <algorithm>
#include <stdexcept>

#include "crystal/bytes.hpp"
#include "crystal/sequence_table.hpp"
#include "crystal/sequences_hash.hpp"

namespace crystal {
namespace {

constexpr std::uint32_t kIndex = 0xffffff;  // the bits of a slot that number an entry
constexpr std::size_t kMostEntries = kIndex - 1, kBlock = std::size_t{1} << 14;

// Other bits of the hash than a part is chosen by and sorted by, and the cell, so that one sequence in many
// cells does not pile up.
std::uint64_t mixed(const Hash128& hash, std::uint32_t cell) noexcept {
    return (hash.low ^ (std::uint64_t{cell} * 0x9e3779b97f4a7c15ULL)) * 0xd1342543de82ef95ULL;
}

std::uint32_t tag(std::uint64_t bits) noexcept { return static_cast<std::uint32_t>(bits << 24); }

}  // namespace

std::size_t SequencePart::nbytes() const noexcept {
    return slots_.capacity() * sizeof(std::uint32_t) + chunks_.size() * kChunk * sizeof(Entry) +
           block_bytes_ + (chunks_.capacity() + blocks_.capacity()) * sizeof(void*);
}

void SequencePart::reserve(std::size_t more) {
    const std::size_t needed = size_ + more;
    if (needed * 4 <= slots_.size() * 3) return;
    std::vector<std::uint32_t> slots(std::max({std::size_t{64}, slots_.size() / 2 * 3, needed * 4 / 3 + 1}));
    slots_.swap(slots);
    for (const std::uint32_t slot : slots) {
        if (slot == 0) continue;
        const Entry& held = entry((slot & kIndex) - 1);
        std::size_t at = home(mixed(held.hash, held.cell));
        while (slots_[at] != 0) at = at + 1 == slots_.size() ? 0 : at + 1;
        slots_[at] = slot;
    }
}

void SequencePart::prefetch_slot(const Hash128& hash, std::uint32_t cell) const noexcept {
    __builtin_prefetch(&slots_[home(mixed(hash, cell))]);
}

const SequencePart::Entry* SequencePart::candidate(const Hash128& hash, std::uint32_t cell) const noexcept {
    const std::uint64_t bits = mixed(hash, cell);
    for (std::size_t at = home(bits); slots_[at] != 0; at = at + 1 == slots_.size() ? 0 : at + 1) {
        if ((slots_[at] & ~kIndex) == tag(bits)) return &entry((slots_[at] & kIndex) - 1);
    }
    return nullptr;
}

void SequencePart::prefetch_entry(const Hash128& hash, std::uint32_t cell) const noexcept {
    if (const Entry* const found = candidate(hash, cell)) __builtin_prefetch(found);
}

void SequencePart::prefetch_key(const Hash128& hash, std::uint32_t cell) const noexcept {
    const Entry* const found = candidate(hash, cell);
    if (found == nullptr || !keys_) return;
    __builtin_prefetch(blocks_[found->place >> kOffsetBits].get() +
                       (found->place & ((1U << kOffsetBits) - 1)));
}

std::span<const std::uint8_t> SequencePart::key(const Entry& entry, bool verify) const noexcept {
    if (!verify) return {};
    const std::uint8_t* const at =
        blocks_[entry.place >> kOffsetBits].get() + (entry.place & ((1U << kOffsetBits) - 1));
    return {at + 4, load_word<std::uint32_t>(at)};
}

std::uint32_t SequencePart::keep(std::span<const std::uint8_t> key) {
    const std::size_t needed = key.size() + 4;
    if (block_at_ + needed > block_end_) {
        if (blocks_.size() >> (32 - kOffsetBits) != 0) throw std::length_error("a part holds too many keys");
        const std::size_t size = std::max(needed, std::clamp<std::size_t>(block_bytes_ / 8, 512, kBlock));
        blocks_.emplace_back(new std::uint8_t[size]);
        block_bytes_ += size;
        block_at_ = 0;
        block_end_ = size;
    }
    std::uint8_t* const to = blocks_.back().get() + block_at_;
    const std::uint32_t length = swap_if_big(static_cast<std::uint32_t>(key.size()));
    std::memcpy(to, &length, sizeof length);
    if (!key.empty()) std::memcpy(to + sizeof length, key.data(), key.size());
    const std::size_t place = (blocks_.size() - 1) << kOffsetBits | block_at_;
    block_at_ += needed;
    return static_cast<std::uint32_t>(place);
}

void SequencePart::add(const SequenceRecord& record, bool verify) {
    const std::uint64_t bits = mixed(record.hash, record.cell);
    std::size_t at = home(bits);
    for (; slots_[at] != 0; at = at + 1 == slots_.size() ? 0 : at + 1) {
        if ((slots_[at] & ~kIndex) != tag(bits)) continue;
        Entry& held = entry((slots_[at] & kIndex) - 1);
        if (held.hash != record.hash || held.cell != record.cell) continue;
        const std::span<const std::uint8_t> mine = key(held, verify);
        if (verify &&
            (mine.size() != record.key.size() || !same_bytes(mine.data(), record.key.data(), mine.size()))) {
            continue;
        }
        held.count += record.count;
        return;
    }
    if (size_ == kMostEntries) throw std::length_error("a part holds too many sequences");
    if (size_ == chunks_.size() * kChunk) chunks_.emplace_back(new Entry[kChunk]);
    keys_ = verify;
    entry(size_) = {record.hash, record.count, record.cell, verify ? keep(record.key) : 0};
    slots_[at] = tag(bits) | static_cast<std::uint32_t>(++size_);
}

void SequencePart::write(std::span<const std::uint32_t> ranks, bool ranked,
                         std::vector<std::uint8_t>& out) const {
    struct Item {
        std::uint64_t high;
        std::uint32_t index;
    };
    std::vector<Item> order(size_);
    for (std::uint32_t i = 0; i < order.size(); ++i) order[i] = {entry(i).hash.high, i};
    const auto record = [&](std::uint32_t index) {
        const Entry& held = entry(index);
        return SequenceRecord{held.hash, held.count, held.cell, key(held, keys_)};
    };
    std::ranges::sort(order, [&](const Item& a, const Item& b) {
        return a.high != b.high ? a.high < b.high : before(record(a.index), record(b.index), ranks);
    });
    out.reserve(out.size() + size_ * SequenceRecord::kHead + block_bytes_);
    for (const Item& item : order) {
        SequenceRecord one = record(item.index);
        if (ranked) one.cell = ranks[one.cell];
        one.write(out);
    }
}

}  // namespace crystal
