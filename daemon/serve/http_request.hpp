// How much of a request there is, and the answers to those that are none. Pure.
#pragma once

#include <string>
#include <string_view>

namespace ipvsd {

enum class RequestState {
  incomplete,
  complete,
  bad,       // no HTTP/1 request
  too_long,  // request_limit bytes, and no end of the headers
};
constexpr std::size_t request_limit = 16384;
// Looks at what a client has sent so far: a request line and headers up to an empty line. What follows is not read.
[[nodiscard]] RequestState request_state(std::string_view received);
[[nodiscard]] std::string bad_request_answer();
[[nodiscard]] std::string too_long_answer();

}  // namespace ipvsd
