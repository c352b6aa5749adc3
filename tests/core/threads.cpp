// What runs on several threads gives what one thread gives, and stops when it is told; meant for make tsan.
#include "crystal/threads.hpp"

#include <atomic>
#include <cstdint>
#include <random>
#include <stdexcept>
#include <vector>

#include "crystal/kmeans.hpp"
#include "require.hpp"

namespace {

void test_every_item_once() {
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, std::size_t{1000}}) {
        std::vector<int> seen(count, 0);
        crystal::parallel_for(count, 7, 4, nullptr, [&](std::size_t begin, std::size_t end) {
            REQUIRE(begin < end && end <= count && end - begin <= 7);
            for (std::size_t i = begin; i < end; ++i) ++seen[i];  // ranges are disjoint: no two threads meet
        });
        for (const int times : seen) REQUIRE(times == 1);
    }
}

void test_an_exception_ends_all() {
    bool caught = false;
    try {
        crystal::parallel_for(10'000, 1, 4, nullptr, [](std::size_t begin, std::size_t) {
            if (begin == 77) throw std::runtime_error("no");
        });
    } catch (const std::runtime_error&) {
        caught = true;
    }
    REQUIRE(caught);
}

void test_a_raised_flag_stops() {
    crystal::Stop stop;
    std::atomic<int> calls{0};
    bool stopped = false;
    try {
        crystal::parallel_for(10'000, 1, 4, &stop, [&](std::size_t, std::size_t) {
            if (++calls == 50) stop.raise();
            crystal::throw_if(&stop);
        });
    } catch (const crystal::Stopped&) {
        stopped = true;
    }
    REQUIRE(stopped);
    REQUIRE(calls < 10'000);
}

// k-means sums stretches of rows on threads.
void test_kmeans() {
    constexpr std::size_t kRows = 6000, kOptions = 5, kClusters = 4;
    std::mt19937_64 random(0);
    std::vector<double> x(kRows * kOptions), weights(kRows, 1.0);
    for (std::size_t i = 0; i < kRows; ++i) {
        double sum = 0.0;
        for (std::size_t k = 0; k < kOptions; ++k)
            sum += x[i * kOptions + k] = 1.0 + static_cast<double>(random() % 1000);
        for (std::size_t k = 0; k < kOptions; ++k) x[i * kOptions + k] /= sum;
    }
    crystal::KmeansShape shape{};
    shape.rows = kRows;
    shape.options = kOptions;
    shape.clusters = kClusters;
    shape.geometry = crystal::KmeansGeometry::js;
    std::vector<double> centroids[2];
    std::vector<std::int32_t> labels[2];
    for (const std::size_t threads : {std::size_t{1}, std::size_t{4}}) {
        const std::size_t side = threads == 1 ? 0 : 1;
        centroids[side].assign(x.begin(), x.begin() + kClusters * kOptions);
        labels[side].resize(kRows);
        crystal::kmeans(x, weights, shape, 20, threads, centroids[side], labels[side], nullptr);
    }
    REQUIRE(centroids[0] == centroids[1]);
    REQUIRE(labels[0] == labels[1]);
}

}  // namespace

int main() {
    test_every_item_once();
    test_an_exception_ends_all();
    test_a_raised_flag_stops();
    test_kmeans();
    return 0;
}
