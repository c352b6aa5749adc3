#include <pybind11/numpy.h>

#include <stdexcept>
#include <string>

#include "crystal/kmeans.hpp"
#include "crystal/linkage.hpp"
#include "families.hpp"
#include "interrupt.hpp"

namespace py = pybind11;

namespace crystal::bindings {
namespace {

using Doubles = py::array_t<double, py::array::c_style>;

template <class T>
std::span<T> whole(py::array_t<T, py::array::c_style>& array) {
    return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

std::span<const double> read(const Doubles& array) {
    return {array.data(), static_cast<std::size_t>(array.size())};
}

// None where the distances are no table.
py::object table_of(const Doubles& distances, py::ssize_t n) {
    Doubles result({n, n});
    const auto given = read(distances);
    const auto table = whole(result);
    const bool good = run_interruptible(
        [&](StopFlag) { return distance_table(given, static_cast<std::size_t>(n), table); });
    if (!good) return py::none();
    return result;
}

py::tuple link(Doubles& distances, const std::string& name, bool portable) {
    if (distances.ndim() != 2 || distances.shape(0) != distances.shape(1) || distances.shape(0) == 0)
        throw std::invalid_argument("distances are [n, n]");
    const LinkageMethod method = name == "single"     ? LinkageMethod::single
                                 : name == "complete" ? LinkageMethod::complete
                                                      : LinkageMethod::average;
    const py::ssize_t n = distances.shape(0);
    py::array_t<std::int64_t, py::array::c_style> left(n - 1), right(n - 1), sizes(n - 1);
    Doubles heights(n - 1);
    const auto table = whole(distances);
    const auto a = whole(left), b = whole(right), s = whole(sizes);
    const auto h = whole(heights);
    run_interruptible([&](StopFlag stop) {
        linkage(table, static_cast<std::size_t>(n), method, portable, a, b, s, h, stop);
        return true;
    });
    return py::make_tuple(left, right, heights, sizes);
}

py::tuple fit(const Doubles& x, const Doubles& weights, const Doubles& start, const std::string& geometry,
              std::size_t limit, std::size_t threads, bool portable) {
    if (x.ndim() != 2 || start.ndim() != 2 || x.shape(1) != start.shape(1))
        throw std::invalid_argument("rows and centroids are tables of the same options");
    const KmeansShape shape{static_cast<std::size_t>(x.shape(0)), static_cast<std::size_t>(x.shape(1)),
                            static_cast<std::size_t>(start.shape(0)),
                            geometry == "hellinger" ? KmeansGeometry::hellinger : KmeansGeometry::js,
                            portable};
    Doubles centroids({start.shape(0), start.shape(1)});
    std::copy_n(start.data(), start.size(), centroids.mutable_data());
    py::array_t<std::int32_t, py::array::c_style> labels(x.shape(0));
    const auto rows = read(x), masses = read(weights);
    const auto c = whole(centroids);
    const auto l = whole(labels);
    const KmeansFit found = run_interruptible(
        [&](StopFlag stop) { return kmeans(rows, masses, shape, limit, threads, c, l, stop); });
    return py::make_tuple(labels, centroids, found.objective, found.iterations, found.converged);
}

py::array_t<std::int64_t> starts_of(const Doubles& roots, const Doubles& weights, const Doubles& uniforms,
                                    bool portable) {
    if (roots.ndim() != 2 || uniforms.ndim() != 2 || roots.shape(0) != weights.size())
        throw std::invalid_argument("roots [n, K], weights [n] and random numbers [k, trials]");
    py::array_t<std::int64_t, py::array::c_style> starts(uniforms.shape(0));
    const auto rows = read(roots), masses = read(weights), random = read(uniforms);
    const auto options = static_cast<std::size_t>(roots.shape(1)),
               trials = static_cast<std::size_t>(uniforms.shape(1));
    const auto out = whole(starts);
    run_interruptible([&](StopFlag stop) {
        kmeans_starts(rows, masses, options, random, trials, portable, out, stop);
        return true;
    });
    return starts;
}

py::tuple fit_best(const Doubles& x, const Doubles& roots, const Doubles& weights, const Doubles& uniforms,
                   const std::string& geometry, std::size_t limit, std::size_t threads, bool portable) {
    if (x.ndim() != 2 || uniforms.ndim() != 3 || roots.size() != x.size())
        throw std::invalid_argument("rows and roots [n, K], random numbers [runs, k, trials]");
    const KmeansShape shape{static_cast<std::size_t>(x.shape(0)), static_cast<std::size_t>(x.shape(1)),
                            static_cast<std::size_t>(uniforms.shape(1)),
                            geometry == "hellinger" ? KmeansGeometry::hellinger : KmeansGeometry::js,
                            portable};
    Doubles centroids({uniforms.shape(1), x.shape(1)});
    py::array_t<std::int32_t, py::array::c_style> labels(x.shape(0));
    const auto rows = read(x), root = read(roots), masses = read(weights), random = read(uniforms);
    const auto trials = static_cast<std::size_t>(uniforms.shape(2));
    const auto c = whole(centroids);
    const auto l = whole(labels);
    const KmeansFit found = run_interruptible([&](StopFlag stop) {
        return kmeans_best(rows, root, masses, shape, random, trials, limit, threads, c, l, stop);
    });
    return py::make_tuple(labels, centroids, found.objective, found.iterations, found.converged);
}

}  // namespace

void bind_clustering(py::module_& m) {
    m.def("distance_table", &table_of, py::arg("distances").noconvert(), py::arg("n"));
    m.def("linkage", &link, py::arg("distances").noconvert(), py::arg("method"), py::arg("portable"));
    m.def("kmeans_best", &fit_best, py::arg("x").noconvert(), py::arg("roots").noconvert(),
          py::arg("weights").noconvert(), py::arg("uniforms").noconvert(), py::arg("geometry"),
          py::arg("limit"), py::arg("threads"), py::arg("portable"));
    m.def("kmeans_starts", &starts_of, py::arg("roots").noconvert(), py::arg("weights").noconvert(),
          py::arg("uniforms").noconvert(), py::arg("portable"));
    m.def("kmeans", &fit, py::arg("x").noconvert(), py::arg("weights").noconvert(),
          py::arg("start").noconvert(), py::arg("geometry"), py::arg("limit"), py::arg("threads"),
          py::arg("portable"));
}

}  // namespace crystal::bindings
