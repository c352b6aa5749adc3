#pragma once
#include <pybind11/pybind11.h>

namespace crystal::bindings {

void bind_blend(pybind11::module_& m);
void bind_clustering(pybind11::module_& m);
void bind_divergence(pybind11::module_& m);
void bind_grouping(pybind11::module_& m);
void bind_tables(pybind11::module_& m);
void bind_json_lines(pybind11::module_& m);
void bind_resampling(pybind11::module_& m);
void bind_tokens(pybind11::module_& m);
void bind_sequence_table(pybind11::module_& m);
void bind_sequences(pybind11::module_& m);
void bind_ngrams(pybind11::module_& m);
void bind_near_duplicates(pybind11::module_& m);

}  // namespace crystal::bindings
