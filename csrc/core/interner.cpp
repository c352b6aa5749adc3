#include "crystal/interner.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "crystal/hash.hpp"

namespace crystal {
namespace {

// Bits that canonical order looks at last: texts often come in that order, and places that ascended with it
// would pile up at one end of a growing table.
std::uint32_t tag_of(std::string_view text) { return static_cast<std::uint32_t>(hash_text(text).low); }

std::size_t home(std::uint32_t tag, std::size_t size) {
    return static_cast<std::size_t>((static_cast<std::uint64_t>(tag) * size) >> 32);
}

}  // namespace

std::size_t Interner::probe(std::uint32_t tag, std::string_view wanted) const {
    std::size_t at = home(tag, slots_.size());
    while (slots_[at].id != kNone && (slots_[at].tag != tag || text(slots_[at].id) != wanted)) {
        if (++at == slots_.size()) at = 0;
    }
    return at;
}

void Interner::reserve(std::size_t more) {
    const std::size_t needed = size() + more;
    if (needed * 16 <= slots_.size() * 13) return;
    // 13/16 full at most, half as large again each time: 10 to 15 bytes of table a text.
    const std::size_t slots =
        std::max({std::size_t{16}, slots_.size() + slots_.size() / 2, needed * 16 / 13 + 1});
    std::vector<Slot> old(slots, Slot{0, kNone});
    old.swap(slots_);
    for (const Slot& slot : old) {
        if (slot.id == kNone) continue;
        std::size_t at = home(slot.tag, slots_.size());
        while (slots_[at].id != kNone) {
            if (++at == slots_.size()) at = 0;
        }
        slots_[at] = slot;
    }
}

std::uint32_t Interner::intern(std::string_view text) {
    reserve(1);
    return intern_tagged(tag_of(text), text);
}

void Interner::intern_all(std::span<const std::string_view> texts, std::span<std::uint32_t> ids) {
    constexpr std::size_t kBlock = 32;
    std::array<std::uint32_t, kBlock> tags;
    for (std::size_t begin = 0; begin < texts.size(); begin += kBlock) {
        const auto block = texts.subspan(begin, std::min(kBlock, texts.size() - begin));
        reserve(block.size());
        for (std::size_t i = 0; i < block.size(); ++i) {
            tags[i] = tag_of(block[i]);
            __builtin_prefetch(&slots_[home(tags[i], slots_.size())]);
        }
        for (std::size_t i = 0; i < block.size(); ++i) {
            const Slot& slot = slots_[home(tags[i], slots_.size())];
            if (slot.id != kNone) __builtin_prefetch(&ends_[slot.id]);
        }
        for (std::size_t i = 0; i < block.size(); ++i) {
            const Slot& slot = slots_[home(tags[i], slots_.size())];
            if (slot.id != kNone) __builtin_prefetch(text(slot.id).data());
        }
        for (std::size_t i = 0; i < block.size(); ++i) ids[begin + i] = intern_tagged(tags[i], block[i]);
    }
}

std::uint32_t Interner::intern_tagged(std::uint32_t tag, std::string_view text) {
    const std::size_t at = probe(tag, text);
    if (slots_[at].id != kNone) return slots_[at].id;
    if (size() >= kMost)
        throw std::length_error("a column holds more distinct texts than ids exist (2^31 - 2)");
    arena_.insert(arena_.end(), text.begin(), text.end());
    ends_.push_back(arena_.size());
    slots_[at] = {tag, static_cast<std::uint32_t>(size() - 1)};
    return slots_[at].id;
}

std::uint32_t Interner::find(std::string_view text) const {
    return slots_.empty() ? kNone : slots_[probe(tag_of(text), text)].id;
}

std::size_t Interner::nbytes() const {
    return arena_.capacity() + ends_.capacity() * sizeof(std::uint64_t) + slots_.capacity() * sizeof(Slot);
}

std::vector<std::uint32_t> Interner::canonical_order() const {
    struct Keyed {
        Hash128 hash;
        std::uint32_t id;
    };
    std::vector<Keyed> keyed(size());
    for (std::uint32_t id = 0; id < keyed.size(); ++id) keyed[id] = {hash_text(text(id)), id};
    std::sort(keyed.begin(), keyed.end(), [this](const Keyed& left, const Keyed& right) {
        const auto order = left.hash <=> right.hash;
        return order != 0 ? order < 0 : text(left.id) < text(right.id);
    });
    std::vector<std::uint32_t> order(keyed.size());
    std::transform(keyed.begin(), keyed.end(), order.begin(), [](const Keyed& one) { return one.id; });
    return order;
}

}  // namespace crystal
