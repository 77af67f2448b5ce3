// The ctl socket: a unix socket for root alone, one request a connection. Each connection is bounded in size and time,
// and as many are served at once as there are threads; the others wait in the socket's queue, and beyond that the
// kernel refuses them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/serve/ctl_request.hpp"
#include "daemon/serve/shortage.hpp"
#include "os/fd.hpp"

namespace ipvsd {

struct CtlAnswer {
  int status = 200;
  std::string body;  // JSON
  // What follows the body, piece by piece; nothing ends it. An answer that breaks off is JSON that breaks off.
  std::function<std::optional<std::string>()> more = [] { return std::nullopt; };
};

class CtlServer {
 public:
  // Called from several threads at once.
  using Responder = std::function<CtlAnswer(const CtlRequest&)>;
  // `shortage` outlives it.
  CtlServer(std::string path, Responder responder, Shortage& shortage)
      : path_(std::move(path)), responder_(std::move(responder)), shortage_(shortage) {}
  ~CtlServer() { stop(); }
  CtlServer(const CtlServer&) = delete;
  CtlServer& operator=(const CtlServer&) = delete;

  // Makes the socket, mode 0600, and the folder that it is in, if need be; answers from then on, and only those whose
  // process is root's or of our own user. A socket that nobody listens on any more is replaced. Errors: busy if
  // somebody does, and where there is no room or thread for it; malformed for a path that is too long; denied. It can
  // be tried again.
  [[nodiscard]] Result<void> start();
  // Ends the threads, also those in the middle of an answer, and removes the socket. Idempotent.
  void stop();

 private:
  [[nodiscard]] Result<void> bind();
  void serve();
  void converse(const Fd& connection) const;

  std::string path_;
  Responder responder_;
  Shortage& shortage_;
  Fd listening_;
  Fd stop_;  // eventfd
  std::vector<std::thread> threads_;
};

}  // namespace ipvsd
