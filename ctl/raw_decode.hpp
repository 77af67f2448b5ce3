// Netlink messages as text: every header field and attribute with its place, type, length, bytes and meaning. Pure; the
// bytes may come from anybody.
#pragma once

#include <map>
#include <string>

#include "ctl/raw_tables.hpp"
#include "netlink/message.hpp"

namespace ipvsd::ctl {

// Knows generic netlink's families by number: from the answers of nlctrl that it has decoded, and from learn(). One
// thread.
class RawDecoder {
 public:
  void learn(std::uint16_t family_id, std::string name) { families_[family_id] = std::move(name); }

  // The messages of one datagram, a line for each field and attribute, an empty line after each message. Where
  // `protocol` is unknown it is guessed for each message. What does not fit is said and shown as bytes.
  [[nodiscard]] std::string decode(NetlinkProtocol protocol, nl::Bytes datagram);

  // Messages decoded so far.
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  struct Text;
  void message(Text& text, NetlinkProtocol protocol, const nl::Message& message);
  void body(Text& text, NetlinkProtocol protocol, std::uint16_t type, nl::Bytes payload);
  void error(Text& text, NetlinkProtocol protocol, const nl::Message& message);
  [[nodiscard]] NetlinkProtocol guess(std::uint16_t type, nl::Bytes payload) const;
  [[nodiscard]] MessageShape shape(NetlinkProtocol protocol, std::uint16_t type, nl::Bytes payload) const;
  [[nodiscard]] std::string type_words(NetlinkProtocol protocol, std::uint16_t type, nl::Bytes payload) const;
  [[nodiscard]] std::string_view family(std::uint16_t id) const;
  void learn_from(nl::Bytes payload);

  std::map<std::uint16_t, std::string> families_;
  std::size_t count_ = 0;
};

}  // namespace ipvsd::ctl
