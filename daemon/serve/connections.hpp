// Connections of HTTP clients, one request each, on the one thread of their owner: nobody waits for a client. A request
// has 16 KiB and two seconds, its answer what is left of these; where connections run out, the oldest makes room. So a
// client that sends or reads slowly, or not at all, costs a descriptor for two seconds at most.
//
// The owner waits on an epoll and hands over what happens to the ids of the connections.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "daemon/serve/shortage.hpp"
#include "os/fd.hpp"

namespace ipvsd {

class Connections {
 public:
  using Clock = std::chrono::steady_clock;
  // The answer to the head of a request, all of it; empty: the connection ends without one.
  using Responder = std::function<std::string(const std::string& request)>;
  struct Limits {
    std::size_t all = 512;
    std::size_t each_group = 64;
  };

  // All outlive it. Ids of connections are taken from `next_id`, as are the owner's own.
  Connections(const Fd& epoll, std::uint64_t& next_id, Shortage& shortage, Limits limits);

  // One that waits at `listening`, if any. It counts against the limit of its group, which means nothing else.
  void accept(const Fd& listening, const std::string& group, Responder responder);
  // Events of this id. False: it is none of a connection, or no longer.
  bool on_event(std::uint64_t id);
  // Ends those whose time is over.
  void expire(Clock::time_point now);
  // When expire() is due; never, without connections.
  [[nodiscard]] Clock::time_point due() const;
  [[nodiscard]] std::size_t size() const { return open_.size(); }

 private:
  struct Connection {
    std::string group;
    Responder responder;
    Clock::time_point deadline;
    Fd fd;
    std::string received;
    std::string answer;
    std::size_t sent = 0;
    std::size_t discarded = 0;
  };

  void make_room(const std::string& group);
  // False: the connection is to be closed.
  [[nodiscard]] static bool read(Connection& connection);
  [[nodiscard]] static bool write(Connection& connection);

  const Fd& epoll_;
  std::uint64_t& next_id_;
  Shortage& shortage_;
  const Limits limits_;
  std::map<std::uint64_t, Connection> open_;  // by id, and so by age
};

// Watches a descriptor under this id, or again with other events. False: the kernel refuses.
[[nodiscard]] bool watch(const Fd& epoll, const Fd& fd, std::uint32_t events, std::uint64_t id, bool again = false);

}  // namespace ipvsd
