// Bytes from outside through everything that reads them. The first byte chooses what, the second where pieces end.
// Run as scripts/fuzz.sh does.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "daemon/source/decode.hpp"
#include "daemon/source/manifest_file.hpp"
#include "daemon/source/service_cidrs.hpp"

using namespace ipvsd;

namespace {

void check(bool invariant) {
  if (!invariant) std::abort();
}

void check_object(Kind kind, const DecodedObject& decoded) {
  if (!decoded) return check(decoded.error().error.code == Errc::malformed && !decoded.error().error.context.empty());
  check(kind_of(decoded->object) == kind && !key_of(decoded->object).name.empty());
  if (const auto* service = std::get_if<Service>(&decoded->object))
    for (const auto& port : service->ports) check(port.port.number != 0);
  if (const auto* slice = std::get_if<EndpointSlice>(&decoded->object)) {
    for (const auto& port : slice->ports) check(port.port.number != 0);
    for (const auto& endpoint : slice->endpoints) check(endpoint.address.family() == slice->family);
  }
}

struct List {
  std::vector<std::string> items;
  bool ok = false;
  friend bool operator==(const List&, const List&) = default;
};

// A list must not depend on how it is cut.
List read_list(std::string_view text, std::size_t piece) {
  List list;
  ListReader reader([&](std::string_view item) { list.items.emplace_back(item); });
  while (!text.empty() && reader.feed(text.substr(0, piece))) text.remove_prefix(std::min(piece, text.size()));
  list.ok = reader.finish().has_value();
  return list;
}

void manifest(std::string_view name, std::string_view text) {
  const auto file = read_manifest(name, text);
  if (!file) return check(file.error().code == Errc::malformed);
  for (const auto& entry : file->entries)
    check(entry.object ? key_of(*entry.object) == entry.key : !file->problems.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::size_t piece = 1U + data[1];
  Decoder decoder;
  const auto kind = static_cast<Kind>(data[0] % 3);
  switch (data[0] / 3 % 6) {
    case 0: check_object(kind, decoder.object(kind, text)); break;
    case 1:
      if (const auto frame = decoder.watch_frame(kind, text); frame && frame->object)
        check_object(kind, *frame->object);
      break;
    case 2: check(read_list(text, piece) == read_list(text, text.size() + 1)); break;
    case 3: (void)decoder.status_text(text); break;
    case 4: manifest(data[1] % 2 == 0 ? "x.yaml" : "x.json", text); break;
    default: (void)decode_service_cidrs(text); break;
  }
  return 0;
}
