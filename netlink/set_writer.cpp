#include "netlink/set_writer.hpp"

#include <linux/netfilter/ipset/ip_set.h>
#include <linux/netfilter/ipset/ip_set_hash.h>

#include <array>
#include <utility>

#include "netlink/set_codec.hpp"

namespace ipvsd::nl {
namespace {

// What the kernel has against an entry; its own numbers begin behind those of errno.
constexpr std::array<std::pair<int, std::string_view>, 7> reasons{{
    {IPSET_ERR_PROTOCOL, "the kernel does not understand the message"},
    {IPSET_ERR_INVALID_CIDR, "the prefix length is not allowed in this set"},
    {IPSET_ERR_INVALID_FAMILY, "the address is not of the set's family"},
    {IPSET_ERR_SKBINFO, "the set was made without marks"},
    {IPSET_ERR_HASH_FULL, "the set is full"},
    {IPSET_ERR_HASH_ELEM, "the set takes no address or network that is all zero"},
    {IPSET_ERR_INVALID_PROTO, "the protocol is not allowed in this set"},
}};

Error explain(Error error) {
  if (error.sys_errno < IPSET_ERR_PRIVATE) return error;
  error.code = Errc::unsupported;
  for (const auto& [code, text] : reasons)
    if (error.sys_errno == code) error.context = text;
  return error;
}

}  // namespace

const int set_is_full = IPSET_ERR_HASH_FULL;

Result<SetWriter> SetWriter::open() {
  auto socket = Socket::open(NETLINK_NETFILTER, "ipset");
  if (!socket) return fail(socket.error());
  return SetWriter(std::move(*socket));
}

std::vector<SetWriter::Run> SetWriter::write(std::span<const Operation> operations, std::string_view name,
                                             std::size_t entries) {
  const auto entry = [&](std::size_t i) -> const SetEntry& { return std::get<SetEntry>(operations[i].target); };
  std::vector<Run> sent;
  std::vector<Run> failed;
  const auto flush = [&] {
    for (auto& failure : socket_.transact(batch_)) {
      failed.push_back(std::move(sent[failure.index]));
      failed.back().error = std::move(failure.error);
    }
    sent.clear();
    batch_.reset(socket_.next_sequence());
  };
  constexpr std::size_t entry_limit = 256;  // a header, a name of 31 characters and two IPv6 addresses are far below
  const auto has_room = [&] { return batch_.size() + entry_limit <= batch_limit; };
  batch_.reset(socket_.next_sequence());
  for (std::size_t i = 0; i < operations.size();) {
    const std::size_t first = i;
    const auto verb = operations[first].verb;
    const IpSet set = entry(first).set;
    begin_set_message(batch_, verb == Verb::remove ? IPSET_CMD_DEL : IPSET_CMD_ADD, 0, set.family,
                      name.empty() ? set.name() : name);
    batch_.attribute(IPSET_ATTR_LINENO, bytes_of(std::uint32_t{0}));  // the kernel wants one where there is a list
    const auto list = batch_.begin_nested(IPSET_ATTR_ADT);
    do encode_entry(batch_, verb, entry(i));
    while (++i < operations.size() && i - first < entries && has_room() && operations[i].verb == verb &&
           entry(i).set == set);
    batch_.end_nested(list);
    sent.push_back({first, i - first, {}});
    if (!has_room()) flush();
  }
  flush();
  return failed;
}

std::vector<Failure> SetWriter::execute(std::span<const Operation> operations, std::string_view name) {
  std::vector<Failure> failures;
  for (const auto& run : write(operations, name, SIZE_MAX))
    for (auto& one : write(operations.subspan(run.first, run.count), name, 1)) {
      const std::size_t index = run.first + one.first;
      failures.push_back({index, explain(std::move(one.error)).within(to_string(operations[index]))});
    }
  return failures;
}

}  // namespace ipvsd::nl
