// What the commands show: the node's kernel as it was read, with nothing decided. Observing (observe.hpp) fills these,
// rendering (dump_*.hpp) turns them into text, and neither knows the other.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "netlink/ipvs_codec.hpp"

namespace ipvsd::ctl {

// A virtual server with its destinations, both with the kernel's counters.
struct ObservedServer {
  nl::VirtualServerRecord record;
  std::vector<nl::DestinationRecord> destinations;  // by address and port
};

// What the dummy link carries.
struct ObservedLink {
  bool present = false;
  std::vector<LinkAddress> addresses;  // ascending
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

// Everything but the destinations, which are read and rendered one virtual server at a time: with 100,000 of them the
// whole would be tens of megabytes.
struct Observation {
  std::vector<nl::VirtualServerRecord> servers;  // by address, protocol and port; firewall marks last
  ObservedLink link;
  std::vector<ObservedSet> sets;  // in the order of all_ip_sets()
};

}  // namespace ipvsd::ctl
