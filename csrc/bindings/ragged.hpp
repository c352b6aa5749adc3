#pragma once
// Ragged data on its way in, and vectors on their way out.
#include <pybind11/numpy.h>

#include <stdexcept>
#include <utility>
#include <vector>

#include "crystal/sequences.hpp"
#include "interrupt.hpp"

namespace crystal::bindings {

template <class Item>
using Flat = pybind11::array_t<Item, pybind11::array::c_style>;

inline RaggedView ragged_view(const Flat<std::uint8_t>& values, const Flat<std::int64_t>& offsets,
                              std::size_t width) {
    if (values.ndim() != 1 || offsets.ndim() != 1) {
        throw std::invalid_argument("values and offsets need one dimension each");
    }
    if (width == 0) throw std::invalid_argument("values need at least one byte each");
    return {{values.data(), static_cast<std::size_t>(values.size())},
            {offsets.data(), static_cast<std::size_t>(offsets.size())},
            width};
}

// The vector moves into the array: nothing is copied.
template <class Item, class Allocator>
Flat<Item> give_vector(std::vector<Item, Allocator> items) {
    using Items = std::vector<Item, Allocator>;
    auto* owned = new Items(std::move(items));
    const pybind11::capsule owner(owned, [](void* pointer) { delete static_cast<Items*>(pointer); });
    return Flat<Item>(static_cast<pybind11::ssize_t>(owned->size()), owned->data(), owner);
}

}  // namespace crystal::bindings
