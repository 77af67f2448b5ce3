// Answers load balancers that ask how many endpoints of a Service are on this node (spec.healthCheckNodePort): all
// Services' ports on one thread, each family on sockets of its own, with its own count.
//
// A client can hold up nobody (see Connections: 64 of a Service, 512 in all). A port that cannot be had is tried again
// after 1 s * 2^n, at most a minute.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "daemon/serve/connections.hpp"
#include "daemon/serve/health.hpp"
#include "daemon/serve/metrics.hpp"
#include "daemon/serve/shortage.hpp"
#include "os/fd.hpp"
#include "reconcile/local_summary.hpp"

namespace ipvsd {

class HealthCheckServer {
 public:
  // A Service's port could not be had, told once and again only for another reason or after a success. Called on the
  // server's thread.
  using Failed = std::function<void(const ObjectKey& service, const std::string& uid, const std::string& why)>;

  // `health`, `metrics` and `shortage` outlive it.
  HealthCheckServer(const HealthState& health, Metrics& metrics, Shortage& shortage, Failed failed);
  ~HealthCheckServer();  // stops
  HealthCheckServer(const HealthCheckServer&) = delete;
  HealthCheckServer& operator=(const HealthCheckServer&) = delete;

  // Error: no epoll or eventfd, or no thread to be had.
  [[nodiscard]] Result<void> start();
  // Any thread; never waits for the server's.
  void publish(std::vector<HealthCheckChange> changes, const ListenAddresses& addresses);
  void stop();

 private:
  using Clock = std::chrono::steady_clock;
  struct Check {
    HealthCheck check;
    unsigned attempts = 0;  // in vain
    Clock::time_point retry{};
    std::string failure;
  };
  struct Listening {
    ObjectKey service;
    IpAddress address;
    Port port;
    Fd fd;
  };
  void run();
  void take_published();
  void serve(const ObjectKey& service, Check& check);
  void retry(Clock::time_point now);
  [[nodiscard]] std::vector<IpAddress> wanted_addresses(const HealthCheck& check) const;
  [[nodiscard]] Result<void> listen_on(const ObjectKey& service, const IpAddress& address, Port port);
  void accept(const Listening& listening);
  // To a request at a port of this Service; empty if it has gone, or has not this family.
  [[nodiscard]] std::string answer(const ObjectKey& service, Family family, const std::string& request);
  void report();
  [[nodiscard]] int timeout_ms(Clock::time_point now) const;

  const HealthState& health_;
  Metrics& metrics_;
  Shortage& shortage_;
  const Failed failed_;
  Fd epoll_;
  Fd wake_;

  std::mutex mutex_;  // for the following three
  std::map<ObjectKey, std::optional<HealthCheck>> published_;
  ListenAddresses published_addresses_;
  bool stopping_ = false;

  // The thread's own.
  ListenAddresses addresses_;
  std::map<ObjectKey, Check> checks_;
  std::uint64_t next_id_ = 1;                               // 0 is the wake-up
  std::unordered_map<std::uint64_t, Listening> listening_;  // by id
  Connections connections_{epoll_, next_id_, shortage_, {}};
  std::thread thread_;
};

}  // namespace ipvsd
