// The order in which a change is written. A VIP is never live half done: what restricts it stands before its virtual
// server, and what lets traffic in comes last; taking down is the exact reverse.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "model/kernel.hpp"

namespace ipvsd {

// Operations of one phase do not depend on each other. A later phase relies on the earlier ones.
enum class Phase : std::uint8_t {
  restrict_,      // add entries of KUBE-IPVS-IPS, the source ranges, LOOP-BACK, the node ports, the marks in use
  serve_outside,  // add and update virtual servers by firewall mark: those of outside clients
  fill_outside,   // add and update their destinations
  mark,           // add entries that lead outside clients to them
  serve,          // add and update virtual servers
  fill,           // add and update destinations
  admit,          // add entries of the sets that KUBE-IPVS-FILTER lets through
  bind,           // add addresses
  route,          // add and update local routes
  retire,         // destinations to weight 0, or away
  unroute,        // and so on, backwards
  unbind,
  shut_out,
  unserve,  // a virtual server goes in one message, its destinations with it
  unmark,
  unserve_outside,  // those that still have connections drain first: their port may go on with another policy
  unrestrict,
};
inline constexpr std::size_t phase_count = 17;

struct Plan {
  std::array<std::vector<Operation>, phase_count> phases;

  [[nodiscard]] std::vector<Operation>& operator[](Phase phase) { return phases[static_cast<std::size_t>(phase)]; }
  [[nodiscard]] const std::vector<Operation>& operator[](Phase phase) const {
    return phases[static_cast<std::size_t>(phase)];
  }
  [[nodiscard]] bool empty() const;
  [[nodiscard]] std::size_t size() const;
  void clear();  // keeps its room
  // What is more than a change takes.
  void give_back_room();
  // All operations in the order of execution.
  [[nodiscard]] std::vector<Operation> flat() const;
};

// Where a set's entries are added, and the place among the sets of that phase (smaller first when adding): a firewall
// entry comes after the ranges that it lets in.
struct SetOrder {
  bool admits = false;
  std::uint8_t rank = 0;
};
[[nodiscard]] SetOrder set_order(SetKind kind);

}  // namespace ipvsd
