#include "ctl/cluster_names.hpp"

#include "daemon/source/decode.hpp"

namespace ipvsd::ctl {

struct NamesReader::Parts {
  Names names;
  Decoder decoder;
  ListReader list{[this](std::string_view item) { take(item); }};

  // What cannot be read has no name; that is all.
  void take(std::string_view item) {
    const auto decoded = decoder.manifest(item);
    if (!decoded.object || !*decoded.object) return;
    const auto& object = (*decoded.object)->object;
    if (const auto* service = std::get_if<Service>(&object)) names.add(*service);
    if (const auto* slice = std::get_if<EndpointSlice>(&object)) names.add(*slice);
  }
};

NamesReader::NamesReader() : parts_(std::make_unique<Parts>()) {}
NamesReader::~NamesReader() = default;

Result<void> NamesReader::feed(std::string_view bytes) { return parts_->list.feed(bytes); }

Result<Names> NamesReader::finish() {
  const auto finished = parts_->list.finish();
  if (!finished) return fail(finished.error());
  return std::move(parts_->names);
}

namespace {

Result<Names> from_daemon(const std::string& socket) {
  NamesReader reader;
  const auto asked = ask_daemon(socket, "/v1/objects", [&](std::string_view piece) { return reader.feed(piece); });
  if (!asked) return fail(asked.error());
  return reader.finish();
}

Names names_of(const ClusterState& state) {
  Names names;
  for (const auto& key : state.service_keys()) {
    if (const auto* service = state.service(key)) names.add(*service);
    for (const auto* slice : state.slices_of(key)) names.add(*slice);
  }
  return names;
}

}  // namespace

Result<Names> read_names(const ClusterWords& words, const std::function<void(std::string)>& warn) {
  if (!words.from_daemon()) {
    const auto cluster = read_cluster(words, warn);
    if (!cluster) return fail(cluster.error());
    return names_of(cluster->state);
  }
  auto names = from_daemon(words.socket);
  if (names) return names;
  // That no daemon runs is nothing to warn of.
  if (names.error().code != Errc::not_found && names.error().code != Errc::denied)
    warn("no names: " + names.error().context);
  return Names{};
}

}  // namespace ipvsd::ctl
