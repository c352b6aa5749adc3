// The sequence table and the merge of its runs against std::map; meant to run under sanitizers.
#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "crystal/bytes.hpp"
#include "crystal/sequence_table.hpp"
#include "require.hpp"

namespace {

using crystal::SequenceRecord;
using crystal::SequenceTable;
using Bytes = std::vector<std::uint8_t>;
using Truth = std::map<std::pair<std::uint32_t, Bytes>, std::int64_t>;

constexpr std::uint32_t kCells = 3;

Bytes records(const SequenceTable& table, const std::vector<std::uint32_t>& ranks, bool ranked) {
    Bytes all;
    for (std::size_t part = 0; part < SequenceTable::kParts; ++part) {
        const Bytes some = table.part(part, ranks, ranked);
        all.insert(all.end(), some.begin(), some.end());
    }
    return all;
}

// Counts a batch of random sequences, or their n-grams, in a table and in a map.
void count(std::mt19937_64& random, SequenceTable& table, Truth& truth, int n) {
    Bytes values;
    std::vector<std::int64_t> offsets{0}, counts;
    std::vector<std::int32_t> cells;
    for (std::size_t row = 0, rows = random() % 3000; row < rows; ++row) {
        const std::size_t size = random() % 500 == 0 ? 20000 + random() % 3 : random() % 6;
        for (std::size_t i = 0; i < size; ++i) values.push_back(static_cast<std::uint8_t>(random() % 6));
        offsets.push_back(static_cast<std::int64_t>(values.size()));
        cells.push_back(static_cast<std::int32_t>(random() % kCells));
        counts.push_back(static_cast<std::int64_t>(random() % 3));
        const std::size_t width = n == 0 ? size : static_cast<std::size_t>(n);
        for (std::size_t at = 0; at + width <= size && (n > 0 || at == 0); ++at) {
            const auto from = values.end() - static_cast<std::ptrdiff_t>(size - at);
            const Bytes key(from, from + static_cast<std::ptrdiff_t>(width));
            if (counts.back() > 0) truth[{static_cast<std::uint32_t>(cells.back()), key}] += counts.back();
        }
    }
    table.add({{values, offsets, 1}, cells, counts, n}, 1 + random() % 3, nullptr);
}

void check(const Bytes& bytes, const Truth& truth, const std::vector<std::uint32_t>& ranks) {
    std::size_t at = 0, found = 0;
    SequenceRecord record;
    while (const std::size_t size = SequenceRecord::read(std::span(bytes).subspan(at), record)) {
        const auto cell = std::ranges::find(ranks, record.cell) - ranks.begin();
        const auto held =
            truth.find({static_cast<std::uint32_t>(cell), Bytes(record.key.begin(), record.key.end())});
        REQUIRE(held != truth.end());
        REQUIRE(held->second == record.count);
        at += size;
        ++found;
    }
    REQUIRE(at == bytes.size());
    REQUIRE(found == truth.size());
    crystal::RecordCheck order(true, 1, 0, ranks.size());
    REQUIRE(order.check(bytes) == bytes.size());
}

void compare(std::uint64_t seed, int n) {
    std::mt19937_64 random(seed);
    const std::vector<std::uint32_t> ranks{2, 0, 1};
    SequenceTable whole(true);
    Truth truth;
    std::vector<Bytes> runs;
    for (int spill = 0; spill < 4; ++spill) {
        SequenceTable some(true);
        for (int batch = 0; batch < 3; ++batch) count(random, some, truth, n);
        runs.push_back(records(some, ranks, false));
        std::vector<std::uint32_t> same(kCells);
        std::iota(same.begin(), same.end(), 0U);
        whole.add_records(runs.back(), same);
    }
    const Bytes expected = records(whole, ranks, true);
    check(expected, truth, ranks);
    REQUIRE(whole.size() == truth.size());
    crystal::RunMerger merger(runs.size(), ranks, true);
    std::vector<std::size_t> at(runs.size());
    Bytes merged;
    while (true) {
        Bytes out;
        const std::size_t state = merger.advance(out, 1 + random() % 5000);
        merged.insert(merged.end(), out.begin(), out.end());
        if (state == crystal::RunMerger::kDone) break;
        if (state == crystal::RunMerger::kFull) continue;
        const std::size_t size = std::min(runs[state].size() - at[state], 1 + random() % 3000);
        merger.feed(state, std::span(runs[state]).subspan(at[state], size),
                    at[state] + size == runs[state].size());
        at[state] += size;
    }
    REQUIRE(merged == expected);
    // Any byte that changes is refused, or is another record that a table could have written.
    for (int times = 0; times < 200 && !expected.empty(); ++times) {
        Bytes bad = expected;
        bad[random() % bad.size()] ^= static_cast<std::uint8_t>(1U << random() % 8);
        crystal::RecordCheck hostile(true, 1, 0, kCells);
        try {
            hostile.check(bad);
        } catch (const crystal::BadBytes&) {
            continue;
        }
    }
    whole.clear();
    REQUIRE(whole.size() == 0);
}

}  // namespace

int main() {
    for (std::uint64_t seed = 0; seed < 2; ++seed) {
        for (int n = 0; n <= 4; ++n) compare(seed, n);
    }
    return 0;
}
