// The path of clustering without vector instructions.
#include "clustering_lanes.hpp"
#include "lanes_scalar.hpp"

namespace crystal::clustering {

const Functions scalar_functions = functions_of<Scalar4>();

}  // namespace crystal::clustering
