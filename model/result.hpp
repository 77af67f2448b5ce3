// Errors as values. Every layer returns Result<T>; no exception crosses a file boundary, and a third
// party's exception becomes an Error in the file that called it.
#pragma once

#include <cerrno>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace ipvsd {

// What a caller can do about a failure. The list is closed: a new kind of failure must fit one of these.
enum class Errc {
  not_found,       // the object does not exist; the answer came from whoever would know
  already_exists,  // it is there already, perhaps with other attributes
  denied,          // no permission; retrying without an operator is pointless
  busy,            // somebody else holds it at the moment; retry
  timed_out,       // no answer within the deadline; the outcome is unknown
  interrupted,     // the observation was disturbed by a change; repeat it
  overrun,         // answers were lost (ENOBUFS, truncation); the outcome is unknown
  malformed,       // bytes from outside that do not parse; never an internal error
  unsupported,     // the kernel, the server or this build lacks it
  disconnected,    // the peer is gone
};

[[nodiscard]] std::string_view to_string(Errc code);

// `sys_errno` is positive, or 0 where no system call stands behind the error. `context` says what was
// attempted, on which object, and, where known, what to do.
struct Error {
  Errc code = Errc::malformed;
  int sys_errno = 0;
  std::string context;

  // "context: code (ENOENT)".
  [[nodiscard]] std::string message() const;
  // The same error seen from one level further out: "prefix: context".
  [[nodiscard]] Error within(std::string_view prefix) const;

  friend bool operator==(const Error&, const Error&) = default;
};

template <class T>
using Result = tl::expected<T, Error>;

[[nodiscard]] inline tl::unexpected<Error> fail(Errc code, std::string context, int sys_errno = 0) {
  return tl::unexpected<Error>(Error{code, sys_errno, std::move(context)});
}
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

// The one place where an errno becomes an Errc. `sys_errno` must be positive.
[[nodiscard]] Errc errc_of(int sys_errno);
[[nodiscard]] inline tl::unexpected<Error> fail_errno(int sys_errno, std::string context) {
  return fail(errc_of(sys_errno), std::move(context), sys_errno);
}

}  // namespace ipvsd
