// What the kernel answers, through the readers of netlink messages: IPVS, links, addresses, routes, connections,
// members of sets. The first byte chooses the reader, the second the set. Run as scripts/fuzz.sh does.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "netlink/conntrack.hpp"
#include "netlink/ipvs_codec.hpp"
#include "netlink/links.hpp"
#include "netlink/routes.hpp"
#include "netlink/set_codec.hpp"

using namespace ipvsd;
using namespace ipvsd::nl;

namespace {

void check(bool invariant) {
  if (!invariant) std::abort();
}

// Behind the nlmsghdr of the one message in it.
Bytes payload_of(const Batch& batch) {
  MessageCursor messages(batch.bytes());
  const auto message = messages.next();
  check(message.has_value());
  return message->payload;
}

// What was read, and is written to the kernel again, reads the same.
void virtual_server(Bytes bytes) {
  const auto read = decode_virtual_server(bytes);
  if (!read) return check(read.error().code == Errc::malformed);
  Batch batch(1);
  encode_virtual_server(batch, 29, Verb::add, read->server);
  batch.finish(0);
  const auto again = decode_virtual_server(payload_of(batch));
  check(again && again->server == read->server);
}

void destination(Bytes bytes, Family family) {
  const auto read = decode_destination(bytes, family);
  if (!read) return check(read.error().code == Errc::malformed);
  Batch batch(1);
  encode_destination(batch, 29, Verb::add, {{}, read->observed.destination});
  batch.finish(0);
  const auto again = decode_destination(payload_of(batch), family);
  check(again && again->observed.destination == read->observed.destination);
}

void route(Bytes bytes) {
  const auto read = decode_route(bytes);
  if (read && *read) check((*read)->destination.prefix <= (*read)->destination.address.max_prefix());
}

void flow(Bytes bytes) {
  const auto read = decode_flow(bytes);
  if (!read || !*read) return;
  check(!(*read)->to_string().empty());
  Batch batch(1);
  encode_delete_flow(batch, **read);
  batch.finish(0);
  check(!payload_of(batch).empty());
}

// Sets are asked for an entry by its text.
void members(Bytes bytes, IpSet set) {
  (void)decode_members(bytes, set, [&](const SetEntry& entry) {
    check(entry.set == set && !entry.element().empty());
    check(entry.prefix <= entry.second.max_prefix());
  });
}

void messages(Bytes bytes) {
  MessageCursor cursor(bytes);
  std::size_t read = 0;
  while (const auto message = cursor.next()) {
    read += sizeof(nlmsghdr) + message->payload.size();
    (void)error_of(*message);
  }
  check(read <= bytes.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const Bytes bytes(data + 2, size - 2);
  switch (data[0] % 9) {
    case 0: virtual_server(bytes); break;
    case 1: destination(bytes, data[1] % 2 == 0 ? Family::ipv4 : Family::ipv6); break;
    case 2: (void)decode_timeouts(bytes); break;
    case 3: (void)decode_link(bytes); break;
    case 4: (void)decode_address(bytes); break;
    case 5: route(bytes); break;
    case 6: flow(bytes); break;
    case 7: members(bytes, all_ip_sets()[data[1] % all_ip_sets().size()]); break;
    default: messages(bytes); break;
  }
  return 0;
}
