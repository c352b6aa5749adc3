#pragma once
// The tables of many blocks under permuted labels, sixteen replicates at a time.
#include <optional>
#include <variant>
#include <vector>

#include "crystal/lane_counts.hpp"
#include "crystal/lane_tables.hpp"
#include "crystal/random_tables.hpp"
#include "crystal/table_scores.hpp"

namespace crystal {

// A replicate's tables are a function of (seed, replicate, key) and of the margins of the blocks that a
// permutation changes, in their order. Small blocks are drawn side by side, from one stream; the others one
// replicate after the other, from a second one.
class TableDraws {
  public:
    explicit TableDraws(const std::vector<Block>& blocks) {
        std::uint64_t position = 0;
        for (std::size_t b = 0; b < blocks.size(); ++b) {
            const Block& block = blocks[b];
            if (block.constant()) continue;
            cells_ = std::max(cells_, block.table.size());
            work_ += block.table.size() + block.samples();
            if (LaneTables::suits(block.group_totals, block.option_totals)) {
                const LaneTables lanes(block.group_totals, block.option_totals, position);
                position = lanes.end();
                changing_.push_back({b, lanes});
            } else if (LaneCounts::suits(block.group_totals, block.option_totals)) {
                const LaneCounts lanes(block.group_totals, block.option_totals, position);
                position = lanes.end();
                changing_.push_back({b, lanes});
            } else {
                changing_.push_back({b, TableSampler(block.group_totals, block.option_totals)});
                streams_ = true;
            }
        }
    }

    bool empty() const { return changing_.empty(); }

    // Cells and samples that a replicate takes.
    std::size_t work() const { return work_; }

    // What drawing needs beside the results.
    struct Scratch {
        std::vector<Lanes> numbers, cells;
        std::vector<LaneNumbers> left;
        std::vector<Cell> table;
        TableScratch tables;
    };

    // Replicates first .. first + count - 1, count at most sixteen, from derive_keys(seed, key): for each
    // block calls in_lanes(block, places, cells) or, once a replicate, one_by_one(block, lane, table).
    template <class InLanes, class OneByOne>
    void draw(const std::array<PhiloxKey, 2>& keys, std::uint64_t first, std::size_t count, Scratch& scratch,
              InLanes&& in_lanes, OneByOne&& one_by_one) const {
        std::vector<Stream> streams;
        if (streams_) {
            streams.reserve(count);
            StreamHeads heads;
            for (std::size_t lane = 0; lane < count; ++lane) {
                if (lane % heads_at_once == 0) heads = stream_heads(keys[1], first + lane);
                streams.emplace_back(keys[1], first + lane, heads[lane % heads_at_once]);
            }
        }
        for (const Changing& changing : changing_) {
            const auto draw_lanes = [&](const auto& lanes, auto& numbers) {
                scratch.cells.resize(std::max(scratch.cells.size(), lanes.places().size()));
                const auto cells = std::span(scratch.cells).first(lanes.places().size());
                lanes.sample(keys[0], first, numbers, cells);
                in_lanes(changing.block, std::span(lanes.places()), std::span<const Lanes>(cells));
            };
            if (const auto* tables = std::get_if<LaneTables>(&changing.sampler)) {
                draw_lanes(*tables, scratch.numbers);
                continue;
            }
            if (const auto* counts = std::get_if<LaneCounts>(&changing.sampler)) {
                draw_lanes(*counts, scratch.left);
                continue;
            }
            const auto& sampler = std::get<TableSampler>(changing.sampler);
            scratch.table.resize(cells_);
            const auto table = std::span(scratch.table).first(sampler.groups() * sampler.options());
            for (std::size_t lane = 0; lane < count; ++lane) {
                sampler.sample(streams[lane], table, scratch.tables);
                one_by_one(changing.block, lane, std::span<const Cell>(table));
            }
        }
    }

  private:
    struct Changing {
        std::size_t block;
        std::variant<LaneTables, LaneCounts, TableSampler> sampler;
    };
    std::vector<Changing> changing_;
    bool streams_ = false;
    std::size_t cells_ = 0, work_ = 0;
};

}  // namespace crystal
