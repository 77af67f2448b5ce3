#include "netlink/set_reader.hpp"

#include <fmt/format.h>
#include <linux/netfilter/ipset/ip_set.h>

#include "netlink/set_codec.hpp"

namespace ipvsd::nl {

Result<SetReader> SetReader::open() {
  auto socket = Socket::open(NETLINK_NETFILTER, "ipset");
  if (!socket) return fail(socket.error());
  return SetReader(std::move(*socket));
}

Result<bool> SetReader::next(IpSet set, std::size_t enough, std::vector<SetEntry>& into) {
  if (open_ && open_ != set)
    if (const auto ended = drain(); !ended) return fail(ended.error());
  if (!open_) {
    batch_.reset(socket_.next_sequence());
    begin_set_message(batch_, IPSET_CMD_LIST, NLM_F_DUMP, set.family, set.name());
    if (const auto asked = socket_.ask(batch_); !asked) return fail(asked.error());
    open_ = set;
  }
  const std::size_t target = into.size() + enough;
  while (open_ && into.size() < target)
    if (const auto read = read_piece(set, into); !read)
      return fail(read.error().within(fmt::format("list {}", set.name())));
  return open_.has_value();
}

Result<bool> SetReader::read_piece(IpSet set, std::vector<SetEntry>& into) {
  Result<void> decoded;
  const auto more = socket_.next_answer(batch_, [&](const Message& message) {
    const auto read = decode_members(message.payload, set, [&](const SetEntry& entry) { into.push_back(entry); });
    if (!read && decoded) decoded = read;
  });
  if (!more || !*more) open_.reset();
  if (more && !decoded) return fail(decoded.error());
  return more;
}

// A dump that nobody wants to the end would keep the socket busy.
Result<void> SetReader::drain() {
  std::vector<SetEntry> dropped;
  while (open_)
    if (const auto read = read_piece(*open_, dropped); !read && open_) return fail(read.error());
  return {};
}

}  // namespace ipvsd::nl
