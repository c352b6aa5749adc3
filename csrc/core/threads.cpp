#include "crystal/threads.hpp"

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif

namespace crystal {

std::size_t available_threads() {
#ifdef __linux__
    // The kernel wants room for all processors that it was built for: 1024 are not always enough.
    for (std::size_t most = 1024; most <= (std::size_t{1} << 20); most *= 8) {
        std::vector<cpu_set_t> sets(most / (8 * sizeof(cpu_set_t)));
        const std::size_t bytes = sets.size() * sizeof(cpu_set_t);
        if (sched_getaffinity(0, bytes, sets.data()) != 0) continue;
        if (const int count = CPU_COUNT_S(bytes, sets.data()); count > 0)
            return static_cast<std::size_t>(count);
    }
#endif
    return std::max(1U, std::thread::hardware_concurrency());
}

std::size_t thread_count(std::size_t requested) {
    if (requested > 0) return requested;
    if (const char* text = std::getenv("CRYSTAL_THREADS")) {
        char* end = nullptr;
        const long value = std::strtol(text, &end, 10);
        if (end != text && *end == '\0' && value > 0) return static_cast<std::size_t>(value);
    }
    return available_threads();
}

void parallel_for(std::size_t count, std::size_t grain, std::size_t threads, StopFlag stop,
                  const std::function<void(std::size_t, std::size_t)>& work) {
    grain = std::max<std::size_t>(grain, 1);
    std::atomic<std::size_t> next{0};
    std::atomic<bool> failed{false};
    std::exception_ptr error;
    std::mutex error_mutex;
    const auto loop = [&] {
        try {
            while (!failed.load(std::memory_order_relaxed)) {
                throw_if(stop);
                const std::size_t begin = next.fetch_add(grain, std::memory_order_relaxed);
                if (begin >= count) return;
                work(begin, std::min(begin + grain, count));
            }
        } catch (...) {
            const std::lock_guard lock(error_mutex);
            if (!error) error = std::current_exception();
            failed.store(true, std::memory_order_relaxed);
        }
    };
    const std::size_t ranges = (count + grain - 1) / grain;
    std::vector<std::thread> crew;
    for (std::size_t i = 1; i < std::min(threads, ranges); ++i) crew.emplace_back(loop);
    loop();
    for (std::thread& thread : crew) thread.join();
    if (error) std::rethrow_exception(error);
}

}  // namespace crystal
