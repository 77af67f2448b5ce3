// A TCP server that says what a test tells it to, byte for byte: for recordings, and for peers that
// misbehave.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "daemon/config/kubeconfig.hpp"
#include "os/fd.hpp"

namespace ipvsd::fake {

class RawServer {
 public:
  class Peer {
   public:
    explicit Peer(int socket) : socket_(socket) {}
    void send(std::string_view bytes) const;
    // Until the client, or the server's end, closes the connection.
    void wait_for_close() const;

   private:
    int socket_;
  };
  // Gets the head of one request, "GET /... HTTP/1.1\r\n...\r\n\r\n"; the connection is closed when it
  // returns. Runs in a thread of the connection's own.
  using Script = std::function<void(const Peer& peer, const std::string& head)>;

  // Listens on 127.0.0.1. Without a script it never accepts: connections come to be, and hang.
  explicit RawServer(Script script);
  ~RawServer();
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;

  [[nodiscard]] ApiAccess access() const;
  // The heads so far.
  [[nodiscard]] std::vector<std::string> requests() const;
  // False: there were not `count` requests by the deadline.
  [[nodiscard]] bool wait_for_requests(std::size_t count, std::chrono::seconds deadline) const;
  // A connection has arrived in the kernel's queue. For the server without a script.
  [[nodiscard]] bool wait_for_connection(std::chrono::seconds deadline) const;

 private:
  void accept_all();
  void serve(int socket);

  const Script script_;
  Fd listener_;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;  // for the following
  mutable std::condition_variable changed_;
  std::vector<std::string> requests_;
  std::vector<Fd> sockets_;
  std::vector<std::thread> threads_;
  bool stopping_ = false;
  std::thread acceptor_;
};

}  // namespace ipvsd::fake
