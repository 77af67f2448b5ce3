// The iptables rules, as text. They are constant: however many Services there are, the same rules match on the sets of
// all_ip_sets(), and an empty set matches nothing. Names, order and comments are kube-proxy's (Kubernetes 1.30,
// ipvs mode), except that kube-proxy leaves out the rules of empty sets; what is in table mangle is our own. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ip.hpp"

namespace ipvsd {

struct RulesConfig {
  std::uint32_t masquerade_mark = 0x4000;
  bool masquerade_all = false;
  // What is not local traffic, as iptables-save prints the match: see not_from() and not_via().
  std::optional<std::string> local_match;
  // The bits of the mark that belongs to outside clients (see reconcile/marks.hpp); 0: they get none. Without a
  // local_match nobody is known to be outside.
  std::uint32_t outside_mask = 0;
  // CIDRs that a local route makes local as a whole: what of them no Service has is closed here.
  std::vector<Cidr> service_cidrs{};
  bool random_fully = true;
  friend bool operator==(const RulesConfig&, const RulesConfig&) = default;
};

// "! -s 10.244.0.0/16": whatever does not come from these pods.
[[nodiscard]] std::string not_from(const Cidr& pods);
// "! -i cni0", "! -i veth+": whatever does not come in through these links. Error: malformed if it cannot be the
// name (with "+": the beginning of a name) of a link.
[[nodiscard]] Result<std::string> not_via(std::string_view link);

enum class Table : std::uint8_t { mangle, nat, filter };
[[nodiscard]] std::string_view to_string(Table table);

struct Chain {
  Table table = Table::nat;
  std::string name;
  // In canonical form, what iptables-save prints behind "-A NAME ".
  std::vector<std::string> rules;
  friend bool operator==(const Chain&, const Chain&) = default;
};

// A rule in a chain of the kernel's that leads into one of ours.
struct Jump {
  Table table = Table::nat;
  std::string_view from;
  std::string_view to;
  std::string_view comment;
  // What iptables-save prints behind "-A FROM ".
  [[nodiscard]] std::string rule() const;
  friend bool operator==(const Jump&, const Jump&) = default;
};

struct CountingRule {
  Table table = Table::mangle;
  std::string_view chain;
  std::string rule;
};

struct Rules {
  std::vector<Chain> chains;
  std::vector<Jump> jumps;  // in the order in which they are inserted, each at the top of its chain
  // Counts the packets from outside that bear other people's bits of the mark; where outside clients get a mark.
  std::optional<CountingRule> foreign_marks;
};

[[nodiscard]] Rules rules(Family family, const RulesConfig& config);

// Input for `iptables-restore --noflush`: empties our chains and fills them, table by table in one transaction, and
// inserts the missing jumps and deletes the surplus ones.
[[nodiscard]] std::string restore_text(const Rules& rules, const std::vector<Jump>& missing_jumps,
                                       const std::vector<Jump>& surplus_jumps = {});

}  // namespace ipvsd
