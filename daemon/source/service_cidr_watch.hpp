// Notices that the cluster's Service CIDRs have become others (KEP-1880: they may while the cluster runs).
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "daemon/source/api_connection.hpp"
#include "model/ip.hpp"

namespace ipvsd {

class ServiceCidrWatch {
 public:
  // From a thread of its own asks the API server every `period`, and calls `changed` once, when its CIDRs are not
  // `known`, in any order. An answer that is an error says nothing.
  ServiceCidrWatch(const ApiAccess& access, std::vector<Cidr> known, std::chrono::milliseconds period,
                   std::function<void()> changed);
  ~ServiceCidrWatch();
  ServiceCidrWatch(const ServiceCidrWatch&) = delete;
  ServiceCidrWatch& operator=(const ServiceCidrWatch&) = delete;

  [[nodiscard]] bool has_changed() const { return has_changed_; }

 private:
  void run();

  ApiConnection connection_;
  const std::vector<Cidr> known_;  // sorted
  const std::chrono::milliseconds period_;
  const std::function<void()> changed_;
  std::atomic<bool> has_changed_{false};
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace ipvsd
