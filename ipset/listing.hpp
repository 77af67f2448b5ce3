// Reads what `ipset list` prints (libipset's plain output), without trusting it. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ip_set.hpp"

namespace ipvsd {

struct SetHeader {
  std::string type;
  std::string family;         // "inet", "inet6"; empty for bitmaps
  std::string range;          // bitmaps only
  std::uint32_t maxelem = 0;  // 0 for bitmaps
  bool skbinfo = false;       // entries may carry marks
  // Options that change what the set means or how long an entry lives: "timeout 30", "forceadd".
  std::string unwanted;

  [[nodiscard]] std::string to_string() const;  // "hash:ip,port family inet", "bitmap:port range 0-65535"
};

struct SetListing {
  SetHeader header;
  std::vector<SetEntry> entries;
};

// How a set of this name has to look; `maxelem` is filled in for hashes.
[[nodiscard]] SetHeader expected_header(IpSet set, std::uint32_t maxelem);

// Whether a set with this header can serve: type, family, range and options are right. Its size does not matter
// (sets grow), nor does an extension that is not needed.
[[nodiscard]] bool fits(IpSet set, const SetHeader& header);

// The header and members of one set. Counters, comments and marks that the set has no use for are skipped. Error:
// malformed, naming the set and the line, for anything that is not understood; an entry is never dropped.
[[nodiscard]] Result<SetListing> parse_listing(IpSet set, std::string_view text);
// The same for a header alone. The set may be of any type.
[[nodiscard]] Result<SetHeader> parse_header(std::string_view name, std::string_view text);

}  // namespace ipvsd
