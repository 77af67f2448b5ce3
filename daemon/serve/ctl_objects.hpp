// Model objects as JSON in the form of the Kubernetes API, so that whoever reads the API (daemon/source/decode.hpp)
// reads these: decoding what encode() gives is the same object again. What the model does not keep is not there. Pure.
#pragma once

#include <string>

#include "model/objects.hpp"

namespace ipvsd {

[[nodiscard]] std::string encode(const Service& service);
[[nodiscard]] std::string encode(const EndpointSlice& slice);
[[nodiscard]] std::string encode(const Node& node);

}  // namespace ipvsd
