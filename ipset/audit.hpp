// Compares what iptables-save prints with what should be there, and says what to remove. The output is read without
// trust: both backends' forms, with and without counters, and other people's chains, comments and line breaks in them.
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ipset/rules.hpp"

namespace ipvsd {

struct SavedRule {
  std::string chain;
  std::string rule;  // what follows "-A CHAIN "
};

struct SavedTable {
  std::string name;
  std::vector<std::string> chains;
  std::vector<SavedRule> rules;  // in order
};

// Error: malformed for anything that iptables-save does not print, text that breaks off included; with the line number.
[[nodiscard]] Result<std::vector<SavedTable>> parse_save(std::string_view save_output);

struct Audit {
  bool chains_equal = false;        // all of our chains exist and hold exactly our rules
  std::vector<Jump> missing_jumps;  // in the order of Rules::jumps
  std::string difference;           // the first difference, for people; empty if there is none

  [[nodiscard]] bool clean() const { return chains_equal && missing_jumps.empty(); }
};

// Error: malformed.
[[nodiscard]] Result<Audit> audit(const Rules& rules, std::string_view save_output);

// Input for `iptables-restore --noflush` that removes our jumps and chains; empty if there are none. A chain that
// somebody else's rule refers to cannot go: it is emptied, and KUBE-MARK-MASQ, which others share, is left as it is.
// Error: malformed.
[[nodiscard]] Result<std::string> removal_text(std::string_view save_output);

}  // namespace ipvsd
