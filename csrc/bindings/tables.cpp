// Key tables in Python: arrays in, arrays out, the GIL released around every computation.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crystal/key_table.hpp"
#include "families.hpp"
#include "interrupt.hpp"

namespace py = pybind11;

namespace crystal::bindings {
namespace {

template <class Item>
using Array = py::array_t<Item, py::array::c_style>;

template <class Item>
std::span<const Item> view(const Array<Item>& array) {
    if (array.ndim() != 1) throw std::invalid_argument("an array with one dimension is needed");
    return {array.data(), static_cast<std::size_t>(array.size())};
}

// The vector moves into the array: nothing is copied.
template <class Item>
Array<Item> give(std::vector<Item> items) {
    auto* owned = new std::vector<Item>(std::move(items));
    const py::capsule owner(owned, [](void* pointer) { delete static_cast<std::vector<Item>*>(pointer); });
    return Array<Item>(static_cast<py::ssize_t>(owned->size()), owned->data(), owner);
}

py::bytes give_bytes(const std::vector<std::uint8_t>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A table and its lock: with the GIL released two Python threads may be here at once.
struct Locked {
    KeyTable table;
    mutable std::mutex mutex;

    explicit Locked(KeyTable held) : table(std::move(held)) {}

    template <class Work>
    auto with(Work&& work) const {
        const py::gil_scoped_release release;
        const std::lock_guard lock(mutex);
        return work(table);
    }
};

using Columns = std::vector<std::tuple<Array<std::int32_t>, Array<std::uint8_t>, Array<std::int64_t>>>;

void update(Locked& self, const Columns& columns, const std::optional<Array<std::int64_t>>& values) {
    std::vector<TextColumn> views;
    for (const auto& [indices, text, offsets] : columns)
        views.push_back({view(indices), view(text), view(offsets)});
    const std::int64_t none = 0;  // an empty array of values is not the absence of one
    std::span<const std::int64_t> numbers;
    if (values) numbers = values->size() > 0 ? view(*values) : std::span(&none, 0);
    run_interruptible([&](StopFlag stop) {
        const std::lock_guard lock(self.mutex);
        self.table.update(views, numbers, stop);
    });
}

void merge(Locked& self, const Locked& other) {
    const py::gil_scoped_release release;
    if (&self == &other) {
        const std::lock_guard lock(self.mutex);
        self.table.merge(other.table);
        return;
    }
    const std::scoped_lock lock(self.mutex, other.mutex);
    self.table.merge(other.table);
}

py::tuple canonical(const Locked& self) {
    struct Arrays {
        std::vector<std::vector<std::int32_t>> indices;
        std::vector<std::int64_t> values;
        CanonicalTable table;
    };
    Arrays arrays = self.with([](const KeyTable& table) {
        Arrays made;
        made.table = table.canonical();
        const std::vector<Row>& rows = made.table.rows;
        for (std::size_t c = 0; c < made.table.columns.size(); ++c) {
            std::vector<std::int32_t>& indices = made.indices.emplace_back(rows.size());
            // kNone becomes -1 by itself.
            for (std::size_t r = 0; r < rows.size(); ++r)
                indices[r] = static_cast<std::int32_t>(rows[r].key.unpack()[c]);
        }
        made.values.resize(rows.size());
        for (std::size_t r = 0; r < rows.size(); ++r) made.values[r] = rows[r].value;
        return made;
    });
    py::list columns;
    for (std::size_t c = 0; c < arrays.indices.size(); ++c) {
        const std::vector<char>& text = arrays.table.columns[c].text;
        columns.append(py::make_tuple(give(std::move(arrays.indices[c])),
                                      give(std::vector<std::uint8_t>(text.begin(), text.end())),
                                      give(std::move(arrays.table.columns[c].offsets))));
    }
    return py::make_tuple(columns, give(std::move(arrays.values)));
}

std::unique_ptr<Locked> from_bytes(const py::bytes& bytes) {
    const std::string_view text = bytes;
    const py::gil_scoped_release release;
    return std::make_unique<Locked>(
        KeyTable::from_bytes({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}));
}

}  // namespace

void bind_tables(py::module_& m) {
    // A plain metaclass: there are no static properties, and a type stub can say so.
    auto* const metaclass = reinterpret_cast<PyObject*>(&PyType_Type);
    py::class_<Locked>(m, "KeyTable", py::metaclass(metaclass))
        .def(py::init([](bool distribution, std::vector<std::string> names) {
                 const TableKind kind = distribution ? TableKind::distribution : TableKind::counts;
                 return std::make_unique<Locked>(KeyTable(kind, std::move(names)));
             }),
             py::arg("distribution"), py::arg("names"))
        .def_property_readonly(
            "distribution", [](const Locked& self) { return self.table.kind() == TableKind::distribution; })
        .def_property_readonly("names", [](const Locked& self) { return self.table.names(); })
        .def_property_readonly(
            "rows",
            [](const Locked& self) { return self.with([](const KeyTable& table) { return table.rows(); }); })
        .def_property_readonly(
            "total",
            [](const Locked& self) { return self.with([](const KeyTable& table) { return table.total(); }); })
        .def_property_readonly("nbytes",
                               [](const Locked& self) {
                                   return self.with([](const KeyTable& table) { return table.nbytes(); });
                               })
        .def("update", &update, py::arg("columns"), py::arg("values"))
        .def("merge", &merge, py::arg("other"))
        .def("canonical", &canonical)
        .def("to_bytes",
             [](const Locked& self) {
                 return give_bytes(self.with([](const KeyTable& table) { return table.to_bytes(); }));
             })
        .def_static("from_bytes", &from_bytes, py::arg("data"));
}

}  // namespace crystal::bindings
