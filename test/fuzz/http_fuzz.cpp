// The HTTP that is read without httplib: requests to health check ports, and the answer of another proxy. The first
// byte says where the pieces end in which a request comes. Run as scripts/fuzz.sh does.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "daemon/serve/health_check_answer.hpp"
#include "daemon/serve/http_request.hpp"
#include "daemon/serve/other_proxy.hpp"

using namespace ipvsd;

namespace {

void check(bool invariant) {
  if (!invariant) std::abort();
}

// As the server reads: until there is something to answer, and never more than the limit and a piece.
RequestState state_in_pieces(std::string_view text, std::size_t piece) {
  std::string received;
  auto state = request_state(received);
  while (!text.empty() && state == RequestState::incomplete) {
    check(received.size() < request_limit);
    received += text.substr(0, piece);
    text.remove_prefix(std::min(piece, text.size()));
    state = request_state(received);
  }
  return state;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto whole = request_state(text);
  // A request does not change by the way it was cut.
  check(state_in_pieces(text, 1U + data[0]) == whole || text.size() >= request_limit);
  const ObjectKey service{"ns", std::string(text)};
  check(health_check_answer({service, 1, true}, {}, true).ends_with("\r\n\r\n"));
  const auto mode = proxy_mode_of(text);
  check(mode.size() <= 32 && mode.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == std::string::npos);
  return 0;
}
