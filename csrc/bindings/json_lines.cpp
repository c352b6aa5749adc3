#include "crystal/json_lines.hpp"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <memory>
#include <utility>

#include "families.hpp"

namespace py = pybind11;

namespace crystal::bindings {
namespace {

// Hands a vector's memory to NumPy without a copy.
template <class T>
py::array_t<T> give(std::vector<T>&& values) {
    auto owned = std::make_unique<std::vector<T>>(std::move(values));
    std::vector<T>* const raw = owned.get();
    const py::capsule keeper(raw, [](void* pointer) { delete static_cast<std::vector<T>*>(pointer); });
    static_cast<void>(owned.release());  // the capsule owns it now
    return py::array_t<T>(static_cast<py::ssize_t>(raw->size()), raw->data(), keeper);
}

JsonKind kind_of(const std::string& name) {
    if (name == "text") return JsonKind::text;
    if (name == "name") return JsonKind::name;
    if (name == "integer") return JsonKind::integer;
    if (name == "raw") return JsonKind::raw;
    throw std::invalid_argument("a field is text, name, integer or raw");
}

py::tuple scan(const py::bytes& block,
               const std::vector<std::pair<std::vector<std::string>, std::string>>& named) {
    std::vector<JsonField> fields;
    for (const auto& [path, kind] : named) fields.push_back({path, kind_of(kind)});
    const std::string_view text = block;
    JsonRows rows;
    {
        const py::gil_scoped_release release;
        rows = scan_json_lines(text, fields);
    }
    py::list columns;
    for (std::size_t i = 0; i < fields.size(); ++i) {
        JsonColumn& column = rows.columns[i];
        py::object values;
        if (fields[i].kind == JsonKind::integer)
            values = give(std::move(column.integers));
        else if (fields[i].kind == JsonKind::name)
            values = py::make_tuple(give(std::move(column.offsets)), give(std::move(column.bytes)),
                                    give(std::move(column.codes)));
        else
            values = py::make_tuple(give(std::move(column.offsets)), give(std::move(column.bytes)));
        columns.append(py::make_tuple(give(std::move(column.validity)), column.nulls, values));
    }
    return py::make_tuple(columns, give(std::move(rows.lines)), give(std::move(rows.refused)));
}

}  // namespace

void bind_json_lines(py::module_& m) { m.def("scan_json_lines", &scan, py::arg("block"), py::arg("fields")); }

}  // namespace crystal::bindings
