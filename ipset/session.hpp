// One libipset session with RAII, its output collected and its reports as Error values. Only sets.cpp uses it.
//
// libipset (7.17) says what went wrong as text alone: neither the kernel's error number nor the failing line has an
// accessor. So the text is what is classified here. It prints nothing and ends no process by itself when it is driven
// through a session of our own and not through ipset_init().
#pragma once

extern "C" {
#include <libipset/data.h>
#include <libipset/linux_ip_set.h>
#include <libipset/nfproto.h>
#include <libipset/session.h>
}

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "model/result.hpp"

namespace ipvsd {

// What libipset's report buffer says: "Kernel error received: Operation not permitted\n". Pure.
[[nodiscard]] Error read_ipset_report(std::string_view text);

// Not thread-safe, and libipset keeps tables of the whole process behind it: all sessions belong to one thread.
// The socket belongs to the network namespace in which open() was called. Netlink answers within the call; there is
// no deadline beyond that.
class IpsetSession {
 public:
  // Error: denied without CAP_NET_ADMIN, unsupported where the kernel has no ip_set.
  [[nodiscard]] static Result<IpsetSession> open();

  // An argument of the next command; `value` is what ipset_data_set takes for the option. libipset forgets all
  // arguments after each command.
  void set(ipset_opt option, const void* value);
  void set_name(std::string_view name);

  // Performs a command.
  [[nodiscard]] Result<void> run(enum ipset_cmd command);

  // With `on`, making what exists and destroying what does not are no errors.
  void tolerate_existing(bool on);
  // The listing of the set, as `ipset list` prints it but with protocols as numbers; with `header_only` without
  // members. Error: not_found.
  [[nodiscard]] Result<std::string> list(std::string_view name, bool header_only);

  // The library's description of a type, which it wants for a new set. Error: unsupported. It lives as long as
  // the process.
  [[nodiscard]] Result<const void*> type(std::string_view type_name, std::uint8_t family);

 private:
  struct Close {
    void operator()(ipset_session* session) const { ipset_session_fini(session); }
  };
  IpsetSession(std::unique_ptr<std::string> output, ipset_session* session);
  [[nodiscard]] Result<void> outcome(int status);
  // The same, and a fresh socket where the answers to come would not be those of the commands to come.
  [[nodiscard]] Result<void> settled(int status);
  void renew();

  // libipset holds the address of the string.
  std::unique_ptr<std::string> output_;
  std::unique_ptr<ipset_session, Close> session_;
};

}  // namespace ipvsd
