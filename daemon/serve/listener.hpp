// A small HTTP server for a few short answers: one address, a handful of threads, every connection bounded in time and
// size (one request, one second, 16 KiB, then it is closed), so that a client can neither hold it up nor fill it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "daemon/config/config.hpp"
#include "daemon/serve/shortage.hpp"

namespace ipvsd {

struct HttpAnswer {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};
// What Go's mux says to a path that it does not know.
[[nodiscard]] HttpAnswer not_found_answer();

class Listener {
 public:
  // Called for every request of any method, from several threads at once. `verbose`: the query asks for it.
  using Responder = std::function<HttpAnswer(std::string_view path, bool verbose)>;

  // Port 0 lets the kernel choose. `shortage` outlives it.
  Listener(SocketAddress address, Responder responder, Shortage& shortage);
  ~Listener();  // stops
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Takes the address. Error busy: somebody else has it, and that is how another living proxy shows; it can be tried
  // again. No SO_REUSEPORT, which would share the address with it instead.
  [[nodiscard]] Result<void> bind();
  // After a bind() that succeeded, once: answers from now on, on threads of its own. Error not_found: not bound; busy:
  // no threads to be had, and it is to be bound again.
  [[nodiscard]] Result<void> start();
  // Ends the threads and gives the address back, within a second whatever clients do. Idempotent; final.
  void stop();
  // The bound port; 0 before bind().
  [[nodiscard]] Port port() const;

 private:
  class Server;
  SocketAddress address_;
  std::unique_ptr<Server> server_;
  Port port_;
};

}  // namespace ipvsd
