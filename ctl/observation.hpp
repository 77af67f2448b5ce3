// What the commands show: the node's kernel as it was read, with nothing decided. Observing (observe.hpp) fills these,
// rendering (dump_*.hpp) turns them into text, and neither knows the other.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "netlink/ipvs_codec.hpp"

namespace ipvsd::ctl {

// A vector would touch twice the memory while it grows.
using ServerRecords = std::deque<nl::VirtualServerRecord>;

// A virtual server with its destinations, both with the kernel's counters.
struct ObservedServer {
  nl::VirtualServerRecord record;
  std::vector<nl::DestinationRecord> destinations;  // by address and port
};

// What the dummy link carries.
struct ObservedLink {
  bool present = false;
  std::vector<LinkAddress> addresses;  // ascending
  std::vector<LocalRoute> routes{};    // ours, ascending
};

// One of all_ip_sets() that exists.
struct ObservedSet {
  IpSet set;
  std::size_t count = 0;
  // Ascending; absent where they are not asked for, and with a selector those that it matches.
  std::optional<std::vector<SetEntry>> members;
  // Why a set that exists could not be read; the rest is unset then.
  std::string error;
};

// One family's rules as iptables-save prints them: the chains KUBE-*, and of others the rules that lead into one.
struct ObservedRules {
  struct Chain {
    std::string table;
    std::string name;
    std::vector<std::string> rules;  // what follows "-A CHAIN "
  };
  Family family = Family::ipv4;
  std::string backend;  // "legacy", "nft"; empty if there are no such chains
  std::vector<Chain> chains;
  std::string error;  // why they could not be read; the rest is unset then
};

// One of the kernel's connections (/proc/net/ip_vs_conn).
struct Connection {
  Protocol protocol = Protocol::none;  // none: a template of a firewall mark
  IpAddress client;
  Port client_port;  // 0: a template, which keeps a client with its destination
  IpAddress address;
  Port port;
  DestinationKey destination;
  std::string state;          // "ESTABLISHED"
  std::uint32_t expires = 0;  // seconds
  friend bool operator==(const Connection&, const Connection&) = default;
};

// Everything but the destinations and connections, which are read and rendered one by one: with 100,000 of them the
// whole would be tens of megabytes.
struct Observation {
  ServerRecords servers;  // by address, protocol and port; firewall marks last
  ObservedLink link;
  std::vector<ObservedSet> sets;  // in the order of all_ip_sets()
  // The rest is the whole node's, and empty where selectors narrow.
  std::vector<ObservedRules> rules;
  std::vector<std::pair<std::string, std::string>> sysctls;  // "net.ipv4.vs.conntrack", "1"; ascending
  std::optional<nl::Timeouts> timeouts;
};

}  // namespace ipvsd::ctl
