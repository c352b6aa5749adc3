#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "crystal/divergence_matrix.hpp"
#include "families.hpp"
#include "interrupt.hpp"

namespace py = pybind11;

namespace crystal::bindings {
namespace {

using Doubles = py::array_t<double, py::array::c_style>;

DivergencePath path_of(const std::string& name) {
    if (name == "fastest") return DivergencePath::fastest;
    if (name == "scalar") return DivergencePath::scalar;
    if (name == "avx2") return DivergencePath::avx2;
    throw std::invalid_argument("a path is fastest, scalar or avx2");
}

RowPairs pairs_of(const Doubles& left, const std::optional<Doubles>& right) {
    if (left.ndim() != 2 || (right && (right->ndim() != 2 || right->shape(1) != left.shape(1))))
        throw std::invalid_argument("tables are [rows, options], with the same options");
    const auto view = [](const Doubles& a) {
        return std::span<const double>(a.data(), static_cast<std::size_t>(a.size()));
    };
    const Doubles& other = right ? *right : left;
    return {view(left), right ? view(other) : std::span<const double>(),
            static_cast<std::size_t>(left.shape(0)), static_cast<std::size_t>(other.shape(0)),
            static_cast<std::size_t>(left.shape(1))};
}

py::array_t<double> js(const Doubles& left, const std::optional<Doubles>& right, const std::string& path,
                       std::size_t threads) {
    const RowPairs pairs = pairs_of(left, right);
    const DivergencePath chosen = path_of(path);
    py::array_t<double> out({left.shape(0), right ? right->shape(0) : left.shape(0)});
    const std::span<double> view(out.mutable_data(), static_cast<std::size_t>(out.size()));
    run_interruptible([&](StopFlag stop) {
        js_matrix(pairs, chosen, threads, view, stop);
        return true;
    });
    return out;
}

void hellinger(const Doubles& left, const std::optional<Doubles>& right, Doubles& products,
               const std::string& path, std::size_t threads) {
    const RowPairs pairs = pairs_of(left, right);
    const DivergencePath chosen = path_of(path);
    const std::span<double> view(products.mutable_data(), static_cast<std::size_t>(products.size()));
    run_interruptible([&](StopFlag stop) {
        hellinger_from_products(pairs, chosen, threads, view, stop);
        return true;
    });
}

}  // namespace

void bind_divergence(py::module_& m) {
    m.def("js_matrix", &js, py::arg("left").noconvert(), py::arg("right").noconvert(), py::arg("path"),
          py::arg("threads"));
    m.def("hellinger_from_products", &hellinger, py::arg("left").noconvert(), py::arg("right").noconvert(),
          py::arg("products").noconvert(), py::arg("path"), py::arg("threads"));
    m.def(
        "divergence_path_available",
        [](const std::string& path) { return divergence_path_available(path_of(path)); }, py::arg("path"));
}

}  // namespace crystal::bindings
