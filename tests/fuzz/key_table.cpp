// Any bytes as a count or distribution table: the reader throws, or returns what writes those very bytes.
#include <cstdint>
#include <span>
#include <vector>

#include "crystal/hash.hpp"
#include "crystal/key_table.hpp"
#include "require.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::uint8_t> bytes(data, data + size);
    // A right checksum behind them, without which nothing else is looked at.
    const crystal::Hash128 seal = crystal::hash_bytes(std::span<const std::uint8_t>(bytes));
    for (const std::uint64_t half : {seal.high, seal.low})
        for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<std::uint8_t>(half >> (8 * i)));
    try {
        const crystal::KeyTable table = crystal::KeyTable::from_bytes(bytes);
        REQUIRE(table.to_bytes() == bytes);
        crystal::KeyTable sum = table;
        sum.merge(table);
        REQUIRE(sum.rows() == table.rows());
    } catch (const std::invalid_argument&) {
    } catch (const std::overflow_error&) {
    }
    return 0;
}
