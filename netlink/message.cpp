#include "netlink/message.hpp"

#include <algorithm>

namespace ipvsd::nl {

void Batch::grow(std::size_t least) { buffer_.resize(std::max(2 * buffer_.size(), least + 1024)); }

void Batch::close() {
  if (count_ == 0) return;
  const auto length = static_cast<std::uint32_t>(size_ - start_);
  std::memcpy(buffer_.data() + start_ + offsetof(nlmsghdr, nlmsg_len), &length, sizeof length);
}

void Batch::finish(std::uint16_t flags) {
  close();
  if (count_ == 0) return;
  std::uint16_t all = 0;
  auto* field = buffer_.data() + start_ + offsetof(nlmsghdr, nlmsg_flags);
  std::memcpy(&all, field, sizeof all);
  all = static_cast<std::uint16_t>(all | flags);
  std::memcpy(field, &all, sizeof all);
}

void Batch::reset(std::uint32_t first_sequence) {
  size_ = 0;
  count_ = 0;
  start_ = 0;
  first_sequence_ = first_sequence;
}

void Batch::attribute(std::uint16_t type, Bytes payload) {
  const nlattr header{static_cast<std::uint16_t>(sizeof(nlattr) + payload.size()), type};
  std::uint8_t* room = extend(sizeof header + payload.size());
  std::memcpy(room, &header, sizeof header);
  if (!payload.empty()) std::memcpy(room + sizeof header, payload.data(), payload.size());
}

void Batch::attribute(std::uint16_t type, std::string_view text) {
  const std::size_t size = text.size() + 1;
  const nlattr header{static_cast<std::uint16_t>(sizeof(nlattr) + size), type};
  std::uint8_t* room = extend(sizeof header + size);
  std::memcpy(room, &header, sizeof header);
  std::copy(text.begin(), text.end(), room + sizeof header);
  room[sizeof header + text.size()] = 0;
}

void Batch::end_nested(std::size_t start) {
  const auto length = static_cast<std::uint16_t>(size_ - start);
  std::memcpy(buffer_.data() + start + offsetof(nlattr, nla_len), &length, sizeof length);
}

std::optional<Message> MessageCursor::next() {
  if (rest_.empty()) return {};
  const auto header = load<nlmsghdr>(rest_);
  if (!header || header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > rest_.size()) {
    malformed_ = true;
    rest_ = {};
    return {};
  }
  const Message message{*header, rest_.subspan(sizeof(nlmsghdr), header->nlmsg_len - sizeof(nlmsghdr))};
  rest_ = after(rest_, header->nlmsg_len);
  return message;
}

}  // namespace ipvsd::nl
