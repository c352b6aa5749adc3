// Equal sequences, found by threads, against std::map; meant to run under sanitizers.
#include "crystal/sequences.hpp"

#include <map>
#include <random>
#include <vector>

#include "require.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;

// Sequences drawn from `kinds`, the low numbers far more often, of 0 to 40 bytes each.
struct Data {
    Data(std::size_t rows, std::uint32_t kinds) {
        std::mt19937_64 random(kinds);
        std::uniform_real_distribution<double> uniform;
        for (std::size_t row = 0; row < rows; ++row) {
            const double u = uniform(random);
            const auto kind = static_cast<std::uint32_t>(u * u * kinds);
            for (std::uint32_t i = 0, size = kind * 7 % 41; i < size; ++i) {
                bytes.push_back(static_cast<std::uint8_t>(kind >> i % 4 * 8));
            }
            offsets.push_back(static_cast<std::int64_t>(bytes.size()));
        }
    }
    Bytes row(std::size_t at) const { return {bytes.begin() + offsets[at], bytes.begin() + offsets[at + 1]}; }

    Bytes bytes;
    std::vector<std::int64_t> offsets{0};
};

void compare(const Data& data, bool verify, std::size_t threads) {
    const crystal::RaggedView ragged{data.bytes, data.offsets, 1};
    const crystal::SequenceCounts counts =
        crystal::count_sequences(ragged, {.verify = verify, .threads = threads});
    std::map<Bytes, std::size_t> numbers;
    std::vector<std::int64_t> first, many;
    REQUIRE(counts.inverse.size() == ragged.rows());
    for (std::size_t row = 0; row < ragged.rows(); ++row) {
        const auto [at, fresh] = numbers.try_emplace(data.row(row), first.size());
        if (fresh) {
            first.push_back(static_cast<std::int64_t>(row));
            many.push_back(0);
        }
        ++many[at->second];
        REQUIRE(counts.inverse[row] == static_cast<std::int32_t>(at->second));
    }
    REQUIRE(std::vector<std::int64_t>(counts.first.begin(), counts.first.end()) == first);
    REQUIRE(std::vector<std::int64_t>(counts.counts.begin(), counts.counts.end()) == many);
}

}  // namespace

int main() {
    // All in the front, and some of it missed.
    for (const std::uint32_t kinds : {1U, 50U, 60'000U}) {
        const Data data(70'000, kinds);
        for (const bool verify : {true, false}) {
            for (const std::size_t threads : {1UL, 2UL, 5UL}) compare(data, verify, threads);
        }
    }
    // Nearly all missed: more than one run for each of two workers.
    compare(Data(600'000, 1U << 30U), true, 2);
    compare(Data(0, 1), true, 2);
    return 0;
}
