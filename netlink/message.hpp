// Bytes of netlink messages: writing a batch of them, and reading attributes with every bound checked.
//
// Layout: struct nlmsghdr and struct nlattr of uapi/linux/netlink.h; both are padded to 4 bytes and in host order.
#pragma once

#include <linux/netlink.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace ipvsd::nl {

using Bytes = std::span<const std::uint8_t>;

template <class T>
[[nodiscard]] Bytes bytes_of(const T& value) {
  return {reinterpret_cast<const std::uint8_t*>(&value), sizeof value};
}

// A value at the start of `bytes`; nothing if they are too few.
template <class T>
[[nodiscard]] std::optional<T> load(Bytes bytes) {
  if (bytes.size() < sizeof(T)) return {};
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

// Of records and attributes, which start at multiples of 4 bytes.
[[nodiscard]] constexpr std::size_t padded(std::size_t size) { return (size + 3) & ~std::size_t{3}; }
// What follows a record of `length` bytes; the padding of the last one may be missing.
[[nodiscard]] inline Bytes after(Bytes bytes, std::size_t length) {
  return bytes.subspan(std::min(padded(length), bytes.size()));
}

// Several messages in one buffer, numbered consecutively, for one send.
class Batch {
 public:
  // The first message gets `first_sequence`.
  explicit Batch(std::uint32_t first_sequence) : first_sequence_(first_sequence) {}

  // Opens a message; `header` follows the nlmsghdr (genlmsghdr, ifaddrmsg, ...). Closes the one before.
  template <class Header>
  void begin(std::uint16_t type, std::uint16_t flags, const Header& header) {
    close();
    start_ = size_;
    const auto sequence = first_sequence_ + static_cast<std::uint32_t>(count_++);
    append(nlmsghdr{0, type, static_cast<std::uint16_t>(flags | NLM_F_REQUEST), sequence, 0});
    append(header);
  }
  void attribute(std::uint16_t type, Bytes payload);
  void attribute(std::uint16_t type, std::string_view text);  // terminated by a zero byte, as the kernel wants it
  // The bytes of the value. In line, as is all that it takes: most of what is written is this, ten to a message.
  template <class T>
  void value(std::uint16_t type, const T& value) {
    const nlattr header{sizeof(nlattr) + sizeof value, type};
    std::uint8_t* room = extend(sizeof header + sizeof value);
    std::memcpy(room, &header, sizeof header);
    std::memcpy(room + sizeof header, &value, sizeof value);
  }
  // Everything written until end_nested() is inside the attribute.
  [[nodiscard]] std::size_t begin_nested(std::uint16_t type) {
    const std::size_t start = size_;
    append(nlattr{0, static_cast<std::uint16_t>(type | NLA_F_NESTED)});
    return start;
  }
  void end_nested(std::size_t start);

  // Closes the last message and adds `flags` to its header.
  void finish(std::uint16_t flags);

  [[nodiscard]] std::size_t count() const { return count_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::uint32_t first_sequence() const { return first_sequence_; }
  [[nodiscard]] std::uint32_t last_sequence() const { return first_sequence_ + static_cast<std::uint32_t>(count_) - 1; }
  [[nodiscard]] Bytes bytes() const { return Bytes(buffer_).first(size_); }
  // Empty again, with the allocation kept.
  void reset(std::uint32_t first_sequence);

 private:
  void close();
  template <class T>
  void append(const T& value) {
    std::memcpy(extend(sizeof value), &value, sizeof value);
  }
  // Room for so many more bytes, padded with zeros to 4.
  [[nodiscard]] std::uint8_t* extend(std::size_t size) {
    const std::size_t at = size_;
    const std::size_t whole = padded(size);
    if (at + whole > buffer_.size()) grow(at + whole);
    size_ += whole;
    std::uint8_t* room = buffer_.data() + at;
    if (whole != size) std::memset(room + size, 0, whole - size);
    return room;
  }
  void grow(std::size_t least);

  std::vector<std::uint8_t> buffer_;  // longer than what is written, so that writing is no more than copying
  std::size_t size_ = 0;
  std::uint32_t first_sequence_;
  std::size_t count_ = 0;
  std::size_t start_ = 0;  // of the open message
};

struct Attribute {
  std::uint16_t type = 0;  // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
  Bytes payload;
};

// Walks attributes: `while (const auto attribute = cursor.next())`. Stops at the end or at the first attribute whose
// length does not fit; malformed() tells the two apart.
class AttributeCursor {
 public:
  explicit AttributeCursor(Bytes bytes) : rest_(bytes) {}
  // In line: a dump of 100,000 destinations has three million attributes.
  [[nodiscard]] std::optional<Attribute> next() {
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
  [[nodiscard]] bool malformed() const { return malformed_; }

 private:
  Bytes rest_;
  bool malformed_ = false;
};

struct Message {
  nlmsghdr header{};
  Bytes payload;  // behind the nlmsghdr
};

// The same for the messages of one datagram.
class MessageCursor {
 public:
  explicit MessageCursor(Bytes bytes) : rest_(bytes) {}
  [[nodiscard]] std::optional<Message> next();
  [[nodiscard]] bool malformed() const { return malformed_; }

 private:
  Bytes rest_;
  bool malformed_ = false;
};

}  // namespace ipvsd::nl
