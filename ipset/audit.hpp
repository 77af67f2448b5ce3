// Compares what iptables-save prints with what should be there, and says what to remove. The output is read without
// trust: both backends' forms, with and without counters, and other people's chains, comments and line breaks in them.
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ipset/rules.hpp"

namespace ipvsd {

struct SavedRule {
  std::string chain;
  std::string rule;           // what follows "-A CHAIN "
  std::uint64_t packets = 0;  // that it matched; 0 without counters
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
  std::vector<Jump> surplus_jumps;  // as often as each is there too often
  std::string difference;           // the first difference, for people; empty if there is none
  // What Rules::foreign_marks has counted; nothing where that is not there.
  std::optional<std::uint64_t> foreign_marks;

  [[nodiscard]] bool clean() const { return chains_equal && missing_jumps.empty() && surplus_jumps.empty(); }
};

// How much was counted since the last look, by a counter of the kernel's that begins anew with its rule. What it has
// when seen first was counted before our time.
class CounterReading {
 public:
  // `read`: nothing if the rule is not there; `begins_anew`: it was written after that.
  [[nodiscard]] std::uint64_t advance(std::optional<std::uint64_t> read, bool begins_anew);

 private:
  std::optional<std::uint64_t> last_;
};

// Error: malformed.
[[nodiscard]] Result<Audit> audit(const Rules& rules, std::string_view save_output);

// `own`: what is in table mangle, which kube-proxy does not know.
enum class Removal : std::uint8_t { everything, own };

// Input for `iptables-restore --noflush` that removes our jumps and chains; empty if there are none. A chain that
// somebody else's rule refers to cannot go: it is emptied, and KUBE-MARK-MASQ, which others share, is left as it is.
// Error: malformed.
[[nodiscard]] Result<std::string> removal_text(std::string_view save_output, Removal what = Removal::everything);

}  // namespace ipvsd
