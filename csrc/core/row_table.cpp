#include "crystal/row_table.hpp"

#include <algorithm>

#include "crystal/hash.hpp"
#include "crystal/threads.hpp"

namespace crystal {
namespace {

constexpr std::size_t kBlock = 64;

std::uint64_t hash_of(const RowKey& key) noexcept { return hash_pair(key.high, key.low, 1); }

}  // namespace

std::size_t RowTable::size() const {
    std::size_t size = 0;
    for (const Part& part : parts_) size += part.index.size();
    return size;
}

std::size_t RowTable::nbytes() const {
    std::size_t bytes = parts_.capacity() * sizeof(Part);
    for (const Part& part : parts_) {
        bytes += part.chunks.capacity() * sizeof(part.chunks[0]) + part.chunks.size() * kChunk * sizeof(Row) +
                 part.index.nbytes();
    }
    return bytes;
}

template <class Policy>
std::size_t RowTable::put(std::span<const Row> rows, std::size_t threads) {
    std::vector<std::uint64_t> hashes(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) hashes[i] = hash_of(rows[i].key);
    const ByPart sorted(hashes, [&](std::size_t i) { return rows[i].value == kNoValue; });
    std::array<std::size_t, kHashParts> conflicts;
    conflicts.fill(rows.size());
    parallel_for(kHashParts, 1, threads, nullptr, [&](std::size_t p, std::size_t) {
        Part& part = parts_[p];
        const std::span all(sorted.order.data() + sorted.starts[p],
                            sorted.order.data() + sorted.starts[p + 1]);
        std::array<std::uint32_t, kBlock> likely;
        // A block's slots and rows come from memory together: one wait a block and not one a row.
        for (std::size_t begin = 0; begin < all.size(); begin += kBlock) {
            const auto block = all.subspan(begin, std::min(kBlock, all.size() - begin));
            part.index.reserve(block.size(),
                               [&](std::uint32_t number) { return hash_of(part.row(number).key); });
            for (const std::uint32_t i : block) part.index.prefetch(hashes[i]);
            for (std::size_t k = 0; k < block.size(); ++k) {
                likely[k] = part.index.guess(hashes[block[k]]);
                if (likely[k] != SlotIndex::kNone) __builtin_prefetch(&part.row(likely[k]), 1);
            }
            for (std::size_t k = 0; k < block.size(); ++k) {
                const Row& came = rows[block[k]];
                if (likely[k] != SlotIndex::kNone && part.row(likely[k]).key == came.key) {
                    if (Policy::combine(part.row(likely[k]).value, came.value)) continue;
                    conflicts[p] = block[k];
                    return;
                }
                // Room for a row is made first, so that one that finds none leaves the index as it was.
                if (part.index.size() == part.chunks.size() * kChunk) {
                    part.chunks.push_back(std::make_unique_for_overwrite<Row[]>(kChunk));
                }
                const auto same = [&](std::uint32_t number) { return part.row(number).key == came.key; };
                const auto [number, held] = part.index.find_or_add(hashes[block[k]], same);
                Row& row = part.row(number);
                if (!held) {
                    row = came;
                } else if (!Policy::combine(row.value, came.value)) {
                    conflicts[p] = block[k];
                    return;
                }
            }
        }
    });
    return *std::min_element(conflicts.begin(), conflicts.end());
}

template std::size_t RowTable::put<Add>(std::span<const Row>, std::size_t);
template std::size_t RowTable::put<Same>(std::span<const Row>, std::size_t);

std::int64_t RowTable::find(const RowKey& key) const {
    const std::uint64_t hash = hash_of(key);
    const Part& part = parts_[part_of(hash)];
    const std::uint32_t number =
        part.index.find(hash, [&](std::uint32_t one) { return part.row(one).key == key; });
    return number == SlotIndex::kNone ? kNoValue : part.row(number).value;
}

}  // namespace crystal
