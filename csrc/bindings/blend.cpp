#include "crystal/blend.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <stdexcept>

#include "families.hpp"
#include "interrupt.hpp"

namespace py = pybind11;

namespace crystal::bindings {
namespace {

using Doubles = py::array_t<double, py::array::c_style>;

py::tuple blend(const Doubles& targets, const Doubles& dictionary, const std::optional<Doubles>& start,
                double tolerance, std::size_t limit, std::size_t threads) {
    const bool shared = dictionary.ndim() == 2;
    if (targets.ndim() != 2 || (!shared && dictionary.ndim() != 3))
        throw std::invalid_argument("targets are [T, K], the dictionary [R, K] or [T, R, K]");
    const auto size = [](const Doubles& array, py::ssize_t axis) {
        return static_cast<std::size_t>(array.shape(axis));
    };
    const BlendShape shape{size(targets, 0), size(dictionary, shared ? 0 : 1), size(targets, 1), shared};
    if (size(dictionary, shared ? 1 : 2) != shape.options ||
        (!shared && size(dictionary, 0) != shape.targets))
        throw std::invalid_argument("targets and dictionary do not match");
    if (start && (start->ndim() != 2 || size(*start, 0) != shape.targets || size(*start, 1) != shape.rows))
        throw std::invalid_argument("the start is [T, R]");
    py::array_t<double> weights({targets.shape(0), dictionary.shape(shared ? 0 : 1)});
    py::array_t<std::int64_t> iterations(targets.shape(0));
    py::array_t<double> gaps(targets.shape(0));
    const auto view = [](auto& array) {
        return std::span(array.mutable_data(), static_cast<std::size_t>(array.size()));
    };
    const std::span<const double> t(targets.data(), static_cast<std::size_t>(targets.size()));
    const std::span<const double> d(dictionary.data(), static_cast<std::size_t>(dictionary.size()));
    const std::span<const double> s =
        start ? std::span(start->data(), static_cast<std::size_t>(start->size())) : std::span<const double>();
    const auto w = view(weights);
    const auto i = view(iterations);
    const auto g = view(gaps);
    const BlendLimits limits{tolerance, limit, threads};
    run_interruptible([&](StopFlag stop) {
        fit_blend(t, d, shape, s, limits, w, i, g, stop);
        return true;
    });
    return py::make_tuple(weights, iterations, gaps);
}

}  // namespace

void bind_blend(py::module_& m) {
    m.def("fit_blend", &blend, py::arg("targets").noconvert(), py::arg("dictionary").noconvert(),
          py::arg("start").noconvert(), py::arg("tolerance"), py::arg("limit"), py::arg("threads"));
}

}  // namespace crystal::bindings
