#include "netlink/ipvs.hpp"

#include <fmt/format.h>
#include <netlink/genl/ctrl.h>
#include <netlink/netlink.h>

#include <algorithm>
#include <array>

#include "os/modules.hpp"

namespace ipvsd::nl {
namespace {

// Which object and operation an error belongs to, and what the kernel's answer means for it.
Error explain(Error error, const Operation& operation) {
  const auto* server = std::get_if<VirtualServer>(&operation.target);
  // ip_vs_genl_set_cmd: a new virtual server fails with ENOENT only when its scheduler is not to be had.
  if (server != nullptr && operation.verb != Verb::remove && error.sys_errno == ENOENT) {
    return {Errc::unsupported, ENOENT,
            fmt::format("netlink: {}: scheduler module ip_vs_{} is not loaded; try modprobe ip_vs_{}",
                        to_string(operation), server->scheduler, server->scheduler)};
  }
  return error.within("netlink: " + to_string(operation));
}

}  // namespace

Result<Ipvs> Ipvs::open() {
  auto socket = Socket::open(NETLINK_GENERIC, "ipvs");
  if (!socket) return fail(socket.error());
  int id = ::genl_ctrl_resolve(socket->native(), IPVS_GENL_NAME);
  if (id < 0) {
    load_modules(std::array{std::string_view("ip_vs")});
    id = ::genl_ctrl_resolve(socket->native(), IPVS_GENL_NAME);
  }
  if (id < 0)
    return fail(Errc::unsupported,
                "ipvs: this kernel has no IPVS: load it with modprobe ip_vs (in a container: on the host)");
  auto lister = Socket::open(NETLINK_GENERIC, "ipvs");
  if (!lister) return fail(lister.error());
  return Ipvs(std::move(*socket), std::move(*lister), static_cast<std::uint16_t>(id));
}

std::vector<Failure> Ipvs::execute(std::span<const Operation> operations) {
  std::vector<Failure> failures;
  std::size_t first = 0;  // of the operations in the batch
  const auto flush = [&] {
    for (auto& failure : socket_.transact(batch_)) {
      const std::size_t index = first + failure.index;
      failures.push_back({index, explain(std::move(failure.error), operations[index])});
    }
    first += batch_.count();
  };
  // The longest message, a virtual server with everything, is far below this.
  constexpr std::size_t message_limit = 512;
  batch_.reset(socket_.next_sequence());
  for (const auto& operation : operations) {
    if (const auto* server = std::get_if<VirtualServer>(&operation.target))
      encode_virtual_server(batch_, family_id_, operation.verb, *server);
    else
      encode_destination(batch_, family_id_, operation.verb, std::get<DestinationOf>(operation.target));
    if (batch_.size() + message_limit > batch_limit) {
      flush();
      batch_.reset(socket_.next_sequence());
    }
  }
  flush();
  return failures;
}

// One unreadable entry is left out, and is not a reason to see none.
Result<void> Ipvs::dump_virtual_servers(const std::function<void(const VirtualServerRecord&)>& visit) {
  batch_.reset(socket_.next_sequence());
  encode_dump_virtual_servers(batch_, family_id_);
  return socket_.query(batch_, [&](const Message& message) {
    if (const auto record = decode_virtual_server(message.payload)) visit(*record);
  });
}

Result<bool> Ipvs::next_virtual_servers(std::size_t enough, std::vector<VirtualServer>& into) {
  if (!listing_open_) {
    listing_.reset(lister_.next_sequence());
    encode_dump_virtual_servers(listing_, family_id_);
    if (const auto asked = lister_.ask(listing_); !asked) return fail(asked.error());
    listing_open_ = true;
  }
  const std::size_t target = into.size() + enough;
  while (listing_open_ && into.size() < target) {
    const auto more = lister_.next_answer(listing_, [&](const Message& message) {
      if (const auto record = decode_virtual_server(message.payload)) into.push_back(record->server);
    });
    listing_open_ = more && *more;
    if (!more) return fail(more.error().within("list virtual servers"));
  }
  return listing_open_;
}

Result<std::vector<ObservedDestination>> Ipvs::destinations(const VirtualServerKey& key) {
  std::vector<ObservedDestination> found;
  const auto done = dump_destinations(key, [&](const DestinationRecord& record) { found.push_back(record.observed); });
  if (!done) return fail(done.error().within("destinations of virtual server " + key.to_string()));
  return found;
}

Result<void> Ipvs::dump_destinations(const VirtualServerKey& key,
                                     const std::function<void(const DestinationRecord&)>& visit) {
  batch_.reset(socket_.next_sequence());
  encode_dump_destinations(batch_, family_id_, key);
  return socket_.query(batch_, [&](const Message& message) {
    if (const auto record = decode_destination(message.payload, key.family())) visit(*record);
  });
}

Result<VirtualServerRecord> Ipvs::get(const VirtualServerKey& key) {
  batch_.reset(socket_.next_sequence());
  encode_get_virtual_server(batch_, family_id_, key);
  Result<VirtualServerRecord> found = fail(Errc::not_found, "ipvs: virtual server " + key.to_string());
  const auto done =
      socket_.query(batch_, [&](const Message& message) { found = decode_virtual_server(message.payload); });
  if (!done) return fail(done.error().within("get virtual server " + key.to_string()));
  return found;
}

Result<std::optional<ObservedVirtualServer>> Ipvs::observe(const VirtualServerKey& key) {
  batch_.reset(socket_.next_sequence());
  encode_get_virtual_server(batch_, family_id_, key);
  const std::uint32_t about_server = batch_.last_sequence();
  encode_dump_destinations(batch_, family_id_, key);
  std::optional<ObservedVirtualServer> found;
  std::vector<ObservedDestination> destinations;
  const auto done = socket_.query(batch_, [&](const Message& message) {
    if (message.header.nlmsg_seq == about_server) {
      if (auto record = decode_virtual_server(message.payload)) found = ObservedVirtualServer{record->server, {}};
    } else if (const auto record = decode_destination(message.payload, key.family())) {
      destinations.push_back(record->observed);
    }
  });
  if (!done && done.error().code == Errc::not_found) return std::optional<ObservedVirtualServer>{};
  if (!done) return fail(done.error().within("observe virtual server " + key.to_string()));
  if (!found) return fail(Errc::malformed, "ipvs: no readable answer about virtual server " + key.to_string());
  found->destinations = std::move(destinations);
  return found;
}

Result<Timeouts> Ipvs::timeouts() {
  batch_.reset(socket_.next_sequence());
  encode_get_timeouts(batch_, family_id_);
  Result<Timeouts> found = fail(Errc::malformed, "ipvs: no timeouts in the answer");
  const auto done = socket_.query(batch_, [&](const Message& message) { found = decode_timeouts(message.payload); });
  if (!done) return fail(done.error());
  return found;
}

Result<void> Ipvs::set_timeouts(const Timeouts& timeouts) {
  batch_.reset(socket_.next_sequence());
  encode_set_timeouts(batch_, family_id_, timeouts);
  const auto failures = socket_.transact(batch_);
  if (!failures.empty()) return fail(failures.front().error.within("set timeouts"));
  return {};
}

Result<void> Ipvs::probe_scheduler(std::string_view name) {
  VirtualServer probe;
  probe.key = {*IpAddress::parse("198.51.100.0"), Protocol::tcp, Port{20000}, 0};
  probe.scheduler = name;
  const auto attempt = [&] {
    // A probe that a killed process left behind goes first.
    const std::array operations{Operation{Verb::remove, probe}, Operation{Verb::add, probe},
                                Operation{Verb::remove, probe}};
    return execute(operations);
  };
  const auto add_failed = [](const std::vector<Failure>& failures) {
    return std::find_if(failures.begin(), failures.end(), [](const Failure& failure) { return failure.index == 1; });
  };
  auto failures = attempt();
  if (add_failed(failures) == failures.end()) return {};
  const auto module = fmt::format("ip_vs_{}", name);
  load_modules(std::array{std::string_view(module)});
  failures = attempt();
  const auto failure = add_failed(failures);
  if (failure == failures.end()) return {};
  return fail(failure->error);
}

}  // namespace ipvsd::nl
