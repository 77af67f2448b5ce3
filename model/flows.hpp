// The kernel's connection tracking: one entry per flow, and the interface by which stale ones are found and deleted. It
// stands beside Kernel and not in it: it holds no desired state, and it is used on a thread of its own.
//
// Source: uapi/linux/netfilter/nfnetlink_conntrack.h (enum ctattr_type).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/kernel.hpp"

namespace ipvsd {

// One direction of a flow.
struct FlowTuple {
  IpAddress source;
  IpAddress destination;
  Port source_port;
  Port destination_port;
  std::optional<std::uint16_t> zone;  // CTA_TUPLE_ZONE: of this direction alone
  friend bool operator==(const FlowTuple&, const FlowTuple&) = default;
};

struct Flow {
  Protocol protocol = Protocol::none;
  FlowTuple original;      // as the first packet came
  FlowTuple reply;         // as answers come: its source is who really answers
  std::uint16_t zone = 0;  // CTA_ZONE
  // CTA_ID: tells the entry from a later one with the same tuple, unless that came to lie in the same memory
  // (nf_ct_get_id).
  std::uint32_t id = 0;
  [[nodiscard]] Family family() const { return original.destination.family(); }
  // "UDP 10.244.1.100:4000 -> 10.96.0.10:53, answered by 10.244.1.11:5353"
  [[nodiscard]] std::string to_string() const;
  friend bool operator==(const Flow&, const Flow&) = default;
};

// By the original direction; unset parts admit all.
struct FlowFilter {
  Family family = Family::ipv4;
  Protocol protocol = Protocol::udp;
  std::optional<IpAddress> destination;  // of that family
  std::optional<Port> port;
  [[nodiscard]] bool admits(const Flow& flow) const;
  friend bool operator==(const FlowFilter&, const FlowFilter&) = default;
};

// The flows of this network namespace. One thread at a time. Every call ends within a deadline.
class Flows {
 public:
  virtual ~Flows() = default;

  // Visits the flows that the filter admits, and no others. No snapshot: what comes or goes meanwhile may be left out,
  // and a flow may be shown twice. After an error (interrupted, overrun, timed_out, denied) those visited were there.
  using Visit = std::function<void(const Flow&)>;
  [[nodiscard]] virtual Result<void> list(const FlowFilter& filter, const Visit& visit) = 0;

  // Deletes exactly these entries: tuple, zone and id must fit (else not_found). Returns the failures in ascending
  // order of index; a failing one does not stop the others.
  [[nodiscard]] virtual std::vector<Failure> remove(std::span<const Flow> flows) = 0;
};

}  // namespace ipvsd
