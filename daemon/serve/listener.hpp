// A small HTTP server for a few short answers: one address, one thread, connections bounded in number, time and size
// (see Connections), so that a client can neither hold it up nor fill it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "daemon/config/config.hpp"
#include "daemon/serve/shortage.hpp"
#include "os/fd.hpp"

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
  // Called for every request of any method, on the server's thread. `verbose`: the query asks for it.
  using Responder = std::function<HttpAnswer(std::string_view path, bool verbose)>;

  // Port 0 lets the kernel choose. `shortage` outlives it.
  Listener(SocketAddress address, Responder responder, Shortage& shortage);
  ~Listener();  // stops
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Takes the address. Error busy: somebody else has it, and that is how another living proxy shows; it can be tried
  // again. No SO_REUSEPORT, which would share the address with it instead.
  [[nodiscard]] Result<void> bind();
  // After a bind() that succeeded, once: answers from now on, on a thread of its own. Error not_found: not bound; busy:
  // no thread to be had; or no epoll or eventfd.
  [[nodiscard]] Result<void> start();
  // Ends the thread and gives the address back, whatever clients do. Idempotent; final.
  void stop();
  // The bound port; 0 before bind().
  [[nodiscard]] Port port() const { return port_; }

 private:
  class Answers;
  void run();

  SocketAddress address_;
  Shortage& shortage_;
  std::unique_ptr<Answers> answers_;
  Port port_;
  Fd listening_;
  Fd epoll_;
  Fd stop_;  // eventfd
  std::thread thread_;
};

}  // namespace ipvsd
