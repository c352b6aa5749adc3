// The path of the divergence matrices without vector instructions.
#include "divergence_lanes.hpp"
#include "lanes_scalar.hpp"

namespace crystal::divergence {

const Functions scalar_functions = functions_of<Scalar4>();

}  // namespace crystal::divergence
