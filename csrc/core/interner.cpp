#include "crystal/interner.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

#include "crystal/hash.hpp"
#include "crystal/threads.hpp"

namespace crystal {
namespace {

// Bits that canonical order looks at last: texts often come in that order.
std::uint64_t hash_of(std::string_view text) { return hash_text(text).low; }

constexpr std::size_t kBlock = 32, kHashed = 4096, kLeastBlock = 256;

}  // namespace

void Interner::Part::reserve(std::size_t more) {
    index_.reserve(more, [this](std::uint32_t number) { return hash_of(text(number)); });
}

void Interner::Part::prefetch_place(std::uint64_t hash) const noexcept {
    const std::uint32_t number = index_.guess(hash);
    if (number != kNone) __builtin_prefetch(&chunks_[number / kChunk]);
}

void Interner::Part::prefetch_text(std::uint64_t hash) const noexcept {
    const std::uint32_t number = index_.guess(hash);
    if (number != kNone) __builtin_prefetch(text(number).data());
}

std::uint32_t Interner::Part::find(std::uint64_t hash, std::string_view wanted) const {
    return index_.find(hash, [&](std::uint32_t number) { return text(number) == wanted; });
}

std::uint32_t Interner::Part::intern(std::uint64_t hash, std::string_view wanted) {
    // Kept before it is numbered: a text that finds no room leaves the index as it was.
    const std::uint32_t held = find(hash, wanted);
    if (held != kNone) return held;
    if (size() >= kMost / kHashParts) {
        throw std::length_error("a column holds more distinct texts than ids exist (2^31 - 2)");
    }
    keep(wanted);
    return index_.find_or_add(hash, [](std::uint32_t) { return false; }).first;
}

void Interner::Part::keep(std::string_view text) {
    const std::size_t i = size() % kChunk;
    if (size() == chunks_.size() * kChunk) {
        if (chunks_.size() == chunks_.capacity()) chunks_.reserve(chunks_.size() + chunks_.size() / 8 + 1);
        chunks_.push_back({at_, {}});
    }
    Chunk& chunk = chunks_.back();
    const std::size_t held = i == 0 ? 0 : chunk.ends[i - 1];
    if (held + text.size() > std::numeric_limits<std::uint32_t>::max()) {
        throw std::length_error("4 texts of a column have more than 2^32 - 1 bytes together");
    }
    if (text.size() > room_) at_ = make_room(chunk, held, text.size());
    if (!text.empty()) std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
    room_ -= text.size();
    text_bytes_ += text.size();
    chunk.ends[i] = static_cast<std::uint32_t>(held + text.size());
}

// A chunk that does not fit into the rest of its block moves to a new one, which is an eighth of all there
// is.
char* Interner::Part::make_room(Chunk& chunk, std::size_t held, std::size_t more) {
    const std::size_t size = std::max({held + more, block_bytes_ / 8, kLeastBlock});
    auto block = std::make_unique_for_overwrite<char[]>(size);
    if (held > 0) std::memcpy(block.get(), chunk.base, held);
    if (!blocks_.empty() && chunk.base == blocks_.back().get()) {  // nothing else lies in the last block
        blocks_.pop_back();
        block_bytes_ -= last_block_;
    }
    chunk.base = block.get();
    char* const end = block.get() + held;
    blocks_.push_back(std::move(block));
    block_bytes_ += size;
    last_block_ = size;
    room_ = size - held;
    return end;
}

std::size_t Interner::Part::nbytes() const noexcept {
    return block_bytes_ + blocks_.capacity() * sizeof(blocks_[0]) + chunks_.capacity() * sizeof(Chunk) +
           index_.nbytes();
}

std::uint32_t Interner::intern(std::string_view text) {
    std::uint32_t id = 0;
    intern_all({&text, 1}, {&id, 1}, 1);
    return id;
}

void Interner::intern_all(std::span<const std::string_view> texts, std::span<std::uint32_t> ids,
                          std::size_t threads) {
    std::vector<std::uint64_t> hashes(texts.size());
    parallel_for(texts.size(), kHashed, threads, nullptr, [&](std::size_t begin, std::size_t end) {
        for (std::size_t i = begin; i < end; ++i) hashes[i] = hash_of(texts[i]);
    });
    const ByPart sorted(hashes, [](std::size_t) { return false; });
    parallel_for(kHashParts, 1, threads, nullptr, [&](std::size_t p, std::size_t) {
        Part& part = parts_[p];
        const std::span all(sorted.order.data() + sorted.starts[p],
                            sorted.order.data() + sorted.starts[p + 1]);
        // A block's slots, places and texts come from memory together: one wait a block and not one a text.
        for (std::size_t begin = 0; begin < all.size(); begin += kBlock) {
            const auto block = all.subspan(begin, std::min(kBlock, all.size() - begin));
            part.reserve(block.size());
            for (const std::uint32_t i : block) part.prefetch_slot(hashes[i]);
            for (const std::uint32_t i : block) part.prefetch_place(hashes[i]);
            for (const std::uint32_t i : block) part.prefetch_text(hashes[i]);
            for (const std::uint32_t i : block) {
                ids[i] = static_cast<std::uint32_t>(part.intern(hashes[i], texts[i]) * kHashParts + p);
            }
        }
    });
}

std::vector<std::uint32_t> Interner::intern_all(const Interner& other, std::size_t threads) {
    std::vector<std::uint32_t> ids(other.id_limit(), kNone);
    // The same hash splits both, so a part of one is looked for in one part of the other.
    parallel_for(kHashParts, 1, threads, nullptr, [&](std::size_t p, std::size_t) {
        const Part& theirs = other.parts_[p];
        for (std::size_t number = 0; number < theirs.size(); ++number) {
            const std::string_view text = theirs.text(number);
            parts_[p].reserve(1);
            ids[number * kHashParts + p] =
                static_cast<std::uint32_t>(parts_[p].intern(hash_of(text), text) * kHashParts + p);
        }
    });
    return ids;
}

std::uint32_t Interner::find(std::string_view text) const {
    const std::uint64_t hash = hash_of(text);
    const std::size_t p = part_of(hash);
    const std::uint32_t number = parts_[p].find(hash, text);
    return number == kNone ? kNone : static_cast<std::uint32_t>(number * kHashParts + p);
}

std::size_t Interner::size() const {
    std::size_t size = 0;
    for (const Part& part : parts_) size += part.size();
    return size;
}

std::size_t Interner::id_limit() const {
    std::size_t most = 0;
    for (const Part& part : parts_) most = std::max(most, part.size());
    return most * kHashParts;
}

std::size_t Interner::text_bytes() const {
    std::size_t bytes = 0;
    for (const Part& part : parts_) bytes += part.text_bytes();
    return bytes;
}

std::size_t Interner::nbytes() const {
    std::size_t bytes = parts_.capacity() * sizeof(Part);
    for (const Part& part : parts_) bytes += part.nbytes();
    return bytes;
}

std::vector<std::uint32_t> Interner::canonical_order() const {
    struct Keyed {
        Hash128 hash;
        std::uint32_t id;
    };
    std::vector<Keyed> keyed;
    keyed.reserve(size());
    for (std::size_t p = 0; p < kHashParts; ++p) {
        for (std::size_t number = 0; number < parts_[p].size(); ++number) {
            keyed.push_back(
                {hash_text(parts_[p].text(number)), static_cast<std::uint32_t>(number * kHashParts + p)});
        }
    }
    std::sort(keyed.begin(), keyed.end(), [this](const Keyed& left, const Keyed& right) {
        const auto order = left.hash <=> right.hash;
        return order != 0 ? order < 0 : text(left.id) < text(right.id);
    });
    std::vector<std::uint32_t> order(keyed.size());
    std::transform(keyed.begin(), keyed.end(), order.begin(), [](const Keyed& one) { return one.id; });
    return order;
}

}  // namespace crystal
