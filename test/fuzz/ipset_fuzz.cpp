// Text that other programs print: libipset's listings and reports, and iptables-save's output. The first byte chooses,
// the second the set. Run as scripts/fuzz.sh does.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ipset/audit.hpp"
#include "ipset/listing.hpp"
#include "ipset/rules.hpp"
#include "ipset/session.hpp"

using namespace ipvsd;

namespace {

void check(bool invariant) {
  if (!invariant) std::abort();
}

void listing(IpSet set, std::string_view text) {
  const auto read = parse_listing(set, text);
  if (!read) return check(read.error().code == Errc::malformed && !read.error().context.empty());
  for (auto entry : read->entries) {
    check(entry.set == set);
    entry.mark = {};  // element() has none
    const auto again = parse_element(set, entry.element());
    check(again && *again == entry);
  }
}

// Whatever is saved, what goes to iptables-restore takes away from our chains and jumps, and does no more.
void removal(std::string_view text) {
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    check(line.size() < text.size());
    text.remove_prefix(line.size() + 1);
    const auto is = [&](std::string_view start) { return line.starts_with(start); };
    check(is("*") || is(":KUBE-") || is("-X KUBE-") || is("-D ") || line == "COMMIT");
    check(!is("-D ") || line.find(" -j KUBE-") != std::string_view::npos);
  }
}

// All that read a saved text agree on whether it is one.
void saved(const Rules& ours, std::string_view text) {
  const auto tables = parse_save(text);
  const auto compared = audit(ours, text);
  check(tables.has_value() == compared.has_value());
  for (const auto what : {Removal::everything, Removal::own}) {
    const auto removed = removal_text(text, what);
    check(tables.has_value() == removed.has_value());
    if (removed) removal(*removed);
  }
  if (!tables) return check(tables.error().code == Errc::malformed);
  check(compared->clean() || !compared->difference.empty() || !compared->missing_jumps.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Rules ours = rules(Family::ipv4, {});
  if (size < 2) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  switch (data[0] % 4) {
    case 0: listing(all_ip_sets()[data[1] % all_ip_sets().size()], text); break;
    case 1: (void)parse_header("SET", text); break;
    case 2: (void)read_ipset_report(text); break;
    default: saved(ours, text); break;
  }
  return 0;
}
