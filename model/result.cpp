#include "model/result.hpp"

#include <fmt/format.h>

#include <cstring>

namespace ipvsd {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::not_found: return "not found";
    case Errc::already_exists: return "already exists";
    case Errc::denied: return "denied";
    case Errc::busy: return "busy";
    case Errc::timed_out: return "timed out";
    case Errc::interrupted: return "interrupted";
    case Errc::overrun: return "overrun";
    case Errc::malformed: return "malformed";
    case Errc::unsupported: return "unsupported";
    case Errc::disconnected: return "disconnected";
  }
  return "unknown";
}

std::string Error::message() const {
  if (sys_errno == 0) return fmt::format("{}: {}", context, to_string(code));
  const char* name = ::strerrorname_np(sys_errno);
  return fmt::format("{}: {} ({})", context, to_string(code), name != nullptr ? name : std::to_string(sys_errno));
}

Error Error::within(std::string_view prefix) const { return {code, sys_errno, fmt::format("{}: {}", prefix, context)}; }

Errc errc_of(int sys_errno) {
  switch (sys_errno) {
    case ENOENT:
    case ESRCH:
    case ENODEV:
    case ENXIO:
    case EADDRNOTAVAIL: return Errc::not_found;
    case EEXIST: return Errc::already_exists;
    case EPERM:
    case EACCES:
    case EROFS: return Errc::denied;
    case EAGAIN:
    case EBUSY:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EADDRINUSE: return Errc::busy;
    case ETIMEDOUT: return Errc::timed_out;
    case EINTR: return Errc::interrupted;
    case ENOBUFS:
    case EMSGSIZE: return Errc::overrun;
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT:
    case EOPNOTSUPP:
    case ENOSYS:
    case ENOPROTOOPT: return Errc::unsupported;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN: return Errc::disconnected;
    default: return Errc::malformed;
  }
}

}  // namespace ipvsd
