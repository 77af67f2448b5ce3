#include "netlink/message.hpp"

#include <algorithm>

namespace ipvsd::nl {

std::uint8_t* Batch::extend(std::size_t size) {
  const std::size_t at = size_;
  const std::size_t whole = padded(size);
  if (at + whole > buffer_.size()) buffer_.resize(std::max(2 * buffer_.size(), at + whole + 1024));
  size_ += whole;
  std::uint8_t* room = buffer_.data() + at;
  std::memset(room + size, 0, whole - size);
  return room;
}

void Batch::append(Bytes bytes) {
  std::uint8_t* room = extend(bytes.size());
  if (!bytes.empty()) std::memcpy(room, bytes.data(), bytes.size());
}

void Batch::open(std::uint16_t type, std::uint16_t flags) {
  close();
  start_ = size_;
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
  header.nlmsg_seq = first_sequence_ + static_cast<std::uint32_t>(count_);
  append(bytes_of(header));
  ++count_;
}

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

std::size_t Batch::begin_nested(std::uint16_t type) {
  const std::size_t start = size_;
  append(bytes_of(nlattr{0, static_cast<std::uint16_t>(type | NLA_F_NESTED)}));
  return start;
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
