// The benchmarks, one function each. All throw std::runtime_error where they cannot measure.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>

#include "bench/objects.hpp"
#include "model/kernel.hpp"

namespace ipvsd::bench {

struct Options {
  std::string where;       // "outside", "vm"
  std::string directory;   // with the lists
  std::string kubeconfig;  // of the API server
  Cluster cluster;
  bool routed = false;  // the VIPs by one route instead of an address each
  std::chrono::seconds idle{600};
};

void cold_start(const Options& options);
void cold_start_api(const Options& options);
void cold_start_changes(const Options& options);
void change(const Options& options);
void memory(const Options& options);
void churn(const Options& options);
void decode(const Options& options);
void pure(const Options& options);  // desired, diff, encode
void observe(const Options& options);

void rollout(const Options& options);
void idle(const Options& options);

// The least that the operations of cold_start cost; of rollout.
void floor_cold_start(const Options& options);
void floor_rollout(const Options& options);

}  // namespace ipvsd::bench
