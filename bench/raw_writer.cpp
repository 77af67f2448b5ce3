#include "bench/raw_writer.hpp"

#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <linux/if_addr.h>
#include <linux/ip_vs.h>
#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <stdexcept>

#include "netlink/ipvs_codec.hpp"
#include "netlink/set_codec.hpp"

namespace ipvsd::bench {
namespace {

using nl::Batch;
using nl::bytes_of;

constexpr std::size_t limit = 64000;  // of a send, and of the entries in one message: nla_len has 16 bits

Fd open_netlink(int protocol) {
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  const int size = 8 << 20;
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  ::setsockopt(socket.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  return socket;
}

void encode_address(Batch& batch, const IpAddress& address, std::uint32_t link) {
  ifaddrmsg header{};
  header.ifa_family = static_cast<std::uint8_t>(to_af(address.family()));
  header.ifa_prefixlen = address.max_prefix();
  header.ifa_index = link;
  batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, header);
  batch.attribute(IFA_LOCAL, address.bytes());
}

// Requests from a list of things, as many to a batch as fit.
template <class Thing, class Encode>
std::vector<std::vector<std::uint8_t>> requests(const std::vector<const Thing*>& things, Encode encode) {
  std::vector<std::vector<std::uint8_t>> all;
  Batch batch(1);
  const auto flush = [&] {
    batch.finish(NLM_F_ACK);
    if (batch.count() > 0) all.emplace_back(batch.bytes().begin(), batch.bytes().end());
    batch.reset(1);
  };
  for (const auto* thing : things) {
    encode(batch, *thing);
    if (batch.size() > limit - 256) flush();
  }
  flush();
  return all;
}

std::vector<std::vector<std::uint8_t>> set_requests(const std::vector<const SetEntry*>& entries) {
  std::vector<std::vector<std::uint8_t>> all;
  Batch batch(1);
  for (std::size_t i = 0; i < entries.size();) {
    batch.reset(1);
    const IpSet set = entries[i]->set;
    nl::begin_set_message(batch, IPSET_CMD_ADD, 0, set.family, set.name());
    batch.attribute(IPSET_ATTR_LINENO, bytes_of(std::uint32_t{0}));
    const auto list = batch.begin_nested(IPSET_ATTR_ADT);
    for (; i < entries.size() && entries[i]->set == set && batch.size() < limit - 256; ++i)
      nl::encode_entry(batch, Verb::add, *entries[i]);
    batch.end_nested(list);
    batch.finish(NLM_F_ACK);
    all.emplace_back(batch.bytes().begin(), batch.bytes().end());
  }
  return all;
}

void send_to(int socket, nl::Bytes bytes) {
  if (::send(socket, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    throw std::runtime_error(std::string("raw writer: send: ") + std::strerror(errno));
}

double seconds_since(std::chrono::steady_clock::time_point from) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count();
}

}  // namespace

RawWriter::RawWriter()
    : generic_(open_netlink(NETLINK_GENERIC)),
      route_(open_netlink(NETLINK_ROUTE)),
      netfilter_(open_netlink(NETLINK_NETFILTER)),
      link_(::if_nametoindex("kube-ipvs0")),
      buffer_(256U << 10) {
  Batch batch(1);
  batch.begin(GENL_ID_CTRL, 0, genlmsghdr{CTRL_CMD_GETFAMILY, 1, 0});
  batch.attribute(CTRL_ATTR_FAMILY_NAME, std::string_view(IPVS_GENL_NAME));
  batch.finish(0);
  send_to(generic_.get(), batch.bytes());
  const auto answer = receive(generic_.get());
  nl::AttributeCursor cursor(nl::Bytes(answer).subspan(NLMSG_HDRLEN + GENL_HDRLEN));
  while (const auto attribute = cursor.next())
    if (attribute->type == CTRL_ATTR_FAMILY_ID) ipvs_ = nl::load<std::uint16_t>(attribute->payload).value_or(0);
  if (ipvs_ == 0 || link_ == 0) throw std::runtime_error("raw writer: no IPVS or no kube-ipvs0");
}

std::vector<std::uint8_t> RawWriter::receive(int socket) {
  const ssize_t size = ::recv(socket, buffer_.data(), buffer_.size(), 0);
  if (size < 0) throw std::runtime_error(std::string("raw writer: receive: ") + std::strerror(errno));
  return {buffer_.begin(), buffer_.begin() + size};
}

void RawWriter::await(int socket) {
  const ssize_t size = ::recv(socket, buffer_.data(), buffer_.size(), 0);
  nlmsgerr answer{};
  if (size < static_cast<ssize_t>(NLMSG_HDRLEN + sizeof answer.error))
    throw std::runtime_error("raw writer: no answer");
  std::memcpy(&answer.error, buffer_.data() + NLMSG_HDRLEN, sizeof answer.error);
  if (answer.error != 0) throw std::runtime_error(std::string("raw writer: ") + std::strerror(-answer.error));
}

double RawWriter::write(std::span<const Operation> operations) {
  std::map<IpSet, std::vector<const SetEntry*>> by_set;
  std::vector<const VirtualServer*> servers;
  std::vector<const DestinationOf*> destinations;
  std::vector<const BoundAddress*> addresses;
  for (const auto& operation : operations) {
    if (const auto* entry = std::get_if<SetEntry>(&operation.target)) by_set[entry->set].push_back(entry);
    if (const auto* server = std::get_if<VirtualServer>(&operation.target)) servers.push_back(server);
    if (const auto* of = std::get_if<DestinationOf>(&operation.target)) destinations.push_back(of);
    if (const auto* bound = std::get_if<BoundAddress>(&operation.target)) addresses.push_back(bound);
  }
  std::vector<const SetEntry*> entries;
  for (const auto& [set, members] : by_set) entries.insert(entries.end(), members.begin(), members.end());

  std::vector<Request> all;
  const auto take = [&](const Fd& socket, std::vector<std::vector<std::uint8_t>> made) {
    for (auto& bytes : made) all.push_back({socket.get(), std::move(bytes)});
  };
  take(netfilter_, set_requests(entries));
  take(generic_, requests<VirtualServer>(servers, [&](Batch& batch, const VirtualServer& server) {
         nl::encode_virtual_server(batch, ipvs_, Verb::add, server);
       }));
  take(generic_, requests<DestinationOf>(destinations, [&](Batch& batch, const DestinationOf& of) {
         nl::encode_destination(batch, ipvs_, Verb::add, of);
       }));
  take(route_, requests<BoundAddress>(addresses, [&](Batch& batch, const BoundAddress& bound) {
         encode_address(batch, bound.address, link_);
       }));

  const auto begin = std::chrono::steady_clock::now();
  for (const auto& request : all) {
    const auto sent = std::chrono::steady_clock::now();
    send_to(request.socket, request.bytes);
    await(request.socket);
    double& spent = by_channel[request.socket == generic_.get() ? 0 : request.socket == route_.get() ? 1 : 2];
    spent += seconds_since(sent);
  }
  return seconds_since(begin);
}

double RawWriter::replay(std::span<const std::vector<Operation>> pieces) {
  std::vector<Request> all;
  Batch destinations(1);
  Batch entries(1);
  const auto flush = [&](const Fd& socket, Batch& batch) {
    if (batch.count() == 0) return;
    batch.finish(NLM_F_ACK);
    all.push_back({socket.get(), {batch.bytes().begin(), batch.bytes().end()}});
    batch.reset(1);
  };
  for (const auto& piece : pieces) {
    for (const auto& [verb, target] : piece) {
      if (const auto* of = std::get_if<DestinationOf>(&target)) {
        nl::encode_destination(destinations, ipvs_, verb, *of);
      } else if (const auto* entry = std::get_if<SetEntry>(&target)) {
        nl::begin_set_message(entries, verb == Verb::remove ? IPSET_CMD_DEL : IPSET_CMD_ADD, 0, entry->set.family,
                              entry->set.name());
        nl::encode_entry(entries, verb, *entry);
      } else {
        throw std::runtime_error("raw writer: cannot replay " + to_string(Operation{verb, target}));
      }
      if (destinations.size() > limit - 256) flush(generic_, destinations);
      if (entries.size() > limit - 256) flush(netfilter_, entries);
    }
    flush(netfilter_, entries);
    flush(generic_, destinations);
  }
  const auto begin = std::chrono::steady_clock::now();
  for (const auto& request : all) {
    send_to(request.socket, request.bytes);
    await(request.socket);
  }
  return seconds_since(begin);
}

void RawWriter::drain(int socket) {
  for (;;) {
    const ssize_t size = ::recv(socket, buffer_.data(), buffer_.size(), 0);
    if (size <= 0) throw std::runtime_error("raw writer: a dump broke off");
    nl::MessageCursor messages({buffer_.data(), static_cast<std::size_t>(size)});
    while (const auto message = messages.next())
      if (message->header.nlmsg_type == NLMSG_DONE || message->header.nlmsg_type == NLMSG_ERROR) return;
  }
}

double RawWriter::read(std::span<const VirtualServerKey> servers) {
  const auto begin = std::chrono::steady_clock::now();
  Batch batch(1);
  const auto ask = [&](const Fd& socket) {
    batch.finish(0);
    send_to(socket.get(), batch.bytes());
    drain(socket.get());
    batch.reset(1);
  };
  nl::encode_dump_virtual_servers(batch, ipvs_);
  ask(generic_);
  for (const auto& key : servers) {
    nl::encode_dump_destinations(batch, ipvs_, key);
    ask(generic_);
  }
  batch.begin(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{});
  ask(route_);
  for (const auto& set : all_ip_sets()) {
    nl::begin_set_message(batch, IPSET_CMD_LIST, NLM_F_DUMP, set.family, set.name());
    ask(netfilter_);
  }
  return seconds_since(begin);
}

}  // namespace ipvsd::bench
