// Which connection tracking the contract suite runs against: the fake or the kernel's, decided by what is linked.
#pragma once

#include <memory>
#include <vector>

#include "model/flows.hpp"

namespace ipvsd::test {

class FlowsSubject {
 public:
  virtual ~FlowsSubject() = default;
  [[nodiscard]] virtual Flows& flows() = 0;
  // New entries with these tuples; ids are given by whoever keeps them.
  virtual void create(const std::vector<Flow>& flows) = 0;
};

// Empty.
[[nodiscard]] std::unique_ptr<FlowsSubject> make_flows();

}  // namespace ipvsd::test
