// The resource /v1/status of the ctl socket.
#pragma once

#include "daemon/serve/ctl_resources.hpp"

namespace ipvsd {

// Errors: of Questions::ask().
[[nodiscard]] Result<std::string> status_json(const CtlFacts& facts, Questions& questions);

}  // namespace ipvsd
