#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "crystal/token_curve.hpp"
#include "crystal/token_divergence.hpp"
#include "crystal/token_stats.hpp"
#include "families.hpp"
#include "interrupt.hpp"

namespace py = pybind11;

namespace crystal::bindings {
namespace {

using Ids = py::array_t<std::int64_t, py::array::c_style>;
using Temperatures = py::array_t<double, py::array::c_style>;
using Chosen = py::array_t<float, py::array::c_style>;

LogitType logit_type(const std::string& name, const py::array& logits) {
    const char kind = logits.dtype().kind();
    const auto size = logits.itemsize();
    if (name == "float32" && kind == 'f' && size == 4) return LogitType::float32;
    if (name == "float16" && kind == 'f' && size == 2) return LogitType::float16;
    if (name == "bfloat16" && kind == 'u' && size == 2) return LogitType::bfloat16;
    throw std::invalid_argument("the array does not hold logits of type " + name);
}

template <class Value>
Value named(const std::string& name, std::initializer_list<std::pair<const char*, Value>> values) {
    for (const auto& [key, value] : values)
        if (name == key) return value;
    throw std::invalid_argument("unknown name " + name);
}

TokenLevel token_level(const std::string& name) {
    return named<TokenLevel>(
        name, {{"core", TokenLevel::core}, {"standard", TokenLevel::standard}, {"all", TokenLevel::all}});
}

TokenPath token_path(const std::string& name) {
    return named<TokenPath>(name, {{"best", TokenPath::best},
                                   {"scalar", TokenPath::scalar},
                                   {"avx2", TokenPath::avx2},
                                   {"avx512", TokenPath::avx512}});
}

// Rows where they lie in memory: [tokens, vocabulary] or [batch, time, vocabulary], any outer strides.
TokenRows token_rows(const py::array& logits, const std::string& type, const Ids& tokens,
                     std::int64_t ignored, std::int64_t first) {
    const LogitType kind = logit_type(type, logits);
    const auto dimensions = logits.ndim();
    if (dimensions != 2 && dimensions != 3) throw std::invalid_argument("logits have 2 or 3 dimensions");
    const py::ssize_t size = logits.itemsize();
    const py::ssize_t vocabulary = logits.shape(dimensions - 1);
    if (vocabulary > 1 && logits.size() > 0 && logits.strides(dimensions - 1) != size)
        throw std::invalid_argument("the vocabulary is not contiguous");
    for (py::ssize_t axis = 0; axis < dimensions; ++axis)
        if (logits.strides(axis) % size != 0) throw std::invalid_argument("strides cut through an element");
    const py::ssize_t time = logits.shape(dimensions - 2);
    const py::ssize_t rows = dimensions == 3 ? logits.shape(0) * time : time;
    if (tokens.size() != rows) throw std::invalid_argument("logits and tokens do not match");
    return {logits.data(),
            kind,
            static_cast<std::size_t>(rows),
            static_cast<std::size_t>(time > 0 ? time : 1),
            static_cast<std::size_t>(vocabulary),
            dimensions == 3 ? logits.strides(0) / size : 0,
            logits.strides(dimensions - 2) / size,
            std::span(tokens.data(), static_cast<std::size_t>(tokens.size())),
            {},
            ignored,
            first};
}

py::tuple token_state(const py::array& logits, const std::string& type, const Ids& tokens,
                      const std::optional<Chosen>& chosen, const std::vector<double>& temperatures,
                      const std::string& level, std::int64_t ignored_id, std::int64_t first_id,
                      std::size_t threads, const std::string& path) {
    TokenRows rows = token_rows(logits, type, tokens, ignored_id, first_id);
    if (chosen) rows.chosen = std::span(chosen->data(), static_cast<std::size_t>(chosen->size()));
    const auto n = static_cast<py::ssize_t>(rows.rows);
    const auto grid = static_cast<py::ssize_t>(temperatures.size());
    py::array_t<double> floats({static_cast<py::ssize_t>(token_floats), grid, n});
    py::array_t<std::int64_t> counts({static_cast<py::ssize_t>(token_counts), grid, n});
    const TokenStates out{{floats.mutable_data(), static_cast<std::size_t>(floats.size())},
                          {counts.mutable_data(), static_cast<std::size_t>(counts.size())}};
    const TokenLevel depth = token_level(level);
    const TokenPath way = token_path(path);
    run_interruptible([&](StopFlag stop) {
        token_states(rows, temperatures, depth, way, threads, out, stop);
        return true;
    });
    return py::make_tuple(floats, counts);
}

// Temperatures [count, 1] for all rows, or [count, rows].
py::tuple token_curve(const py::array& logits, const std::string& type, const Ids& tokens,
                      const Temperatures& temperatures, std::int64_t ignored_id, std::size_t threads,
                      const std::string& path) {
    const TokenRows rows = token_rows(logits, type, tokens, ignored_id, 0);
    const auto n = static_cast<py::ssize_t>(rows.rows);
    if (temperatures.ndim() != 2 || (temperatures.shape(1) != 1 && temperatures.shape(1) != n))
        throw std::invalid_argument("temperatures are [count, 1] or [count, rows]");
    const py::ssize_t count = temperatures.shape(0);
    const TokenTemperatures grid{{temperatures.data(), static_cast<std::size_t>(temperatures.size())},
                                 static_cast<std::size_t>(count),
                                 temperatures.shape(1) != 1};
    py::array_t<double> maximum(n), sums({py::ssize_t{3}, count, n});
    const TokenCurves out{{maximum.mutable_data(), rows.rows},
                          {sums.mutable_data(), static_cast<std::size_t>(sums.size())}};
    const TokenPath way = token_path(path);
    run_interruptible([&](StopFlag stop) {
        token_curves(rows, grid, way, threads, out, stop);
        return true;
    });
    return py::make_tuple(maximum, sums);
}

using Levels = py::array_t<double, py::array::c_style>;

// `levels` [2, rows] and `status` [rows] are those of the whole vocabulary, where only a part of it is here.
py::tuple token_divergence(const py::array& p_logits, const py::array& q_logits, const std::string& type,
                           const Ids& tokens, const std::optional<Levels>& levels,
                           const std::optional<Ids>& status, double temperature, std::int64_t ignored_id,
                           std::int64_t first_id, std::size_t threads, const std::string& path) {
    const TokenRows p = token_rows(p_logits, type, tokens, ignored_id, first_id);
    const TokenRows q = token_rows(q_logits, type, tokens, ignored_id, first_id);
    const auto n = static_cast<py::ssize_t>(p.rows);
    const bool given = levels.has_value() && status.has_value();
    if (given && (levels->size() != 2 * n || status->size() != n))
        throw std::invalid_argument("levels, status and tokens do not match");
    py::array_t<double> sums({static_cast<py::ssize_t>(divergence_sums), n}), both({py::ssize_t{2}, n});
    py::array_t<std::int64_t> marks(n);
    if (given) {
        std::copy_n(levels->data(), 2 * n, both.mutable_data());
        std::copy_n(status->data(), n, marks.mutable_data());
    }
    const TokenDivergences out{{sums.mutable_data(), static_cast<std::size_t>(sums.size())},
                               {both.mutable_data(), static_cast<std::size_t>(both.size())},
                               {marks.mutable_data(), static_cast<std::size_t>(marks.size())}};
    const TokenPath way = token_path(path);
    run_interruptible([&](StopFlag stop) {
        token_divergences(p, q, temperature, given, way, threads, out, stop);
        return true;
    });
    return py::make_tuple(sums, both, marks);
}

}  // namespace

void bind_tokens(py::module_& m) {
    m.def(
        "token_path_available",
        [](const std::string& path) { return token_path_available(token_path(path)); }, py::arg("path"));
    m.def("token_state", &token_state, py::arg("logits").noconvert(), py::arg("type"),
          py::arg("tokens").noconvert(), py::arg("chosen").noconvert().none(true), py::arg("temperatures"),
          py::arg("level"), py::arg("ignored_id"), py::arg("first_id"), py::arg("threads"), py::arg("path"));
    m.def("token_curve", &token_curve, py::arg("logits").noconvert(), py::arg("type"),
          py::arg("tokens").noconvert(), py::arg("temperatures").noconvert(), py::arg("ignored_id"),
          py::arg("threads"), py::arg("path"));
    m.def("token_divergence", &token_divergence, py::arg("p_logits").noconvert(),
          py::arg("q_logits").noconvert(), py::arg("type"), py::arg("tokens").noconvert(),
          py::arg("levels").noconvert().none(true), py::arg("status").noconvert().none(true),
          py::arg("temperature"), py::arg("ignored_id"), py::arg("first_id"), py::arg("threads"),
          py::arg("path"));
}

}  // namespace crystal::bindings
