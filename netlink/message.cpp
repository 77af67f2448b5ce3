#include "netlink/message.hpp"

#include <algorithm>

namespace ipvsd::nl {
namespace {

constexpr std::size_t padded(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

// What follows a record of `length` bytes; the padding of the last one may be missing.
Bytes after(Bytes bytes, std::size_t length) { return bytes.subspan(std::min(padded(length), bytes.size())); }

}  // namespace

void Batch::append(Bytes bytes) {
  const std::size_t at = buffer_.size();
  buffer_.resize(at + padded(bytes.size()));
  if (!bytes.empty()) std::memcpy(buffer_.data() + at, bytes.data(), bytes.size());
}

void Batch::open(std::uint16_t type, std::uint16_t flags) {
  close();
  start_ = buffer_.size();
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
  header.nlmsg_seq = first_sequence_ + static_cast<std::uint32_t>(count_);
  append(bytes_of(header));
  ++count_;
}

void Batch::close() {
  if (count_ == 0) return;
  const auto length = static_cast<std::uint32_t>(buffer_.size() - start_);
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
  buffer_.clear();
  count_ = 0;
  start_ = 0;
  first_sequence_ = first_sequence;
}

void Batch::attribute(std::uint16_t type, Bytes payload) {
  const nlattr header{static_cast<std::uint16_t>(sizeof(nlattr) + payload.size()), type};
  append(bytes_of(header));
  append(payload);
}

void Batch::attribute(std::uint16_t type, std::string_view text) {
  const std::size_t size = text.size() + 1;
  const nlattr header{static_cast<std::uint16_t>(sizeof(nlattr) + size), type};
  append(bytes_of(header));
  const std::size_t at = buffer_.size();
  buffer_.resize(at + padded(size));
  std::copy(text.begin(), text.end(), buffer_.begin() + static_cast<std::ptrdiff_t>(at));
}

std::size_t Batch::begin_nested(std::uint16_t type) {
  const std::size_t start = buffer_.size();
  append(bytes_of(nlattr{0, static_cast<std::uint16_t>(type | NLA_F_NESTED)}));
  return start;
}

void Batch::end_nested(std::size_t start) {
  const auto length = static_cast<std::uint16_t>(buffer_.size() - start);
  std::memcpy(buffer_.data() + start + offsetof(nlattr, nla_len), &length, sizeof length);
}

std::optional<Attribute> AttributeCursor::next() {
  if (rest_.empty()) return {};
  const auto header = load<nlattr>(rest_);
  if (!header || header->nla_len < sizeof(nlattr) || header->nla_len > rest_.size()) {
    malformed_ = true;
    rest_ = {};
    return {};
  }
  const Attribute attribute{static_cast<std::uint16_t>(header->nla_type & NLA_TYPE_MASK),
                            rest_.subspan(sizeof(nlattr), header->nla_len - sizeof(nlattr))};
  rest_ = after(rest_, header->nla_len);
  return attribute;
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
