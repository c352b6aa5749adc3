// Python's view of permutation tests and simulations. crystal.ops.resampling has checked the values.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <stdexcept>
#include <string>

#include "crystal/cuts.hpp"
#include "crystal/philox.hpp"
#include "crystal/resampling.hpp"
#include "families.hpp"
#include "interrupt.hpp"

namespace py = pybind11;

namespace crystal::bindings {
namespace {

using Integers = py::array_t<std::int64_t, py::array::c_style>;
using Floats = py::array_t<double, py::array::c_style>;

template <class T>
std::span<const T> view(const py::array_t<T, py::array::c_style>& array) {
    return {array.data(), static_cast<std::size_t>(array.size())};
}

template <class T>
std::span<T> fill(py::array_t<T, py::array::c_style>& array) {
    return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

void require(bool holds, const char* what) {
    if (!holds) throw std::invalid_argument(what);
}

std::size_t size(const py::array& array, int axis) { return static_cast<std::size_t>(array.shape(axis)); }

Tables tables_of(const Integers& counts) {
    require(counts.ndim() == 3, "counts must be [blocks, groups, options]");
    return {view(counts), size(counts, 0), size(counts, 1), size(counts, 2)};
}

Statistic statistic_of(const std::string& name) {
    if (name == "g") return Statistic::g;
    if (name == "js") return Statistic::js;
    if (name == "max_cut_g") return Statistic::max_cut_g;
    require(name == "retention", "no such statistic");
    return Statistic::retention;
}

Simulated simulated_of(const std::string& name) {
    if (name == "entropy") return Simulated::entropy;
    if (name == "js") return Simulated::js;
    require(name == "g", "no such statistic");
    return Simulated::g;
}

py::tuple test(const Integers& counts, const std::string& statistic, double mass, std::int64_t draws,
               std::int64_t exceedances, std::uint64_t seed, std::uint64_t key, std::size_t threads) {
    const Tables tables = tables_of(counts);
    const Statistic kind = statistic_of(statistic);
    require(kind != Statistic::retention || tables.groups == 2, "retention needs two groups");
    const PermutationResult result = run_interruptible([&](StopFlag stop) {
        return permutation_test(tables, kind, mass, draws, exceedances, {seed, key, threads}, stop);
    });
    return py::make_tuple(result.observed, result.p, result.greater, result.equal, result.draws,
                          result.null_mean, result.null_sd, result.position);
}

// Runs work(stop, values) and returns the array that it filled.
template <class T, class Work>
py::array_t<T> filled(const std::vector<py::ssize_t>& shape, Work&& work) {
    py::array_t<T, py::array::c_style> values(shape);
    const std::span<T> out = fill(values);
    run_interruptible([&](StopFlag stop) {
        work(stop, out);
        return true;
    });
    return values;
}

Floats simulated(const Floats& probabilities, const Integers& sizes, const std::string& statistic,
                 py::ssize_t draws, std::uint64_t seed, std::uint64_t key, std::size_t threads) {
    require(probabilities.ndim() == 4 && sizes.ndim() == 2 && probabilities.shape(1) == sizes.shape(0) &&
                probabilities.shape(2) == sizes.shape(1),
            "probabilities must be [points, blocks, groups, options] and sizes [blocks, groups]");
    const Simulated kind = simulated_of(statistic);
    return filled<double>({probabilities.shape(0), draws}, [&](StopFlag stop, std::span<double> values) {
        simulate(view(probabilities), view(sizes), size(probabilities, 0), size(sizes, 0), size(sizes, 1),
                 size(probabilities, 3), kind, static_cast<std::size_t>(draws), {seed, key, threads}, stop,
                 values);
    });
}

Integers simulated_counts(const Floats& probabilities, const Integers& sizes, py::ssize_t draws,
                          std::uint64_t seed, std::uint64_t key, std::size_t threads) {
    require(probabilities.ndim() == 2 && sizes.ndim() == 1 && probabilities.shape(0) == sizes.shape(0),
            "probabilities must be [groups, options] and sizes [groups]");
    return filled<std::int64_t>({draws, probabilities.shape(0), probabilities.shape(1)},
                                [&](StopFlag stop, std::span<std::int64_t> values) {
                                    simulate_counts(view(probabilities), view(sizes), size(probabilities, 1),
                                                    static_cast<std::size_t>(draws), {seed, key, threads},
                                                    stop, values);
                                });
}

Integers permuted_counts(const Integers& counts, py::ssize_t draws, std::uint64_t seed, std::uint64_t key,
                         std::size_t threads) {
    const Tables tables = tables_of(counts);
    return filled<std::int64_t>({draws, counts.shape(0), counts.shape(1), counts.shape(2)},
                                [&](StopFlag stop, std::span<std::int64_t> values) {
                                    permute_counts(tables, static_cast<std::size_t>(draws),
                                                   {seed, key, threads}, stop, values);
                                });
}

Integers halves(const Integers& counts, py::ssize_t splits, std::uint64_t seed, std::uint64_t key,
                std::size_t threads) {
    require(counts.ndim() == 2, "counts must be [rows, options]");
    return filled<std::int64_t>(
        {splits, counts.shape(0), counts.shape(1)}, [&](StopFlag stop, std::span<std::int64_t> values) {
            split_counts(view(counts), size(counts, 1), static_cast<std::size_t>(splits),
                         {seed, key, threads}, stop, values);
        });
}

Floats cuts(const Integers& counts, std::size_t threads) {
    require(counts.ndim() == 4 && counts.shape(2) > 0,
            "counts must be [ladders, blocks, checkpoints, options]");
    const LadderShape shape{size(counts, 1), size(counts, 2), size(counts, 3)};
    return filled<double>({counts.shape(0), counts.shape(2) - 1},
                          [&](StopFlag stop, std::span<double> values) {
                              cut_g(view(counts), size(counts, 0), shape, threads, stop, values);
                          });
}

Floats ordered_cuts(const Integers& counts, const Integers& orders, std::size_t threads) {
    require(
        counts.ndim() == 3 && orders.ndim() == 2 && counts.shape(1) > 0 && orders.shape(1) == counts.shape(1),
        "counts must be [blocks, checkpoints, options] and orders [draws, checkpoints]");
    for (const std::int64_t place : view(orders))
        require(place >= 0 && place < counts.shape(1), "an order names checkpoints");
    const LadderShape shape{size(counts, 0), size(counts, 1), size(counts, 2)};
    return filled<double>({orders.shape(0), counts.shape(1) - 1},
                          [&](StopFlag stop, std::span<double> values) {
                              ordered_cut_g(view(counts), shape, view(orders), threads, stop, values);
                          });
}

Floats simulated_cuts(const Floats& probabilities, const Integers& sizes, py::ssize_t draws,
                      std::uint64_t seed, std::uint64_t key, std::size_t threads) {
    require(probabilities.ndim() == 3 && sizes.ndim() == 2 && sizes.shape(1) > 0 &&
                probabilities.shape(0) == sizes.shape(0) && probabilities.shape(1) == sizes.shape(1),
            "probabilities must be [blocks, checkpoints, options] and sizes [blocks, checkpoints]");
    const LadderShape shape{size(sizes, 0), size(sizes, 1), size(probabilities, 2)};
    return filled<double>({draws, sizes.shape(1) - 1}, [&](StopFlag stop, std::span<double> values) {
        simulate_cut_g(view(probabilities), view(sizes), shape, static_cast<std::size_t>(draws),
                       {seed, key, threads}, stop, values);
    });
}

py::array_t<std::uint32_t> stream_words(std::uint64_t seed, std::uint64_t key, std::uint64_t replicate,
                                        py::ssize_t count) {
    py::array_t<std::uint32_t, py::array::c_style> words(count);
    Stream stream(derive_key(seed, key), replicate);
    for (std::uint32_t& word : fill(words)) word = stream.next32();
    return words;
}

}  // namespace

void bind_resampling(py::module_& m) {
    using py::arg;
    m.def("permutation_test", &test, arg("counts").noconvert(), arg("statistic"), arg("mass"), arg("draws"),
          arg("exceedances"), arg("seed"), arg("key"), arg("threads"));
    m.def("simulate", &simulated, arg("probabilities").noconvert(), arg("sizes").noconvert(),
          arg("statistic"), arg("draws"), arg("seed"), arg("key"), arg("threads"));
    m.def("simulate_counts", &simulated_counts, arg("probabilities").noconvert(), arg("sizes").noconvert(),
          arg("draws"), arg("seed"), arg("key"), arg("threads"));
    m.def("permute_counts", &permuted_counts, arg("counts").noconvert(), arg("draws"), arg("seed"),
          arg("key"), arg("threads"));
    m.def("split_counts", &halves, arg("counts").noconvert(), arg("splits"), arg("seed"), arg("key"),
          arg("threads"));
    m.def("cut_g", &cuts, arg("counts").noconvert(), arg("threads"));
    m.def("ordered_cut_g", &ordered_cuts, arg("counts").noconvert(), arg("orders").noconvert(),
          arg("threads"));
    m.def("simulate_cut_g", &simulated_cuts, arg("probabilities").noconvert(), arg("sizes").noconvert(),
          arg("draws"), arg("seed"), arg("key"), arg("threads"));
    m.def("philox", &philox4x32, arg("counter"), arg("key"));
    m.def("philox_words", &stream_words, arg("seed"), arg("key"), arg("replicate"), arg("count"));
}

}  // namespace crystal::bindings
