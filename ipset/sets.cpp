#include "ipset/sets.hpp"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <iterator>

#include "ipset/listing.hpp"

namespace ipvsd {
namespace {

constexpr std::uint32_t hashsize = 1024;
// Far above what a node can use; a set that large is a mistake elsewhere.
constexpr std::size_t largest_maxelem = std::size_t{1} << 24;

// NFPROTO_* as libipset counts families; bitmaps have none.
std::uint8_t family_number(IpSet set) {
  if (set.type() == SetType::bitmap_port) return NFPROTO_UNSPEC;
  return set.family == Family::ipv4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

// The name under which a set grows. One for each set, none of them kube-proxy's.
std::string temporary_name(IpSet set) {
  return fmt::format("KUBE-TMP-{}{}", set.family == Family::ipv4 ? "" : "6-", static_cast<unsigned>(set.kind));
}

// "hash:ip,port" is in ip_set_hash_ipport.
std::string module_of(SetType type) {
  std::string name = "ip_set_";
  for (const char c : to_string(type))
    if (c != ',') name += c == ':' ? '_' : c;
  return name;
}

// IPSET_OPT_IP reads 4 or 16 bytes; all 16 exist.
using RawAddress = std::array<std::uint8_t, 16>;
RawAddress raw(const IpAddress& address) {
  RawAddress bytes{};
  std::copy(address.bytes().begin(), address.bytes().end(), bytes.begin());
  return bytes;
}

}  // namespace

// Where a batch ended early.
struct IpSets::Stop {
  std::size_t index;     // the operation that failed; those before it were done
  bool full = false;     // there was no room for it
  bool unknown = false;  // no operation could be blamed: any from `index` on may have failed
  Error error;
};

Result<IpSets> IpSets::open(std::uint32_t maxelem) {
  auto session = IpsetSession::open();
  if (!session) return fail(std::move(session.error()));
  return IpSets(std::move(*session), maxelem);
}

Result<const void*> IpSets::type_of(IpSet set) {
  auto& known = types_.at(static_cast<std::size_t>(set.type())).at(static_cast<std::size_t>(set.family));
  if (known == nullptr) {
    auto found = session_.type(to_string(set.type()), family_number(set));
    if (!found) {
      auto error = found.error().within(fmt::format("ipset type {}", to_string(set.type())));
      if (error.code == Errc::unsupported) error.context += "; try modprobe " + module_of(set.type());
      return fail(std::move(error));
    }
    known = *found;
  }
  return known;
}

Result<void> IpSets::create(IpSet set, std::string_view name, std::uint32_t maxelem) {
  const auto type = type_of(set);
  if (!type) return fail(type.error());
  const auto family = family_number(set);
  session_.set_name(name);
  session_.set(IPSET_OPT_TYPENAME, std::string(to_string(set.type())).c_str());
  session_.set(IPSET_OPT_TYPE, *type);
  if (set.type() == SetType::bitmap_port) {
    const std::uint16_t first = 0;
    const std::uint16_t last = 65535;
    session_.set(IPSET_OPT_PORT, &first);
    session_.set(IPSET_OPT_PORT_TO, &last);
  } else {
    session_.set(IPSET_OPT_FAMILY, &family);
    session_.set(IPSET_OPT_HASHSIZE, &hashsize);
    session_.set(IPSET_OPT_MAXELEM, &maxelem);
    if (set.carries_marks()) session_.set(IPSET_OPT_SKBINFO, &family);  // a flag: the value is not looked at
  }
  session_.tolerate_existing(false);
  const auto created = session_.run(IPSET_CMD_CREATE);
  session_.tolerate_existing(true);
  if (!created) return fail(created.error().error.within(fmt::format("ipset create {}", name)));
  return {};
}

Result<void> IpSets::create_or_check(IpSet set) {
  const auto created = create(set, set.name(), maxelem_);
  if (created || created.error().code != Errc::already_exists) return created;
  const auto text = session_.list(set.name(), true);
  if (!text) return fail(text.error().within(fmt::format("ipset list {}", set.name())));
  const auto header = parse_header(set.name(), *text);
  if (!header) return fail(header.error());
  if (fits(set, *header)) return {};
  return fail(Errc::already_exists,
              fmt::format("ipset {}: is {}, must be {}; remove the rules that refer to it, then ipset destroy {}",
                          set.name(), header->to_string(), expected_header(set, maxelem_).to_string(), set.name()));
}

Result<void> IpSets::create_all() {
  for (const auto& set : all_ip_sets()) {
    if (auto gone = destroy(temporary_name(set)); !gone) return gone;
    if (auto created = create_or_check(set); !created) return created;
  }
  return {};
}

Result<void> IpSets::destroy(std::string_view name) {
  session_.set_name(name);
  const auto destroyed = session_.run(IPSET_CMD_DESTROY);
  if (destroyed || destroyed.error().error.code == Errc::not_found) return {};
  return fail(destroyed.error().error.within(fmt::format("ipset destroy {}", name)));
}

Result<void> IpSets::destroy(IpSet set) {
  Result<void> outcome;
  for (const auto& name : {std::string(set.name()), temporary_name(set)})
    if (auto destroyed = destroy(name); !destroyed && outcome) outcome = std::move(destroyed);
  return outcome;
}

Result<void> IpSets::destroy_all() {
  Result<void> outcome;
  for (const auto& set : all_ip_sets())
    if (auto destroyed = destroy(set); !destroyed && outcome) outcome = std::move(destroyed);
  return outcome;
}

tl::expected<void, IpsetReport> IpSets::refuse(std::uint32_t line, const Error& error) {
  // What was queued before it counts as done once a later line is blamed.
  if (auto sent = session_.commit(); !sent) return sent;
  return tl::unexpected(IpsetReport{line, false, error});
}

tl::expected<void, IpsetReport> IpSets::queue(Verb verb, std::string_view name, const SetEntry& entry,
                                              std::uint32_t line) {
  const auto type = type_of(entry.set);
  if (!type) return refuse(line, type.error());
  const auto family = family_number(entry.set);
  session_.set_name(name);
  session_.set(IPSET_OPT_TYPE, *type);
  // libipset needs the family before any address.
  if (family != NFPROTO_UNSPEC) {
    session_.set(IPSET_OPT_FAMILY, &family);
    const auto address = raw(entry.address);
    session_.set(IPSET_OPT_IP, address.data());
  }
  if (entry.set.type() != SetType::hash_ip) session_.set(IPSET_OPT_PORT, &entry.port.number);
  if (entry.protocol != Protocol::none) session_.set(IPSET_OPT_PROTO, &entry.protocol);
  if (entry.set.type() == SetType::hash_ip_port_ip || entry.set.type() == SetType::hash_ip_port_net) {
    const auto second = raw(entry.second);
    session_.set(IPSET_OPT_IP2, second.data());
  }
  if (entry.set.type() == SetType::hash_ip_port_net) session_.set(IPSET_OPT_CIDR2, &entry.prefix);
  if (entry.set.carries_marks() && verb == Verb::add) {
    const auto mark = std::uint64_t{entry.mark.value} << 32 | entry.mark.mask;  // as ipset_parse_skbmark() puts it
    session_.set(IPSET_OPT_SKBMARK, &mark);
  }
  return session_.run(verb == Verb::remove ? IPSET_CMD_DEL : IPSET_CMD_ADD, line);
}

std::optional<IpSets::Stop> IpSets::send(std::span<const Operation> operations, std::size_t from) {
  tl::expected<void, IpsetReport> outcome;
  std::size_t queued = from;
  while (outcome && queued < operations.size()) {
    const auto& operation = operations[queued];
    const auto* entry = std::get_if<SetEntry>(&operation.target);
    ++queued;
    const auto line = static_cast<std::uint32_t>(queued);
    outcome = entry != nullptr && operation.verb != Verb::set
                  ? queue(operation.verb, entry->set.name(), *entry, line)
                  : refuse(line, {Errc::unsupported, 0, "not an operation on a set"});
  }
  if (outcome) outcome = session_.commit();
  if (outcome) return {};
  auto& report = outcome.error();
  if (report.line <= from || report.line > queued) return Stop{from, false, true, std::move(report.error)};
  return Stop{report.line - 1, report.full, false, std::move(report.error)};
}

std::vector<Failure> IpSets::execute(std::span<const Operation> operations) {
  std::vector<Failure> failures;
  const auto fail_one = [&](std::size_t index, const Error& error) {
    failures.push_back({index, error.within(to_string(operations[index]))});
  };
  std::optional<std::size_t> grown_for;
  for (std::size_t next = 0; next < operations.size();) {
    auto stop = send(operations, next);
    if (!stop) break;
    if (stop->unknown) {
      auto& code = stop->error.code;
      if (code == Errc::busy || code == Errc::interrupted) code = Errc::overrun;
      for (auto index = stop->index; index < operations.size(); ++index) fail_one(index, stop->error);
      break;
    }
    next = stop->index;
    if (stop->full && grown_for != next) {
      grown_for = next;
      const auto set = std::get<SetEntry>(operations[next].target).set;
      const auto grown = grow(set, operations.size() - next);
      if (grown) continue;
      stop->error = grown.error();
    }
    fail_one(next, stop->error);
    ++next;
  }
  return failures;
}

Result<void> IpSets::grow(IpSet set, std::size_t more) {
  const auto text = session_.list(set.name(), false);
  if (!text) return fail(text.error().within("grow"));
  const auto listing = parse_listing(set, *text);
  if (!listing) return fail(listing.error().within("grow"));
  const auto wanted =
      std::max<std::size_t>(2 * std::size_t{listing->header.maxelem}, std::bit_ceil(listing->entries.size() + more));
  if (wanted > largest_maxelem)
    return fail(Errc::unsupported, fmt::format("grow: more than {} entries in one set", largest_maxelem));

  const auto temporary = temporary_name(set);
  if (auto created = create(set, temporary, static_cast<std::uint32_t>(wanted)); !created) return created;
  auto outcome = fill(temporary, listing->entries);
  if (outcome) {
    // Rules refer to a set by its index, which the names keep: they match on the new one from here.
    session_.set_name(temporary);
    session_.set(IPSET_OPT_SETNAME2, std::string(set.name()).c_str());
    if (const auto swapped = session_.run(IPSET_CMD_SWAP); !swapped)
      outcome = fail(swapped.error().error.within("grow: swap"));
  }
  if (auto destroyed = destroy(temporary); !destroyed && outcome) outcome = std::move(destroyed);
  return outcome;
}

Result<void> IpSets::fill(std::string_view name, const std::vector<SetEntry>& entries) {
  tl::expected<void, IpsetReport> outcome;
  for (std::size_t i = 0; outcome && i < entries.size(); ++i)
    outcome = queue(Verb::add, name, entries[i], static_cast<std::uint32_t>(i + 1));
  if (outcome) outcome = session_.commit();
  if (!outcome) return fail(outcome.error().error.within(fmt::format("grow: fill {}", name)));
  return {};
}

Result<std::vector<SetEntry>> IpSets::list(IpSet set) {
  const auto text = session_.list(set.name(), false);
  if (!text) return fail(text.error().within(fmt::format("ipset list {}", set.name())));
  auto listing = parse_listing(set, *text);
  if (!listing) return fail(std::move(listing.error()));
  return std::move(listing->entries);
}

Result<std::vector<SetEntry>> IpSets::list_all() {
  std::vector<SetEntry> all;
  for (const auto& set : all_ip_sets()) {
    const auto entries = list(set);
    if (!entries && entries.error().code == Errc::not_found) continue;
    if (!entries) return fail(entries.error());
    all.insert(all.end(), entries->begin(), entries->end());
  }
  return all;
}

}  // namespace ipvsd
