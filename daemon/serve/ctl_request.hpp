// The HTTP of the ctl socket: GET requests without a body, answers that end with the connection. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "model/result.hpp"

namespace ipvsd {

inline constexpr std::size_t ctl_request_limit = 4096;  // bytes of a request's head

struct CtlRequest {
  std::string path;                          // "/v1/status"
  std::map<std::string, std::string> query;  // decoded; of several values of a name the last
};

// Reads a request up to its empty line. Error: malformed, saying what is accepted.
[[nodiscard]] Result<CtlRequest> parse_ctl_request(std::string_view head);

// The status line and the fields of an answer whose body ends with the connection.
[[nodiscard]] std::string ctl_answer_head(int status);

}  // namespace ipvsd
