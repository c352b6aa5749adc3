#pragma once
// Runs a long core computation so that Ctrl-C ends it: Python's signal handler only sets a mark that the
// interpreter's main thread looks at, so the thread that called has to look now and then.
#include <pybind11/pybind11.h>

#include <chrono>
#include <thread>
#include <utility>

#include "crystal/threads.hpp"

namespace crystal::bindings {

// Looks for signals whenever the core looks at the stop flag, on the thread that called and at most every 50
// ms.
class SignalStop final : public Stop {
  public:
    bool signalled() const { return signalled_; }

    void look() override {
        if (std::this_thread::get_id() != caller_) return;
        const auto now = std::chrono::steady_clock::now();
        if (now < next_) return;
        next_ = now + pause;
        const pybind11::gil_scoped_acquire acquire;
        if (PyErr_CheckSignals() == 0) return;
        signalled_ = true;
        raise();
    }

  private:
    static constexpr std::chrono::milliseconds pause{50};
    std::thread::id caller_ = std::this_thread::get_id();
    std::chrono::steady_clock::time_point next_ = std::chrono::steady_clock::now() + pause;
    bool signalled_ = false;
};

// Releases the GIL and returns work(stop); a pending signal raises the stop flag, and Python sees what its
// handler raised once the work has ended.
template <class Work>
auto run_interruptible(Work&& work) {
    SignalStop stop;
    try {
        const pybind11::gil_scoped_release release;
        return work(static_cast<StopFlag>(&stop));
    } catch (...) {
        if (stop.signalled()) throw pybind11::error_already_set();
        throw;
    }
}

}  // namespace crystal::bindings
