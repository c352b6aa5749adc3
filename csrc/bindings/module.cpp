// The list of what Python sees: one line a family, each defined in the file of its name.
#include "crystal/threads.hpp"
#include "families.hpp"

PYBIND11_MODULE(_core, m) {
    m.doc() = "Compiled core of crystal. Only crystal.ops imports it.";
    // Raised by one whenever a signature here changes; crystal.ops compares it, so that a stale build is
    // named.
    m.attr("INTERFACE") = 4;
    m.def("available_threads", &crystal::available_threads);
    m.def("thread_count", &crystal::thread_count, pybind11::arg("requested"));
    crystal::bindings::bind_blend(m);
    crystal::bindings::bind_clustering(m);
    crystal::bindings::bind_divergence(m);
    crystal::bindings::bind_grouping(m);
    crystal::bindings::bind_tables(m);
    crystal::bindings::bind_tokens(m);
    crystal::bindings::bind_json_lines(m);
    crystal::bindings::bind_resampling(m);
    crystal::bindings::bind_sequence_table(m);
    crystal::bindings::bind_sequences(m);
    crystal::bindings::bind_ngrams(m);
    crystal::bindings::bind_near_duplicates(m);
}
