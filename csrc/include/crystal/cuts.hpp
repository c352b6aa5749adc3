#pragma once
// G of every cut of a ladder: the checkpoints before it, pooled, against those after it, summed over blocks.
#include <cstdint>
#include <span>

#include "crystal/resampling.hpp"

namespace crystal {

struct LadderShape {
    std::size_t blocks = 0, checkpoints = 0, options = 0;

    std::size_t cells() const { return blocks * checkpoints * options; }
    std::size_t cuts() const { return checkpoints > 0 ? checkpoints - 1 : 0; }
};

// Each of many ladders [ladders, blocks, checkpoints, options]; values get [ladders, cuts], nats.
void cut_g(std::span<const std::int64_t> counts, std::size_t ladders, const LadderShape& shape,
           std::size_t threads, StopFlag stop, std::span<double> values);

// One ladder with its checkpoints in each of many orders [orders, checkpoints]; values get [orders, cuts].
void ordered_cut_g(std::span<const std::int64_t> counts, const LadderShape& shape,
                   std::span<const std::int64_t> orders, std::size_t threads, StopFlag stop,
                   std::span<double> values);

// Ladders of multinomial samples of sizes [blocks, checkpoints], the same that simulate_counts draws, none of
// them kept; values get [draws, cuts].
void simulate_cut_g(std::span<const double> probabilities, std::span<const std::int64_t> sizes,
                    const LadderShape& shape, std::size_t draws, const Randomness& randomness, StopFlag stop,
                    std::span<double> values);

}  // namespace crystal
