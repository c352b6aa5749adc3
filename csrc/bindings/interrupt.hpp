#pragma once
// Runs a long core computation so that Ctrl-C ends it: Python's signal handler only sets a mark that the
// interpreter's main thread looks at, so somebody has to look while the core works.
#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include "crystal/threads.hpp"

namespace crystal::bindings {

// Releases the GIL, calls work(stop) on a thread of its own and returns its value; a pending signal raises
// the stop flag, waits for the work to end and is then raised in Python.
template <class Work>
auto run_interruptible(Work&& work) {
    using Result = decltype(work(std::declval<StopFlag>()));
    std::atomic<bool> stop{false};
    std::mutex mutex;
    std::condition_variable finished;
    bool done = false;
    std::exception_ptr error;
    Result result{};
    std::thread worker([&] {
        try {
            result = work(&stop);
        } catch (...) {
            error = std::current_exception();
        }
        const std::lock_guard lock(mutex);
        done = true;
        finished.notify_one();
    });
    bool signalled = false;
    {
        pybind11::gil_scoped_release release;
        std::unique_lock lock(mutex);
        while (!finished.wait_for(lock, std::chrono::milliseconds(50), [&] { return done; })) {
            lock.unlock();
            {
                pybind11::gil_scoped_acquire acquire;
                signalled = signalled || PyErr_CheckSignals() != 0;
            }
            lock.lock();
            if (signalled) stop.store(true);
        }
    }
    worker.join();
    if (signalled) throw pybind11::error_already_set();
    if (error) std::rethrow_exception(error);
    return result;
}

}  // namespace crystal::bindings
