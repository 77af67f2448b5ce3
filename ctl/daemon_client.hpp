// Asks the daemon on its ctl socket (docs/ctl-api.md).
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "model/result.hpp"

namespace ipvsd::ctl {

inline constexpr std::string_view default_ctl_socket = "/run/kube-ipvsd/ctl.sock";

// Reads an answer as its bytes come. Pure.
class AnswerReader {
 public:
  using Body = std::function<Result<void>(std::string_view piece)>;
  explicit AnswerReader(Body body) : body_(std::move(body)) {}

  // Error: malformed for what is no HTTP answer, and what `body` returns.
  [[nodiscard]] Result<void> feed(std::string_view bytes);
  // Once the connection has ended. Errors: malformed; and where the daemon says that it cannot answer, with its words:
  // busy (503), not_found, denied.
  [[nodiscard]] Result<void> finish() const;

 private:
  Body body_;
  std::string head_;     // until it is complete
  int status_ = 0;       // 0: the head is not complete
  std::string refusal_;  // the body of an answer that is not 200
};

// One resource; its body goes to `body` as it comes. Errors: not_found if no daemon listens, denied, timed_out if it
// says nothing for some seconds, disconnected, and those of AnswerReader.
[[nodiscard]] Result<void> ask_daemon(const std::string& socket, std::string_view resource,
                                      const AnswerReader::Body& body);
// The whole body, at most 64 MiB.
[[nodiscard]] Result<std::string> ask_daemon(const std::string& socket, std::string_view resource);

}  // namespace ipvsd::ctl
