#pragma once
// Threads that live for one call: a pool that survives fork() deadlocks in the child.
#include <atomic>
#include <cstddef>
#include <functional>
#include <stdexcept>

namespace crystal {

// Thrown out of a core function when its stop flag was raised; the bindings turn it into KeyboardInterrupt.
struct Stopped : std::runtime_error {
    Stopped() : std::runtime_error("stopped") {}
};

// Ends a long computation early once it is raised, by whatever look() finds or by any other thread.
class Stop {
  public:
    virtual ~Stop() = default;
    // Called wherever the work may end, on every thread that works.
    virtual void look() {}
    void raise() { raised_.store(true, std::memory_order_relaxed); }
    bool raised() const { return raised_.load(std::memory_order_relaxed); }

  private:
    std::atomic<bool> raised_{false};
};

// nullptr where nobody can stop the work.
using StopFlag = Stop*;

inline void throw_if(StopFlag stop) {
    if (stop == nullptr) return;
    stop->look();
    if (stop->raised()) throw Stopped{};
}

// The cores that this process may run on: its affinity where the system tells it, else all of the machine.
std::size_t available_threads();

// `requested` where positive, else CRYSTAL_THREADS where it is a positive number, else available_threads().
std::size_t thread_count(std::size_t requested);

// Calls work(begin, end) over disjoint ranges that cover [0, count), each of at most `grain` items, from up
// to `threads` threads, the caller among them; a range small enough for one call never leaves the caller.
// Ranges are handed out in ascending order. The first exception of any thread is rethrown once all have
// stopped.
void parallel_for(std::size_t count, std::size_t grain, std::size_t threads, StopFlag stop,
                  const std::function<void(std::size_t, std::size_t)>& work);

}  // namespace crystal
