#include "crystal/sequences.hpp"

#include "families.hpp"
#include "ragged.hpp"

namespace py = pybind11;

namespace crystal::bindings {
namespace {

py::tuple count(const Flat<std::uint8_t>& values, const Flat<std::int64_t>& offsets, std::size_t width,
                bool verify, bool inverse, std::size_t threads) {
    const RaggedView ragged = ragged_view(values, offsets, width);
    SequenceCounts counts = run_interruptible(
        [&](StopFlag stop) { return count_sequences(ragged, {verify, inverse, threads, stop}); });
    py::object ids = py::none();
    if (inverse) ids = give_vector(std::move(counts.inverse));
    return py::make_tuple(ids, give_vector(std::move(counts.first)), give_vector(std::move(counts.counts)));
}

}  // namespace

void bind_sequences(py::module_& m) {
    m.def("count_sequences", &count, py::arg("values").noconvert(), py::arg("offsets").noconvert(),
          py::arg("width"), py::arg("verify"), py::arg("inverse"), py::arg("threads"));
}

}  // namespace crystal::bindings
