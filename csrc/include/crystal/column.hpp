#pragma once
// Long columns of numbers that threads fill.
#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

namespace crystal {

// Asks the system for large pages here, if it has any to give: to clear pages of 4 KiB one by one as they are
// first written costs a tenth of the time that finding equal sequences takes.
void ask_for_large_pages(void* memory, std::size_t bytes) noexcept;

// A vector whose items are made without a value: who makes it large writes every one of them, in threads, and
// zeros that one thread wrote before would cost as much again.
template <class Item>
struct Unset : std::allocator<Item> {
    template <class Other>
    struct rebind {
        using other = Unset<Other>;
    };
    Item* allocate(std::size_t count) {
        Item* const items = std::allocator<Item>::allocate(count);
        ask_for_large_pages(items, count * sizeof(Item));
        return items;
    }
    template <class Other, class... Values>
    void construct(Other* at, Values&&... values) {
        if constexpr (sizeof...(Values) == 0) {
            ::new (static_cast<void*>(at)) Other;
        } else {
            ::new (static_cast<void*>(at)) Other(std::forward<Values>(values)...);
        }
    }
};
template <class Item>
using Column = std::vector<Item, Unset<Item>>;

}  // namespace crystal
