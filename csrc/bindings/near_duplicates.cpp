#include "crystal/near_duplicates.hpp"

#include <pybind11/stl.h>

#include <string>

#include "crystal/minhash.hpp"
#include "families.hpp"
#include "ragged.hpp"

namespace py = pybind11;

namespace crystal::bindings {
namespace {

Units units_of(const std::string& name) {
    if (name == "element") return Units::elements;
    if (name == "character") return Units::characters;
    if (name == "word") return Units::words;
    throw std::invalid_argument("a unit is element, character or word");
}

MinhashPath path_of(const std::string& name) {
    if (name == "fastest") return MinhashPath::fastest;
    if (name == "scalar") return MinhashPath::scalar;
    if (name == "avx2") return MinhashPath::avx2;
    throw std::invalid_argument("a path is fastest, scalar or avx2");
}

py::array_t<std::uint32_t> signatures(const Flat<std::uint8_t>& values, const Flat<std::int64_t>& offsets,
                                      std::size_t width, const std::string& unit, std::size_t n,
                                      std::size_t permutations, std::uint64_t seed, std::size_t threads,
                                      const std::string& path) {
    const RaggedView ragged = ragged_view(values, offsets, width);
    const MinhashOptions options{{units_of(unit), n, seed}, permutations, path_of(path), threads, nullptr};
    check_shingles(ragged, options.shingles);
    py::array_t<std::uint32_t> out(
        {static_cast<py::ssize_t>(ragged.rows()), static_cast<py::ssize_t>(permutations)});
    const std::span<std::uint32_t> view(out.mutable_data(), static_cast<std::size_t>(out.size()));
    run_interruptible([&](StopFlag stop) {
        MinhashOptions stoppable = options;
        stoppable.stop = stop;
        minhash(ragged, stoppable, view);
        return true;
    });
    return out;
}

py::tuple clusters(const Flat<std::uint8_t>& values, const Flat<std::int64_t>& offsets, std::size_t width,
                   const std::string& unit, std::size_t n, std::uint64_t seed, double threshold,
                   std::size_t bands, std::size_t rows, std::size_t key_bytes, std::size_t threads) {
    const RaggedView ragged = ragged_view(values, offsets, width);
    const Shingles shingles{units_of(unit), n, seed};
    NearDuplicates found = run_interruptible([&](StopFlag stop) {
        return near_duplicates(ragged, {shingles, threshold, bands, rows, key_bytes, threads, stop});
    });
    return py::make_tuple(give_vector(std::move(found.inverse)), give_vector(std::move(found.first)),
                          give_vector(std::move(found.counts)), found.distinct, found.compared,
                          found.unchecked);
}

}  // namespace

void bind_near_duplicates(py::module_& m) {
    m.def("minhash", &signatures, py::arg("values").noconvert(), py::arg("offsets").noconvert(),
          py::arg("width"), py::arg("unit"), py::arg("n"), py::arg("permutations"), py::arg("seed"),
          py::arg("threads"), py::arg("path"));
    m.def(
        "minhash_path_available",
        [](const std::string& path) { return minhash_path_available(path_of(path)); }, py::arg("path"));
    m.def("near_duplicates", &clusters, py::arg("values").noconvert(), py::arg("offsets").noconvert(),
          py::arg("width"), py::arg("unit"), py::arg("n"), py::arg("seed"), py::arg("threshold"),
          py::arg("bands"), py::arg("rows"), py::arg("key_bytes"), py::arg("threads"));
}

}  // namespace crystal::bindings
