#include "crystal/lane_sums.hpp"

#include "crystal/clones.hpp"

namespace crystal {
namespace {

// Up to here, counting how often each value comes takes less time than looking every cell up.
constexpr std::size_t largest_counted = 20;

using Vector = std::uint16_t __attribute__((vector_size(32)));

CRYSTAL_CLONES void add_counted(const Lanes* cells, std::size_t count, const std::uint64_t* values,
                                std::size_t largest, std::uint64_t* sums) {
    for (std::size_t value = 2; value <= largest; ++value) {
        const auto wanted = Vector{} + static_cast<std::uint16_t>(value);
        Vector seen{};
        for (std::size_t i = 0; i < count; ++i)
            seen -= reinterpret_cast<Vector>(reinterpret_cast<const Vector&>(cells[i]) == wanted);
        for (std::size_t lane = 0; lane < replicate_lanes; ++lane) sums[lane] += values[value] * seen[lane];
    }
}

void add_looked_up(const Lanes* cells, std::size_t count, const std::uint64_t* values, std::uint64_t* sums) {
    for (std::size_t lane = 0; lane < replicate_lanes; ++lane) {
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < count; ++i) sum += values[cells[i].at[lane]];
        sums[lane] += sum;
    }
}

}  // namespace

void add_values(std::span<const Lanes> cells, const std::uint64_t* values, std::size_t largest,
                std::span<std::uint64_t, replicate_lanes> sums) {
    if (largest <= largest_counted) {
        add_counted(cells.data(), cells.size(), values, largest, sums.data());
    } else {
        add_looked_up(cells.data(), cells.size(), values, sums.data());
    }
}

}  // namespace crystal
