#include "ipset/session.hpp"

#include <array>
#include <cstdarg>
#include <cstdio>
#include <utility>

extern "C" {
#include <libipset/print.h>
#include <libipset/types.h>
}

namespace ipvsd {
namespace {

// Parts of libipset's messages (errcode.c, types.c, session.c) and of strerror(3) behind "Kernel error received:".
constexpr std::array<std::pair<std::string_view, Errc>, 19> meanings{{
    {"not permitted", Errc::denied},
    {"Permission denied", Errc::denied},
    {"with the same name already exists", Errc::already_exists},
    {"with the new name already exists", Errc::already_exists},
    {"already added", Errc::already_exists},
    {"set with the given name does not exist", Errc::not_found},
    {"second set does not exist", Errc::not_found},
    {"not added", Errc::not_found},
    {"it is in use by", Errc::busy},
    {"Device or resource busy", Errc::busy},
    {"Resource temporarily unavailable", Errc::busy},
    {"Cannot allocate memory", Errc::busy},
    {"Interrupted system call", Errc::interrupted},
    {"No buffer space", Errc::overrun},
    {"Internal protocol error", Errc::overrun},
    {"Protocol error", Errc::overrun},
    {"could not be created", Errc::overrun},
    {"Broken", Errc::malformed},
    {"Internal error at printing", Errc::malformed},
}};

Errc meaning_of(std::string_view text) {
  for (const auto& [part, code] : meanings)
    if (text.find(part) != std::string_view::npos) return code;
  return Errc::unsupported;
}

// libipset prints whole set listings through this, in pieces that end anywhere.
int collect(ipset_session*, void* into, const char* format, ...) __attribute__((format(printf, 3, 4)));
int collect(ipset_session*, void* into, const char* format, ...) {
  auto& output = *static_cast<std::string*>(into);
  std::va_list arguments;
  std::va_list again;
  va_start(arguments, format);
  va_copy(again, arguments);
  const int size = std::vsnprintf(nullptr, 0, format, arguments);
  va_end(arguments);
  if (size > 0) {
    const auto old_size = output.size();
    output.resize(old_size + static_cast<std::size_t>(size) + 1);
    std::vsnprintf(output.data() + old_size, static_cast<std::size_t>(size) + 1, format, again);
    output.pop_back();
  }
  va_end(again);
  return size;
}

// The protocol by its number.
int print_protocol_and_port(char* buffer, unsigned int size, const ipset_data* element, ipset_opt, std::uint8_t) {
  const auto* protocol = static_cast<const std::uint8_t*>(ipset_data_get(element, IPSET_OPT_PROTO));
  const auto* port = static_cast<const std::uint16_t*>(ipset_data_get(element, IPSET_OPT_PORT));
  return std::snprintf(buffer, size, "%u:%u", protocol != nullptr ? *protocol : 0U, port != nullptr ? *port : 0U);
}

// The library prints the protocol's name, for which libc opens /etc/protocols and its database anew for each element,
// setprotoent(3) or not: 9 us, and 100 us where system calls are slow.
void print_protocols_as_numbers() {
  for (const auto* type = ipset_types(); type != nullptr; type = type->next)
    for (auto& part : const_cast<ipset_type*>(type)->elem)
      if (part.print == ipset_print_proto_port) part.print = print_protocol_and_port;
}

}  // namespace

Error read_ipset_report(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  return {meaning_of(text), 0, text.empty() ? "libipset gave no reason" : std::string(text)};
}

IpsetSession::IpsetSession(std::unique_ptr<std::string> output, ipset_session* session)
    : output_(std::move(output)), session_(session) {}

Result<IpsetSession> IpsetSession::open() {
  // Registers the types with the library; repeating it changes nothing.
  ipset_load_types();
  print_protocols_as_numbers();
  auto output = std::make_unique<std::string>();
  ipset_session* raw = ipset_session_init(collect, output.get());
  if (raw == nullptr) return fail(Errc::unsupported, "ipset: the library gave no session");
  IpsetSession session(std::move(output), raw);
  ipset_session_output(raw, IPSET_LIST_PLAIN);
  session.tolerate_existing(true);
  if (const auto checked = session.outcome(ipset_cmd(raw, IPSET_CMD_NONE, 0)); !checked) {
    const auto& error = checked.error();
    if (error.code == Errc::denied) return fail(Errc::denied, "ipset: " + error.context + "; CAP_NET_ADMIN is needed");
    return fail(Errc::unsupported, "ipset: " + error.context + "; does the kernel have ip_set? try modprobe ip_set");
  }
  return session;
}

void IpsetSession::set(ipset_opt option, const void* value) { ipset_session_data_set(session_.get(), option, value); }

void IpsetSession::set_name(std::string_view name) { set(IPSET_SETNAME, std::string(name).c_str()); }

Result<void> IpsetSession::outcome(int status) {
  if (status >= 0) return {};
  auto error = read_ipset_report(ipset_session_report_msg(session_.get()));
  // The buffer is appended to, not replaced.
  ipset_session_report_reset(session_.get());
  return fail(std::move(error));
}

// Answers that did not come to us may still lie in the socket, and libipset takes each for that of its next command.
void IpsetSession::renew() {
  if (auto fresh = open()) *this = std::move(*fresh);
}

Result<void> IpsetSession::settled(int status) {
  auto result = outcome(status);
  if (result) return result;
  switch (result.error().code) {
    case Errc::already_exists:
    case Errc::not_found:
    case Errc::denied:
    case Errc::unsupported: break;
    default: renew();
  }
  return result;
}

Result<void> IpsetSession::run(enum ipset_cmd command) { return settled(ipset_cmd(session_.get(), command, 0)); }

void IpsetSession::tolerate_existing(bool on) {
  if (on)
    ipset_envopt_set(session_.get(), IPSET_ENV_EXIST);
  else
    ipset_envopt_unset(session_.get(), IPSET_ENV_EXIST);
}

Result<std::string> IpsetSession::list(std::string_view name, bool header_only) {
  output_->clear();
  set_name(name);
  if (header_only) ipset_envopt_set(session_.get(), IPSET_ENV_LIST_HEADER);
  const auto listed = run(IPSET_CMD_LIST);
  ipset_envopt_unset(session_.get(), IPSET_ENV_LIST_HEADER);
  if (!listed) {
    // The kernel (6.1) answers a listing that cannot start twice, and libipset takes the second answer for that of its
    // next command. A new socket has nothing left to read.
    renew();
    return fail(listed.error());
  }
  return std::exchange(*output_, {});
}

Result<const void*> IpsetSession::type(std::string_view type_name, std::uint8_t family) {
  set(IPSET_OPT_TYPENAME, std::string(type_name).c_str());
  if (family != NFPROTO_UNSPEC) set(IPSET_OPT_FAMILY, &family);
  const void* found = ipset_type_get(session_.get(), IPSET_CMD_CREATE);
  ipset_data_reset(ipset_session_data(session_.get()));
  if (found != nullptr) return found;
  return fail(outcome(-1).error());
}

}  // namespace ipvsd
