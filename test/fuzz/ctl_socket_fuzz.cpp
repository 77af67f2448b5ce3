// Both ends of the ctl socket: a request as the daemon reads it, an answer as kube-ipvsctl does, and the rules that
// explain walks. The first byte chooses which, the second where pieces end.
// Run as scripts/fuzz.sh does.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "ctl/cluster.hpp"
#include "ctl/daemon_client.hpp"
#include "ctl/rule_walk.hpp"
#include "ctl/status.hpp"
#include "daemon/serve/ctl_request.hpp"

using namespace ipvsd;
using namespace ipvsd::ctl;

namespace {

void check(bool invariant) {
  if (!invariant) std::abort();
}

void read_request(std::string_view text) {
  const auto request = parse_ctl_request(text);
  if (!request) return check(request.error().code == Errc::malformed);
  check(request->path.find('\0') == std::string::npos && text.size() <= ctl_request_limit);
}

// The body must not depend on how the answer is cut.
std::string body_of(std::string_view text, std::size_t piece) {
  std::string body;
  AnswerReader reader([&](std::string_view part) -> Result<void> {
    body += part;
    return {};
  });
  while (!text.empty() && reader.feed(text.substr(0, piece))) text.remove_prefix(std::min(piece, text.size()));
  return reader.finish() ? body : "";
}

void read_status(std::string_view text) {
  const auto status = parse_status(text);
  if (!status) return;
  const auto table = status_table(*status);
  for (const char c : table) check(c == '\n' || static_cast<unsigned char>(c) >= ' ');
  (void)failing_objects(*status);
}

void read_objects(std::string_view text, std::size_t piece) {
  ClusterState state("node");
  ObjectsReader reader(state);
  while (!text.empty() && reader.feed(text.substr(0, piece))) text.remove_prefix(std::min(piece, text.size()));
  check(!reader.finish() || state.synced() || !text.empty());
}

void walk(std::string_view text) {
  const auto tables = parse_save(text);
  if (!tables) return;
  Packet packet;
  packet.port = Port{80};
  const std::vector<LinkAddress> addresses{{"eth0", packet.destination, 24}};
  for (const bool from_node : {false, true}) {
    packet.from_node = from_node;
    for (const auto& matched : walk_rules(packet, {*tables, {}, addresses}, DestinationKey{}).matched)
      (void)short_form(matched);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::size_t piece = 1U + data[1];
  switch (data[0] % 6) {
    case 0: read_request(text); break;
    case 1: check(body_of(text, piece) == body_of(text, text.size() + 1)); break;
    case 2: read_status(text); break;
    case 3: (void)cluster_of_config(text); break;
    case 4: read_objects(text, piece); break;
    default: walk(text); break;
  }
  return 0;
}
