#include "test/contract/flows_subject.hpp"
#include "test/fake/fake_flows.hpp"

namespace ipvsd::test {
namespace {

class Fake final : public FlowsSubject {
 public:
  Flows& flows() override { return flows_; }
  void create(const std::vector<Flow>& flows) override {
    for (const auto& flow : flows) flows_.create(flow);
  }

 private:
  FakeFlows flows_;
};

}  // namespace

std::unique_ptr<FlowsSubject> make_flows() { return std::make_unique<Fake>(); }

}  // namespace ipvsd::test
