// The ipsets of all_ip_sets() in the kernel of this network namespace.
//
// Facts (libipset 7.17, Linux 6.1): entries of one set and verb travel aggregated, about 100 to a message, 2.4 us
// each; the kernel stops a message at its first error, and libipset forgets what was queued behind it; `create -exist`
// with another maxelem fails, so that a set stays at 65536, where kube-proxy expects it, until an entry does not fit.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ipset/session.hpp"
#include "model/ip_set.hpp"
#include "model/kernel.hpp"
#include "netlink/set_writer.hpp"

namespace ipvsd {

// kube-proxy's size of a set.
inline constexpr std::uint32_t initial_maxelem = 65536;

// Not thread-safe: one thread owns it, and it is the only one of its kind in the process (libipset).
class IpSets {
 public:
  // Sets are created for `maxelem` entries and grow beyond it. Changes nothing in the kernel. Error: denied without
  // CAP_NET_ADMIN; unsupported where the kernel has no ip_set.
  [[nodiscard]] static Result<IpSets> open(std::uint32_t maxelem = initial_maxelem);

  // Makes all 38 sets exist. Idempotent; a set of any size serves. Error: already_exists where a set of that name has
  // another type, family or a timeout, naming both; unsupported where the kernel lacks a type, naming its module.
  // Also destroys what an interrupted growth left behind: for the one writer of a node, not for readers.
  [[nodiscard]] Result<void> create_all();

  // Adds and removes entries in order; all targets must be SetEntry, and the verbs add or remove. Idempotent: adding
  // what is there and removing what is not succeed. A failing operation does not stop the others. A full set is
  // replaced by one of at least twice the size, without a moment in which it holds less.
  // Returns the failures by ascending index: not_found if the set does not exist, unsupported if the kernel refuses
  // the element (a network of length 0, the unspecified address in hash:ip), overrun if an answer was lost.
  [[nodiscard]] std::vector<Failure> execute(std::span<const Operation> operations);

  // The entries of a set, in no order. Error: not_found; malformed if the set holds something that is no SetEntry,
  // naming set and line.
  [[nodiscard]] Result<std::vector<SetEntry>> list(IpSet set);
  // The entries of all sets that exist.
  [[nodiscard]] Result<std::vector<SetEntry>> list_all();

  // Destroys all 38 sets, as far as they exist, and leftovers. Error: busy where a rule refers to one; the others are
  // gone then.
  [[nodiscard]] Result<void> destroy_all();
  // The same for one set.
  [[nodiscard]] Result<void> destroy(IpSet set);

 private:
  IpSets(IpsetSession session, nl::SetWriter writer, std::uint32_t maxelem)
      : session_(std::move(session)), writer_(std::move(writer)), maxelem_(maxelem) {}

  [[nodiscard]] Result<void> create(IpSet set, std::string_view name, std::uint32_t maxelem);
  [[nodiscard]] Result<void> create_or_check(IpSet set);
  [[nodiscard]] Result<void> destroy(std::string_view name);
  [[nodiscard]] Result<void> grow(IpSet set, std::size_t more);

  IpsetSession session_;
  nl::SetWriter writer_;
  std::uint32_t maxelem_;
};

}  // namespace ipvsd
