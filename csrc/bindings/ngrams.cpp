#include "crystal/ngrams.hpp"

#include "families.hpp"
#include "ragged.hpp"

namespace py = pybind11;

namespace crystal::bindings {
namespace {

py::tuple count(const Flat<std::uint8_t>& values, const Flat<std::int64_t>& offsets, std::size_t width, int n,
                std::size_t threads) {
    const RaggedView ragged = ragged_view(values, offsets, width);
    NgramCounts found =
        run_interruptible([&](StopFlag stop) { return ngram_counts(ragged, {n, threads, stop}); });
    std::vector<std::int64_t> counts, ngrams;
    for (const Multiplicity& line : found.spectrum) {
        counts.push_back(line.count);
        ngrams.push_back(line.ngrams);
    }
    return py::make_tuple(give_vector(std::move(counts)), give_vector(std::move(ngrams)),
                          give_vector(std::move(found.distinct)), found.merged);
}

}  // namespace

void bind_ngrams(py::module_& m) {
    m.def("ngram_counts", &count, py::arg("values").noconvert(), py::arg("offsets").noconvert(),
          py::arg("width"), py::arg("n"), py::arg("threads"));
}

}  // namespace crystal::bindings
