// Connection tracking in memory, exactly as strict as the kernel's: the contract suite runs against both.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "model/flows.hpp"

namespace ipvsd::test {

// Thread-safe, so that a test can look while a sweeper works.
class FakeFlows final : public Flows {
 public:
  Result<void> list(const FlowFilter& filter, const Visit& visit) override;
  std::vector<Failure> remove(std::span<const Flow> flows) override;

  // A new entry, with an id of its own.
  void create(Flow flow);
  // Asked before each list(); an error ends it half way.
  std::function<std::optional<Error>()> fault;

  // As text, in the order of creation.
  [[nodiscard]] std::vector<std::string> text() const;
  std::atomic<std::size_t> lists = 0;
  [[nodiscard]] std::vector<FlowFilter> filters() const;  // of all lists

 private:
  mutable std::mutex mutex_;
  std::vector<Flow> entries_;
  std::vector<FlowFilter> filters_;
  std::uint32_t next_id_ = 1;
};

}  // namespace ipvsd::test
