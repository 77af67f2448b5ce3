#include "daemon/source/service_cidr_watch.hpp"

#include <algorithm>
#include <new>

#include "daemon/source/service_cidrs.hpp"

namespace ipvsd {
namespace {

using namespace std::chrono_literals;

std::vector<Cidr> sorted(std::vector<Cidr> cidrs) {
  std::sort(cidrs.begin(), cidrs.end());
  cidrs.erase(std::unique(cidrs.begin(), cidrs.end()), cidrs.end());
  return cidrs;
}

}  // namespace

ServiceCidrWatch::ServiceCidrWatch(const ApiAccess& access, std::vector<Cidr> known, std::chrono::milliseconds period,
                                   std::function<void()> changed)
    : connection_(access),
      known_(sorted(std::move(known))),
      period_(period),
      changed_(std::move(changed)),
      thread_([this] { run(); }) {}

ServiceCidrWatch::~ServiceCidrWatch() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  stop_.notify_all();
  // Again and again, because a socket that is about to connect cannot be shut down yet.
  do connection_.stop();
  while (!stop_.wait_for(lock, 50ms, [this] { return ended_; }));
  lock.unlock();
  thread_.join();
}

void ServiceCidrWatch::run() {
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, period_, [this] { return stopping_; })) {
    lock.unlock();
    bool differs = false;
    try {
      const auto found = read_service_cidrs(connection_);
      differs = found && sorted(*found) != known_;
    } catch (const std::bad_alloc&) {  // the next time, then
    }
    if (differs) {
      has_changed_ = true;
      changed_();
    }
    lock.lock();
    if (differs) break;
  }
  ended_ = true;
  stop_.notify_all();
}

}  // namespace ipvsd
