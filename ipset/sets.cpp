#include "ipset/sets.hpp"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <bit>
#include <map>

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

}  // namespace

Result<IpSets> IpSets::open(std::uint32_t maxelem) {
  auto session = IpsetSession::open();
  if (!session) return fail(std::move(session.error()));
  auto writer = nl::SetWriter::open();
  if (!writer) return fail(std::move(writer.error()));
  return IpSets(std::move(*session), std::move(*writer), maxelem);
}

Result<void> IpSets::create(IpSet set, std::string_view name, std::uint32_t maxelem) {
  const auto family = family_number(set);
  const auto type = session_.type(to_string(set.type()), family);
  if (!type) {
    auto error = type.error().within(fmt::format("ipset type {}", to_string(set.type())));
    if (error.code == Errc::unsupported) error.context += "; try modprobe " + module_of(set.type());
    return fail(std::move(error));
  }
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
  if (!created) return fail(created.error().within(fmt::format("ipset create {}", name)));
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
  if (destroyed || destroyed.error().code == Errc::not_found) return {};
  return fail(destroyed.error().within(fmt::format("ipset destroy {}", name)));
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

std::vector<Failure> IpSets::execute(std::span<const Operation> operations) {
  auto failures = writer_.execute(operations);
  std::map<IpSet, std::vector<std::size_t>> full;  // what a set had no room for
  std::erase_if(failures, [&](const Failure& failure) {
    if (failure.error.sys_errno != nl::set_is_full) return false;
    full[std::get<SetEntry>(operations[failure.index].target).set].push_back(failure.index);
    return true;
  });
  for (const auto& [set, indices] : full) {
    const auto grown = grow(set, indices.size());
    std::vector<Operation> rest;
    for (const auto index : indices)
      if (grown)
        rest.push_back(operations[index]);
      else
        failures.push_back({index, grown.error().within(to_string(operations[index]))});
    for (auto& failure : writer_.execute(rest)) failures.push_back({indices[failure.index], std::move(failure.error)});
  }
  std::sort(failures.begin(), failures.end(), [](const auto& a, const auto& b) { return a.index < b.index; });
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
  std::vector<Operation> additions;
  for (const auto& entry : listing->entries) additions.push_back({Verb::add, entry});
  const auto failures = writer_.execute(additions, temporary);
  Result<void> outcome;
  if (!failures.empty()) outcome = fail(failures.front().error.within(fmt::format("grow: fill {}", temporary)));
  if (outcome) {
    // Rules refer to a set by its index, which the names keep: they match on the new one from here.
    session_.set_name(temporary);
    session_.set(IPSET_OPT_SETNAME2, std::string(set.name()).c_str());
    if (const auto swapped = session_.run(IPSET_CMD_SWAP); !swapped)
      outcome = fail(swapped.error().within("grow: swap"));
  }
  if (auto destroyed = destroy(temporary); !destroyed && outcome) outcome = std::move(destroyed);
  return outcome;
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
