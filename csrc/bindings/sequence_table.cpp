// Counted sequences in Python: tables, the merge of their runs, checks of bytes from outside.
#include "crystal/sequence_table.hpp"

#include <pybind11/stl.h>

#include <optional>
#include <string_view>

#include "families.hpp"
#include "ragged.hpp"

namespace py = pybind11;

namespace crystal::bindings {
namespace {

using Ranks = Flat<std::uint32_t>;

template <class Item>
std::span<const Item> flat_view(const Flat<Item>& array) {
    if (array.ndim() != 1) throw std::invalid_argument("an array with one dimension is needed");
    return {array.data(), static_cast<std::size_t>(array.size())};
}

std::span<const std::uint8_t> bytes_view(const py::bytes& bytes) {
    const std::string_view text = bytes;
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

py::bytes give_bytes(const std::vector<std::uint8_t>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void add(SequenceTable& self, const Flat<std::uint8_t>& values, const Flat<std::int64_t>& offsets,
         std::size_t width, const std::optional<Flat<std::int32_t>>& cells,
         const std::optional<Flat<std::int64_t>>& counts, int n, std::size_t threads) {
    SequenceBatch batch{ragged_view(values, offsets, width), {}, {}, n};
    if (cells) batch.cells = flat_view(*cells);
    if (counts) batch.counts = flat_view(*counts);
    run_interruptible([&](StopFlag stop) { self.add(batch, threads, stop); });
}

void add_records(SequenceTable& self, const py::bytes& records, const Ranks& map) {
    const auto bytes = bytes_view(records);
    const auto cells = flat_view(map);
    const py::gil_scoped_release release;
    self.add_records(bytes, cells);
}

py::bytes part(const SequenceTable& self, std::size_t index, const Ranks& ranks, bool ranked) {
    const auto places = flat_view(ranks);
    std::vector<std::uint8_t> out;
    {
        const py::gil_scoped_release release;
        out = self.part(index, places, ranked);
    }
    return give_bytes(out);
}

// The run that must be fed (-1: none), and what was merged so far.
py::tuple advance(RunMerger& self, std::size_t limit) {
    std::vector<std::uint8_t> out;
    std::size_t state = 0;
    {
        const py::gil_scoped_release release;
        state = self.advance(out, limit);
    }
    const bool hungry = state != RunMerger::kDone && state != RunMerger::kFull;
    return py::make_tuple(hungry ? static_cast<std::int64_t>(state) : -1, state == RunMerger::kDone,
                          give_bytes(out));
}

py::tuple lines(const SequenceSpectra& self) {
    std::vector<std::int32_t> cells;
    std::vector<std::int64_t> counts, sequences;
    for (const SequenceSpectra::Line& line : self.lines()) {
        cells.push_back(static_cast<std::int32_t>(line.cell));
        counts.push_back(line.count);
        sequences.push_back(line.sequences);
    }
    return py::make_tuple(give_vector(std::move(cells)), give_vector(std::move(counts)),
                          give_vector(std::move(sequences)));
}

}  // namespace

void bind_sequence_table(py::module_& m) {
    auto* const metaclass = reinterpret_cast<PyObject*>(&PyType_Type);
    py::class_<SequenceTable>(m, "SequenceTable", py::metaclass(metaclass))
        .def(py::init<bool>(), py::arg("verify"))
        .def_property_readonly("size", &SequenceTable::size)
        .def_property_readonly("nbytes", &SequenceTable::nbytes)
        .def_property_readonly("total", &SequenceTable::total)
        .def_property_readonly("parts", [](const SequenceTable&) { return SequenceTable::kParts; })
        .def("add", &add, py::arg("values").noconvert(), py::arg("offsets").noconvert(), py::arg("width"),
             py::arg("cells").noconvert(), py::arg("counts").noconvert(), py::arg("n"), py::arg("threads"))
        .def("add_records", &add_records, py::arg("records"), py::arg("map").noconvert())
        .def("clear", &SequenceTable::clear)
        .def("part", &part, py::arg("index"), py::arg("ranks").noconvert(), py::arg("ranked"));
    py::class_<RunMerger>(m, "RunMerger", py::metaclass(metaclass))
        .def(py::init([](std::size_t runs, const Ranks& ranks, bool ranked) {
                 const auto places = flat_view(ranks);
                 return std::make_unique<RunMerger>(
                     runs, std::vector<std::uint32_t>(places.begin(), places.end()), ranked);
             }),
             py::arg("runs"), py::arg("ranks").noconvert(), py::arg("ranked"))
        .def(
            "feed",
            [](RunMerger& self, std::size_t run, const py::bytes& bytes, bool last) {
                self.feed(run, bytes_view(bytes), last);
            },
            py::arg("run"), py::arg("data"), py::arg("last"))
        .def("advance", &advance, py::arg("limit"));
    py::class_<RecordCheck>(m, "RecordCheck", py::metaclass(metaclass))
        .def(py::init<bool, std::size_t, std::size_t, std::size_t>(), py::arg("verify"), py::arg("unit"),
             py::arg("length"), py::arg("cells"))
        .def(
            "check", [](RecordCheck& self, const py::bytes& data) { return self.check(bytes_view(data)); },
            py::arg("data"))
        .def("finish", &RecordCheck::finish);
    py::class_<SequenceSpectra>(m, "SequenceSpectra", py::metaclass(metaclass))
        .def(py::init<>())
        .def(
            "add", [](SequenceSpectra& self, const py::bytes& records) { self.add(bytes_view(records)); },
            py::arg("records"))
        .def("lines", &lines);
}

}  // namespace crystal::bindings
