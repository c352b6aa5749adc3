#include "crystal/grouping.hpp"

#include <pybind11/stl.h>

#include "families.hpp"
#include "ragged.hpp"

namespace py = pybind11;

namespace crystal::bindings {
namespace {

py::tuple give(RowGroups groups) {
    return py::make_tuple(give_vector(std::move(groups.codes)), give_vector(std::move(groups.first)));
}

template <class Item>
std::span<const Item> view(const Flat<Item>& array) {
    if (array.ndim() != 1) throw std::invalid_argument("an array with one dimension is needed");
    return {array.data(), static_cast<std::size_t>(array.size())};
}

py::tuple rows(const std::vector<std::pair<Flat<std::int32_t>, std::size_t>>& columns) {
    std::vector<CodeColumn> views;
    for (const auto& [codes, entries] : columns) views.push_back({view(codes), entries});
    return give(run_interruptible([&](StopFlag stop) { return group_rows(views, stop); }));
}

py::tuple numbers(const Flat<std::int64_t>& values) {
    const auto given = view(values);
    return give(run_interruptible([&](StopFlag stop) { return group_numbers(given, stop); }));
}

}  // namespace

void bind_grouping(py::module_& m) {
    m.def("group_rows", &rows, py::arg("columns"));
    m.def("group_numbers", &numbers, py::arg("values").noconvert());
}

}  // namespace crystal::bindings
