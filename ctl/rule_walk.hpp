// The way of a packet through the chains KUBE-* of iptables, by what iptables-save prints and what the sets hold. Works
// on kube-proxy's rules as on ours, and on those that should be there as on those that are. Rules of others are passed
// over. Pure.
//
// The order of the hooks: net/ipv4/netfilter, and ip_vs_core.c: IPVS takes a packet in LOCAL_IN behind the filter
// table, and one of the node's own processes in LOCAL_OUT behind nat.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ipset/audit.hpp"
#include "model/kernel.hpp"

namespace ipvsd::ctl {

// The first packet of a connection.
struct Packet {
  std::optional<IpAddress> source;  // empty: some client outside
  bool from_node = false;           // a process of this node
  std::string link;                 // it comes in by; "" if not known
  IpAddress destination;
  Port port;
  Protocol protocol = Protocol::tcp;
};

struct RuleWorld {
  std::span<const SavedTable> tables;
  std::span<const SetEntry> entries;  // sorted
  std::span<const LinkAddress> addresses;
  std::span<const LocalRoute> routes = {};
};

struct MatchedRule {
  std::string table;
  std::string chain;
  std::string rule;
  std::string entry;     // of a set, "KUBE-CLUSTER-IP 10.96.0.1,tcp:80"; "" if none was needed
  bool assumed = false;  // depends on the client's address, which is not known
  friend bool operator==(const MatchedRule&, const MatchedRule&) = default;
};

// For people: "nat KUBE-SERVICES: ! -s 10.244.0.0/16 [KUBE-CLUSTER-IP 10.96.0.1,tcp:80] -j KUBE-MARK-MASQ".
[[nodiscard]] std::string short_form(const MatchedRule& matched);

struct Walk {
  enum class Verdict : std::uint8_t { passed, dropped, rejected };
  Verdict verdict = Verdict::passed;
  bool masqueraded = false;
  std::uint32_t mark = 0;            // as IPVS sees it
  std::vector<MatchedRule> matched;  // in order; those that only return are among them
};

// Up to IPVS, and, if it passes, behind it on its way to `backend`.
[[nodiscard]] Walk walk_rules(const Packet& packet, const RuleWorld& world,
                              const std::optional<DestinationKey>& backend);

// Rules that should be there, as if iptables-save had printed them.
[[nodiscard]] std::vector<SavedTable> saved_form(const Rules& rules);

}  // namespace ipvsd::ctl
