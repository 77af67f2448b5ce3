// kube-ipvsctl's readers of bytes from outside: captures, the kernel's connections, rules, answers of the daemon's
// socket, selectors, keys of a terminal. The first byte chooses.
// Run as scripts/fuzz.sh does.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ctl/cluster_names.hpp"
#include "ctl/connections.hpp"
#include "ctl/observe_rules.hpp"
#include "ctl/raw_capture.hpp"
#include "ctl/raw_decode.hpp"
#include "ctl/selector.hpp"
#include "ctl/top.hpp"

using namespace ipvsd;
using namespace ipvsd::ctl;

namespace {

void check(bool invariant) {
  if (!invariant) std::abort();
}

void capture(nl::Bytes bytes) {
  RawDecoder decoder;
  decoder.learn(29, "IPVS");
  const auto read = read_capture(bytes, [&](NetlinkProtocol protocol, nl::Bytes datagram) {
    const auto text = decoder.decode(protocol, datagram);
    // Names and texts from the file steer no terminal.
    for (const char c : text) check(c == '\n' || (c >= ' ' && c <= '~'));
  });
  check(read || read.error().code == Errc::malformed);
}

void names(std::string_view text, std::size_t piece) {
  NamesReader reader;
  while (!text.empty() && reader.feed(text.substr(0, piece))) text.remove_prefix(std::min(piece, text.size()));
  const auto read = reader.finish();
  if (!read) return;
  for (const auto& service : read->services()) (void)read->find(service);
}

void keys(std::string_view text) {
  const std::vector<TopService> services{{"a", {}, {}}, {"b", {}, {}}, {"ab", {}, {}}};
  TopState state;
  while (!text.empty()) {
    const auto before = text.size();
    state.press(take_key(text), services);
    check(text.size() < before);
    const auto shown = searched(services, state.search);
    settle(state, shown.size());
    check(shown.empty() || state.cursor < shown.size());
    check(!top_screen(state, shown, {}, {false, 80}).empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const nl::Bytes bytes(data + 2, size - 2);
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  switch (data[0] % 7) {
    case 0: capture(bytes); break;
    case 1: {
      RawDecoder decoder;
      decoder.learn(29, "IPVS");
      (void)decoder.decode(static_cast<NetlinkProtocol>(data[1] % 4), bytes);
      break;
    }
    case 2: (void)parse_connection(text); break;
    case 3: (void)kube_chains(text); break;
    case 4: names(text, 1U + data[1]); break;
    case 5: {
      const std::vector<std::string> words{std::string(text)};
      (void)Selectors::parse(words, {});
      break;
    }
    default: keys(text); break;
  }
  return 0;
}
