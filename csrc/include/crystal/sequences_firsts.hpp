#pragma once
// Numbers in the order of first appearance.
#include <atomic>
#include <bit>
#include <cstdint>
#include <vector>

#include "crystal/sequences.hpp"

namespace crystal::sequences {

// The rows at which a distinct sequence first appears, as bits: a row's number is the bits before it.
class Firsts {
  public:
    explicit Firsts(std::size_t rows) : words_((rows + 63) / 64), before_(words_.size()) {}

    // Only one worker may mark rows of the same 64.
    void mark(std::uint32_t row) noexcept { words_[row / 64] |= bit(row); }

    // Any worker may change any row, at the price of taking 512 rows away from the others for a while.
    void mark_shared(std::uint32_t row) noexcept {
        std::atomic_ref(words_[row / 64]).fetch_or(bit(row), std::memory_order_relaxed);
    }
    void clear_shared(std::uint32_t row) noexcept {
        std::atomic_ref(words_[row / 64]).fetch_and(~bit(row), std::memory_order_relaxed);
    }

    // Numbers the rows and returns them, ascending.
    Column<std::int64_t> number(std::size_t threads) {
        constexpr std::size_t kWords = 4096;
        std::vector<std::uint32_t> before((words_.size() + kWords - 1) / kWords + 1);
        parallel_for(words_.size(), kWords, threads, nullptr, [&](std::size_t begin, std::size_t end) {
            std::uint32_t total = 0;
            for (std::size_t word = begin; word < end; ++word) {
                before_[word] = total;
                total += static_cast<std::uint32_t>(std::popcount(words_[word]));
            }
            before[begin / kWords + 1] = total;
        });
        for (std::size_t block = 1; block < before.size(); ++block) before[block] += before[block - 1];
        Column<std::int64_t> rows(before.back());
        parallel_for(words_.size(), kWords, threads, nullptr, [&](std::size_t begin, std::size_t end) {
            std::size_t number = before[begin / kWords];
            for (std::size_t word = begin; word < end; ++word) {
                before_[word] += before[begin / kWords];
                for (std::uint64_t left = words_[word]; left != 0; left &= left - 1) {
                    rows[number++] = static_cast<std::int64_t>(word * 64) + std::countr_zero(left);
                }
            }
        });
        return rows;
    }

    std::uint32_t operator[](std::uint32_t row) const noexcept {
        const std::uint64_t below = words_[row / 64] & ((std::uint64_t{1} << (row % 64)) - 1);
        return before_[row / 64] + static_cast<std::uint32_t>(std::popcount(below));
    }

  private:
    static std::uint64_t bit(std::uint32_t row) noexcept { return std::uint64_t{1} << (row % 64); }

    std::vector<std::uint64_t> words_;
    std::vector<std::uint32_t> before_;
};

}  // namespace crystal::sequences
