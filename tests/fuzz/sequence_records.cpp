// Any bytes as records of a sequence table: the check throws, or every record can be read, and adding them
// up and reading them in two parts says the same.
#include <cstdint>
#include <span>

#include "crystal/bytes.hpp"
#include "crystal/sequence_records.hpp"
#include "require.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::uint8_t kind = data[0];
    const std::size_t unit = (kind & 2) != 0 ? 4 : 1, length = (kind & 4) != 0 ? 3 * unit : 0;
    const std::span<const std::uint8_t> bytes(data + 1, size - 1);
    try {
        crystal::RecordCheck check((kind & 1) != 0, unit, length, 3);
        const std::size_t whole = check.check(bytes);
        REQUIRE(whole <= bytes.size());
        crystal::SequenceRecord record;
        std::size_t at = 0;
        while (at < whole) {
            const std::size_t one = crystal::SequenceRecord::read(bytes.subspan(at), record);
            REQUIRE(one > 0 && one <= whole - at);
            REQUIRE(record.cell < 3);
            at += one;
        }
        crystal::SequenceSpectra spectra;
        spectra.add(bytes.first(whole));
        (void)spectra.lines();
        check.finish();
    } catch (const std::invalid_argument&) {
    } catch (const std::overflow_error&) {
    }
    return 0;
}
